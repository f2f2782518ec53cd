"""The project's own rules: one contract, imports that run one way, commands that start fast."""

import subprocess
import sys

from {{cookiecutter.package_name}}.paths import PACKAGE, ROOT
from {{cookiecutter.package_name}}.pipeline.contract import check
from {{cookiecutter.package_name}}.pipeline.project import load

HEAVY = {"great_expectations", "matplotlib", "mlflow", "onnxruntime", "pandas", "papermill", "sklearn"}


def test_notebooks_parameters_and_stages_keep_their_contract() -> None:
    assert check(load(ROOT)) == []


def test_imports_run_one_way() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, {PACKAGE.name}.cli, {PACKAGE.name}.pipeline.sync; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert HEAVY.isdisjoint(loaded.split())
