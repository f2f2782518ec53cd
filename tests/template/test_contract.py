"""Planted faults: `nb check` names each in one line; `nb sync` mends what can be mended; `nb run` starts no kernel."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run, commit, git

Plant = Callable[[Path], object]


def replace(name: str, old: str, new: str) -> Plant:
    """Changes one place of a file."""

    def plant(project: Path) -> None:
        path = project / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) >= 1, f"{old} is not in {name}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8", newline="\n")

    return plant


def remove(name: str) -> Plant:
    return lambda project: (project / name).unlink()


def ran_by_hand(project: Path) -> None:
    """What an editor without our hook leaves in a notebook."""
    path = project / "notebooks" / "ingest.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code[0] |= {"execution_count": 1, "outputs": [{"name": "stdout", "output_type": "stream", "text": ["hello"]}]}
    path.write_text(json.dumps(notebook), encoding="utf-8")


# (plant, what the one line says, whether `nb sync` mends it)
FAULTS: dict[str, tuple[Plant, str, bool]] = {
    "an unknown name": (
        replace("params.yaml", "test_size: 0.25", "tset_size: 0.25"),
        r"params\.yaml:\d+: unknown parameter 'tset_size' in section 'prepare' → did you mean 'test_size'\?",
        False,
    ),
    "a missing name": (
        replace("params.yaml", "  repeats: 10  # shuffles of each input to measure its importance\n", ""),
        r"params\.yaml:\d+: section 'evaluate' has no 'repeats'",
        False,
    ),
    "a name that is Python's own": (
        replace("params.yaml", "  repeats: 10", "  lambda: 0.1\n  repeats: 10"),
        r"params\.yaml:\d+: 'lambda' in section 'evaluate' is not a valid Python name",
        False,
    ),
    "a new name": (
        replace("params.yaml", "  repeats: 10", "  extra: 3  # how many more\n  repeats: 10"),
        r"params\.yaml:\d+: unknown parameter 'extra' in section 'evaluate'",
        True,
    ),
    "a wrong type": (
        replace("params.yaml", "trials: 10", "trials: ten"),
        r"params\.yaml:\d+: train\.trials is 'ten' but should be .*integer",
        False,
    ),
    "a wrong type inside": (
        replace("params.yaml", "f1_macro: 0.85", "f1_macro: high"),
        r"params\.yaml:\d+: evaluate\.criteria\.f1_macro is 'high' but should be .*number",
        False,
    ),
    "a timeout that is not a number": (
        replace("params.yaml", "stage_timeout: 3600", "stage_timeout: soon"),
        r"params\.yaml:\d+: pipeline\.stage_timeout is 'soon' but should be .*number",
        False,
    ),
    "a setting that nobody reads": (
        replace("params.yaml", "stage_timeout: 3600", "stage_timeuot: 3600"),
        r"params\.yaml:\d+: unknown setting 'stage_timeuot' in section 'pipeline' → did you mean 'stage_timeout'\?",
        False,
    ),
    "a word for a switch": (
        replace("params.yaml", "trials: 10", "trials: no"),
        r"params\.yaml:\d+: train\.trials is 'no' but should be .*integer",
        False,
    ),
    "a value out of range": (
        replace("params.yaml", "test_size: 0.25", "test_size: 1.5"),
        r"params\.yaml:\d+: prepare\.test_size is 1\.5 but should be less than 1",
        False,
    ),
    "a choice that is none": (
        replace("params.yaml", "search: none", "search: gird"),
        r"params\.yaml:\d+: train\.search is 'gird' but should be 'none', 'grid', 'random', 'optuna' or 'automl'",
        False,
    ),
    "a score that there is not": (
        replace("params.yaml", "f1_macro: 0.85", "f1macro: 0.85"),
        r"params\.yaml:\d+: evaluate\.criteria\.f1macro.* is 'f1macro' but should be 'accuracy', ",
        False,
    ),
    "what only DVC's parser, in C, rejects": (
        replace("params.yaml", "  cv: 5", "  cv: 5\n  more: [a:b]"),
        r"params\.yaml:\d+: no valid YAML \(",
        False,
    ),
    "a key that stands twice": (
        replace("params.yaml", "  cv: 5", "  cv: 4\n  cv: 5"),
        r"params\.yaml:\d+: the key 'cv' stands twice",
        False,
    ),
    "a key that is code": (
        replace("params.yaml", "  cv: 5", '  "a=1\\nimport os": 1\n  cv: 5'),
        r"params\.yaml:\d+: .* in section 'train' is not a valid Python name",
        False,
    ),
    "an alias": (
        replace("params.yaml", "trials: 10", "trials: &ten 10\n  more: *ten"),
        r"params\.yaml:\d+: the alias \*ten is not allowed",
        False,
    ),
    "a section without a stage": (
        replace("params.yaml", "\ningest:", "\nspare:\n  x: 1\n\ningest:"),
        r"params\.yaml:\d+: section 'spare' belongs to no stage",
        False,
    ),
    "a missing section": (
        replace("params.yaml", "\nvalidate:\n  stop_at: critical", "\n# validate:\n#   stop_at: critical"),
        r"params\.yaml: has no section 'validate'",
        False,
    ),
    "a misspelt section": (
        replace("params.yaml", "\nvalidate:", "\nvalidat:"),
        r"params\.yaml:\d+: section 'validat' belongs to no stage → did you mean 'validate'\?",
        False,
    ),
    "a missing notebook": (
        remove("notebooks/export.ipynb"),
        r"dvc\.yaml:\d+: stage 'export' has no notebook notebooks/export\.ipynb",
        False,
    ),
    "a notebook without a stage": (
        lambda project: (project / "notebooks/loose.ipynb").write_bytes(
            (project / "notebooks/exploratory/explore.ipynb").read_bytes()
        ),
        r"notebooks/loose\.ipynb: has no stage in dvc\.yaml → nb new loose",
        False,
    ),
    "a misspelt command": (
        replace("dvc.yaml", "cmd: nb run train", "cmd: nb rnu train"),
        r"dvc\.yaml:\d+: stage 'train' runs 'nb rnu train' instead of 'nb run train' → nb sync",
        True,
    ),
    "a missing module": (
        replace("dvc.yaml", "      - src/bakebook/search\n", ""),
        r"dvc\.yaml:\d+: stage 'train' does not depend on src/bakebook/search, which",
        True,
    ),
    "a module too many": (
        replace("dvc.yaml", "- ${ingest.source}\n", "- ${ingest.source}\n      - src/wine_cultivars/plots.py\n"),
        r"dvc\.yaml:\d+: stage 'ingest' depends on src/wine_cultivars/plots\.py, which its notebook does not use",
        True,
    ),
    "a misspelt dependency": (
        replace("dvc.yaml", "      - models/signature.json\n", "      - models/signatur.json\n"),
        r"dvc\.yaml:\d+: stage 'describe' depends on models/signatur\.json, .* mean 'models/signature\.json'\?",
        False,
    ),
    "params that are not listed": (
        replace("dvc.yaml", "    params:\n      - export\n", ""),
        r"dvc\.yaml:\d+: stage 'export' does not list its params 'export' → nb sync",
        True,
    ),
    "params that are not there": (
        replace("dvc.yaml", "    params:\n      - export\n", "    params:\n      - export\n      - exprot.more\n"),
        r"dvc\.yaml:\d+: stage 'export' lists params 'exprot\.more', .* → did you mean 'export'\?",
        False,
    ),
    "an executed notebook that is not listed": (
        replace("dvc.yaml", "      - reports/notebooks/train.ipynb\n", ""),
        r"dvc\.yaml:\d+: stage 'train' does not list reports/notebooks/train\.ipynb in outs → nb sync",
        True,
    ),
    "a notebook with outputs": (
        ran_by_hand,
        r"notebooks/ingest\.ipynb: contains outputs or metadata of an editor, or names no kernel → nb sync",
        True,
    ),
    "a parameter that takes another": (
        replace("notebooks/export.ipynb", 'p[\\"tolerance\\"]', 'p[\\"tol\\"]'),
        r"notebooks/export\.ipynb: 'tolerance' takes p\[\"tol\"\] → write p\[\"tolerance\"\]",
        False,
    ),
    "a parameter without a type": (
        replace("notebooks/export.ipynb", "tolerance: Positive = p", "tolerance = p"),
        r"notebooks/export\.ipynb: parameter 'tolerance' has no type → write tolerance: float = p\[\"tolerance\"\]",
        False,
    ),
    "a cell that is no Python": (
        replace("notebooks/export.ipynb", "export.convert(model, schema)", "export.convert(model schema)"),
        r"notebooks/export\.ipynb: .* is not valid Python",
        False,
    ),
    "a parameters cell that is no Python": (
        replace("notebooks/export.ipynb", "tolerance: Positive = p", "tolerance: = p"),
        r"notebooks/export\.ipynb: .* is not valid Python",
        False,
    ),
    "a module that is no Python": (
        replace("src/wine_cultivars/splitting.py", "def split(", "def split split("),
        r"src/wine_cultivars/splitting\.py: 'def split split\(.* is not valid Python",
        False,
    ),
    "the wrong stage's parameters": (
        replace("notebooks/export.ipynb", 'stage(\\"export\\")', 'stage(\\"train\\")'),
        r"notebooks/export\.ipynb: its parameters cell takes stage 'train'",
        False,
    ),
    "a broken notebook": (
        lambda project: (project / "notebooks/train.ipynb").write_text("{", encoding="utf-8"),
        r"notebooks/train\.ipynb cannot be read as a notebook",
        False,
    ),
}


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_a_fresh_project_keeps_its_contract(project: Path, run: Run) -> None:
    done = run(project, "nb", "check")
    assert (done.returncode, done.stdout) == (0, "7 stages are consistent\n")


@pytest.mark.parametrize(("plant", "named", "mended"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_named_and_mended_where_it_can_be(
    project: Path, run: Run, plant: Plant, named: str, mended: bool
) -> None:
    plant(project)
    done = run(project, "nb", "check")
    found = [line for line in lines(done.stderr) if re.search(named, line)]
    assert (done.returncode, len(found)) == (1, 1), done.stderr
    assert "Traceback" not in done.stderr
    run(project, "nb", "sync")
    assert (run(project, "nb", "check").returncode == 0) is mended


@pytest.mark.parametrize("name", ["dvc.yaml", "params.yaml", "notebooks/prepare.ipynb"])
def test_whatever_line_is_lost_a_sentence_says_so(project: Path, run: Run, name: str) -> None:
    """Every line is left out in turn, and in turn one of its parts; nothing but BadInput and faults may come."""
    code = """
import sys
from pathlib import Path
from bakebook.contract import check, project
from bakebook.errors import BadInput
from bakebook.paths import STATE
STATE.mkdir(parents=True, exist_ok=True)  # where a check remembers what modules import
path = Path(sys.argv[1])
lines = path.read_text("utf-8").splitlines(keepends=True)
for number, line in enumerate(lines):
    parts = [line[: len(line) // 2] + "\\n", line.replace(":", "", 1), line.replace("- ", "", 1)]
    parts = [part for part in parts if part != line]
    for instead in ["", *(parts and [parts[number % len(parts)]])]:
        path.write_text("".join([*lines[:number], instead, *lines[number + 1 :]]), "utf-8")
        try:
            check.check(project.load(Path.cwd()))
        except BadInput:
            pass
        except Exception as error:
            sys.exit(f"{path.name}:{number + 1}: {instead!r} gives {type(error).__name__}: {error}")
"""
    done = run(project, "python", "-c", code, name)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("fault", ["an unknown name", "a wrong type", "a value out of range", "a key that is code"])
def test_a_stage_with_a_fault_stops_before_a_kernel_starts(project: Path, run: Run, fault: str) -> None:
    plant, named, _ = FAULTS[fault]
    plant(project)
    stage = "train" if fault in {"a wrong type", "a key that is code"} else "prepare"
    done = run(project, "nb", "run", stage)
    assert (done.returncode, len(lines(done.stderr))) == (2, 1)
    assert re.search(f"^error: {named}", done.stderr), done.stderr
    assert not (project / "reports").exists()


@pytest.mark.parametrize("command", [("run", "tarin"), ("new", "../evil"), ("new", "Weird Name"), ("run", "")])
def test_a_wrong_name_is_refused_in_one_sentence(project: Path, run: Run, command: tuple[str, str]) -> None:
    done = run(project, "nb", *command)
    assert (done.returncode, len(lines(done.stderr))) == (2, 1)
    assert done.stderr.startswith("error: ")


def test_sync_has_nothing_to_do_in_a_fresh_project(project: Path, run: Run) -> None:
    assert run(project, "nb", "sync").stdout == "nothing to do\n"
    assert git(project, "status", "--short") == ""


def test_sync_declares_a_new_parameter_with_its_comment(project: Path, run: Run) -> None:
    FAULTS["a new name"][0](project)
    run(project, "nb", "sync")
    assert 'extra: int = p[\\"extra\\"]  # how many more' in (project / "notebooks/evaluate.ipynb").read_text("utf-8")


def test_sync_keeps_magics_and_other_languages(project: Path, run: Run) -> None:
    path = project / "notebooks" / "export.ipynb"
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"][1]["source"].insert(0, "%load_ext autoreload\n")
    notebook["cells"][2]["source"] = ["%%bash\n", "ls -la | head\n"]
    path.write_text(json.dumps(notebook), "utf-8")
    assert run(project, "nb", "sync").returncode == 0
    cells = json.loads(path.read_text("utf-8"))["cells"]
    assert [cells[1]["source"][0], cells[2]["source"][0]] == ["%load_ext autoreload\n", "%%bash\n"]


def test_a_notebook_without_parameters_becomes_a_stage(project: Path, run: Run) -> None:
    FAULTS["a notebook without a stage"][0](project)
    path = project / "notebooks" / "loose.ipynb"
    path.write_text(path.read_text("utf-8").replace('stage(\\"prepare\\")[\\"target\\"]', '\\"cultivar\\"'), "utf-8")
    assert run(project, "nb", "new", "loose").returncode == 0
    assert run(project, "nb", "check").returncode == 0
    assert run(project, "dvc", "status", "loose").returncode == 0


def test_a_stage_of_the_users_own_is_left_alone(project: Path, run: Run) -> None:
    replace("dvc.yaml", "stages:\n", "stages:\n  own:\n    cmd: python -c pass\n")(project)
    assert run(project, "nb", "check").returncode == 0
    done = run(project, "nb", "run", "own")
    assert (done.returncode, len(lines(done.stderr))) == (2, 1)


def test_sync_keeps_the_comments_and_the_order_of_dvc_yaml(project: Path, run: Run) -> None:
    FAULTS["a missing module"][0](project)
    run(project, "nb", "sync")
    assert git(project, "status", "--short") == ""


def test_an_edited_import_changes_the_dependencies(project: Path, run: Run) -> None:
    before = "from bakebook.models.encoding"
    replace("src/wine_cultivars/features.py", before, f"from . import plots\n{before}")(project)
    commit(project)
    run(project, "nb", "sync")
    added = [line for line in git(project, "diff", "dvc.yaml").splitlines() if re.match(r"[+-] ", line)]
    assert added == ["+      - src/wine_cultivars/plots.py"]


def test_an_estimator_of_ones_own_is_a_dependency_of_its_stage(project: Path, run: Run) -> None:
    forest = "sklearn.ensemble.RandomForestClassifier"
    replace("params.yaml", forest, "wine_cultivars.networks.NetworkClassifier")(project)
    assert "does not depend on src/wine_cultivars/networks.py" in run(project, "nb", "check").stderr
    run(project, "nb", "sync")
    left = lines(run(project, "nb", "check").stderr)
    assert len(left) == 1 and left[0].endswith("needs torch, which is not installed → uv sync --group torch")


def test_a_project_without_the_library_says_so(project: Path, run: Run) -> None:
    library = project / "src" / "bakebook"
    shutil.rmtree(library)
    library.mkdir()  # hides the library of the environment, which is that of another project
    (library / "__init__.py").touch()
    done = run(project, "nb", "check")
    assert (done.returncode, len(lines(done.stderr))) == (1, 1), done.stderr
    assert "git checkout src/bakebook" in done.stderr


def test_a_library_that_its_owner_edited_works_and_the_doctor_names_the_files(project: Path, run: Run) -> None:
    assert "ok      the library" in run(project, "nb", "doctor").stdout
    path = project / "src" / "bakebook" / "params.py"
    path.write_text(path.read_text("utf-8") + "\n# mine\n", encoding="utf-8")
    (project / "src" / "bakebook" / "own.py").write_text("# mine\n", encoding="utf-8")
    done = run(project, "nb", "doctor")
    assert done.returncode == 0, done.stdout
    assert "note    the library: it differs from the template's version: own.py, params.py" in done.stdout
    assert run(project, "nb", "check").returncode == 0


def test_a_new_notebook_comes_with_all_it_needs_and_once(project: Path, run: Run) -> None:
    first = run(project, "nb", "new", "outliers")
    assert first.returncode == 0, first.stderr
    assert run(project, "nb", "check").stdout == "8 stages are consistent\n"
    commit(project)
    second = run(project, "nb", "new", "outliers")
    assert second.stdout == "'outliers' is complete\n"
    assert git(project, "status", "--short") == ""
