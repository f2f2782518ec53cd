"""The project's own rules: one contract, imports that run one way, commands that start fast."""

import subprocess
import sys

from bakebook.contract.check import check
from bakebook.contract.project import load
from bakebook.paths import ROOT

HEAVY = {"great_expectations", "matplotlib", "mlflow", "onnxruntime", "pandas", "papermill"}


def test_notebooks_parameters_and_stages_agree() -> None:
    assert check(load(ROOT)) == []


def test_imports_run_one_way() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, bakebook.cli.main, bakebook.contract.sync; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert HEAVY.isdisjoint(loaded.split())
