"""The template as text: no logic in code, notebooks that keep the house style, one date, one list of names."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SOURCE, TEMPLATE, Run

NOTEBOOKS = sorted(SOURCE.glob("notebooks/**/*.ipynb"))
STAGES = ["ingest", "validate", "prepare", "train", "export", "evaluate", "describe"]
PLAIN = [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.ipynb"), SOURCE / "params.yaml", SOURCE / "dvc.yaml"]
MODULES = sorted(SOURCE.glob("src/**/*.py"))


def code_cells(notebook: Path) -> list[str]:
    text = notebook.read_text(encoding="utf-8").replace("{{cookiecutter.package_name}}", "package")
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]


def test_the_notebooks_are_the_seven_stages_and_the_monitor() -> None:
    assert sorted([*STAGES, "monitor"]) == [path.stem for path in NOTEBOOKS if path.parent.name == "notebooks"]


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_code_holds_no_template_logic(path: Path) -> None:
    assert "{%" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_is_plain_python_before_it_is_baked(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    is_empty = path.name == "__init__.py" and not text
    assert is_empty or ast.get_docstring(ast.parse(text)), "a module says in one sentence what it is"
    assert "cookiecutter." not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short(path: Path) -> None:
    cells = code_cells(path)
    assert len(cells) <= 15
    assert [cell for cell in cells[1:] if len(cell.splitlines()) > 6] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_defines_prints_and_counts_nothing_itself(path: Path) -> None:
    tree = ast.parse("\n".join(code_cells(path)))
    numbers = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, int | float)]
    calls = [n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    assert not any(isinstance(n, ast.FunctionDef | ast.Lambda) for n in ast.walk(tree))
    assert "print" not in calls
    assert numbers == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_its_name_and_parameters(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert "".join(cells[0]["source"]).startswith(f"# {path.stem.capitalize()}\n")
    assert "import stage\n" in "".join(cells[1]["source"]).replace(", stage", " import stage")


def test_every_question_has_a_human_wording() -> None:
    questions: dict[str, Any] = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    asked = {name for name in questions if not name.startswith("_")}
    assert set(questions["__prompts__"]) == asked


def test_template_and_project_resolve_as_of_the_same_date() -> None:
    dates = [
        re.findall(r'^exclude-newer = "(.+?)"', (folder / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
        for folder in (TEMPLATE, SOURCE)
    ]
    assert dates[0] == dates[1] != []


def test_the_workflow_runs_what_the_readme_says() -> None:
    workflow = yaml.safe_load((TEMPLATE / ".github/workflows/ci.yaml").read_text(encoding="utf-8"))
    command = "uv run nox -s tests"
    assert command in [step.get("run") for step in workflow["jobs"]["tests"]["steps"]]
    assert command in (TEMPLATE / "README.md").read_text(encoding="utf-8")
    assert command in (TEMPLATE / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [*SOURCE.rglob("*.yaml"), *SOURCE.rglob("*.yml")], ids=lambda path: path.name)
def test_actions_are_pinned_by_hash(path: Path) -> None:
    used = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
    assert [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)] == []


def test_the_exit_codes_are_the_same_in_code_docs_and_guide() -> None:
    texts = [(SOURCE / "docs/troubleshooting.md").read_text("utf-8"), (TEMPLATE / "docs/guide.md").read_text("utf-8")]
    tables = [re.findall(r"^\| ([\d, ]+) \| .*\|$", text, re.MULTILINE) for text in texts]
    rows = [re.findall(r"^\| [\d, ]+ \| .*\|$", text, re.MULTILINE) for text in texts]
    assert rows[0] == rows[1]
    listed = {int(code) for cell in tables[0] for code in cell.split(",")}
    code = "\n".join(path.read_text("utf-8") for path in MODULES)
    used = {int(number) for number in re.findall(r"exit_code = (\d+)$", code, re.MULTILINE)}
    signals = {128 + number for number in (1, 2, 15)}
    assert listed == used | signals | {0}


def test_the_project_lists_what_it_imports(baked: Path) -> None:
    pyproject = tomllib.loads((baked / "pyproject.toml").read_text(encoding="utf-8"))
    groups = pyproject["dependency-groups"].values()
    listed = [
        *pyproject["project"]["dependencies"],
        *(one for group in groups for one in group if isinstance(one, str)),
    ]
    brought = {"sklearn": "scikit-learn", "ruamel": "ruamel.yaml", "nbclient": "papermill", "zmq": "ipykernel"}
    brought |= {"traitlets": "ipykernel", "jupyter_client": "ipykernel", "IPython": "ipykernel", "onnx": "skl2onnx"}
    brought |= {"nbformat": "nbval", "threadpoolctl": "scikit-learn"}
    brought |= {"pydantic_core": "pydantic", "typing_extensions": "pydantic", "starlette": "fastapi"}
    brought |= {"markupsafe": "jinja2", "markdown_it": "markdown-it-py"}
    ours = [path for path in MODULES if path.parent.name != "texts"]  # which is written for others to run
    imported = {name for path in ours for name in third_party(path)}
    named = {re.split(r"[<>=]", one)[0] for one in listed}
    assert {brought.get(name, name.replace("_", "-")) for name in imported} - named == set()


def third_party(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    origins = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.split(".")[0] for name in plain | origins} - sys.stdlib_module_names - {"bakebook"}


@pytest.mark.slow
def test_every_module_of_the_environment_is_a_reserved_name(baked: Path, run: Run) -> None:
    code = "from importlib.metadata import packages_distributions as p; print(*p(), *sum(p().values(), []))"
    found = run(baked, "python", "-c", code).stdout.lower().replace("-", "_").replace(".", "_")
    names = set(found.split())
    modules = {name for name in names if re.fullmatch(r"[a-z][a-z0-9_]*", name)} - {"wine_cultivars", "bakebook"}
    reserved = set((TEMPLATE / "hooks/reserved_names.txt").read_text(encoding="utf-8").split())
    assert modules - reserved == set()


@pytest.mark.slow
def test_the_wine_data_are_those_of_scikit_learn(baked: Path, run: Run) -> None:
    code = (
        "import numpy as np, pandas as pd; from sklearn.datasets import load_wine\n"
        "mine, wine = pd.read_csv('data/raw/wine.csv'), load_wine()\n"
        "assert np.array_equal(mine.drop(columns='cultivar').to_numpy(), wine.data)\n"
        "assert (mine.cultivar.map({'Barolo': 0, 'Grignolino': 1, 'Barbera': 2}) == wine.target).all()"
    )
    done = run(baked, "python", "-c", code)
    assert done.returncode == 0, done.stderr


def test_nothing_of_this_machine_is_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TEMPLATE, capture_output=True, text=True, check=True).stdout
    assert "uv.lock" not in listed
    paths = [TEMPLATE / name for name in listed.split("\0") if (TEMPLATE / name).is_file()]
    assert [path.name for path in paths if f"{TEMPLATE}/".encode() in path.read_bytes()] == []
