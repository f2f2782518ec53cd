"""Every option, baked: the exact files, no trace of the template, clean for every checker; answers kept or refused."""

import json
import re
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest
import yaml
from conftest import BUILD, SOURCE, TEMPLATE, Run, bake, files

QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
OPTIONS = list(product(["auto", "classification"], QUESTIONS["ci"], QUESTIONS["license"]))
CI_FILES = {
    "github": {".github/workflows/ci.yaml", "docs/releasing.md"},
    "gitlab": {".gitlab-ci.yml", "docs/releasing.md"},
    "none": set(),
}
ALWAYS = set(
    """
.dvc/.gitignore .dvc/config .dvc/plots.html .dvcignore .gitattributes .gitignore .pre-commit-config.yaml
LICENSE README.md
data/raw/wine.csv
deploy/Dockerfile deploy/Dockerfile.dockerignore deploy/.env.example deploy/compose.yaml deploy/mlflow.Dockerfile
deploy/grafana.json deploy/mlflow.Dockerfile.dockerignore deploy/mlflow.ini deploy/smoke.py docs/columns.md docs/data.md
docs/experiments.md docs/monitoring.md docs/notebooks.md docs/serving.md docs/troubleshooting.md dvc.yaml
expectations/columns.json expectations/suite.json
notebooks/describe.ipynb notebooks/evaluate.ipynb notebooks/exploratory/explore.ipynb notebooks/export.ipynb
notebooks/ingest.ipynb notebooks/monitor.ipynb notebooks/prepare.ipynb notebooks/train.ipynb notebooks/validate.ipynb
params.yaml pyproject.toml tests/conftest.py tests/test_evaluation.py tests/test_features.py tests/test_model_card.py
tests/test_project.py tests/test_splitting.py
""".split()
)
PACKAGE = set(
    """
__init__.py columns.py exploration.py features.py model_card.py networks.py plots.py splitting.py evaluation/__init__.py
evaluation/class_scores.py evaluation/classification.py evaluation/importance.py evaluation/regression.py
evaluation/scores.py evaluation/slices.py
""".split()
)
TEXTS = [
    'He said "no": C:\\new\\table\\',
    "it's 100 % #1 — naïve, 日本語, עברית 🍷",
    "- no: [yes] {on} *null* & 1.0 | ~ ${x} $(rm -rf /) `ls` \"\"\" ''' @%",
    "<script>alert(1)</script> _a_ **b** [c](d) \\",
    "null",
]


def code() -> set[str]:
    """The files below src: the owner's, and the library as it is in the template."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "src/bakebook"],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=True,
    )
    library = {name for name in listed.stdout.split("\0") if name and (SOURCE / name).is_file()}
    return {f"src/wine_cultivars/{name}" for name in PACKAGE} | library | {"src/bakebook/manifest.json"}


def test_the_files_of_a_project_are_those_and_no_others(tmp_path: Path) -> None:
    project = bake(tmp_path / "out", ci="none")
    assert files(project) == ALWAYS | code()


def test_the_library_does_not_name_the_project(baked: Path) -> None:
    library = [path for path in (baked / "src" / "bakebook").rglob("*") if path.is_file()]
    assert [path.name for path in library if "wine" in path.read_text("utf-8")] == []


def test_the_root_of_a_project_stays_small(baked: Path) -> None:
    assert len([path for path in baked.iterdir() if not path.name.startswith(".")]) <= 12


@pytest.mark.parametrize(("task", "ci", "license_name"), OPTIONS, ids=lambda value: value)
def test_every_combination_of_options_is_complete(tmp_path: Path, task: str, ci: str, license_name: str) -> None:
    project = bake(tmp_path / "out", task=task, ci=ci, license=license_name)
    assert files(project) == ALWAYS | CI_FILES[ci] | code()
    assert left_braces(project) == []


@pytest.mark.parametrize("ci", CI_FILES)
def test_the_code_of_a_project_is_clean(tmp_path: Path, run: Run, ci: str) -> None:
    project = bake(tmp_path / "out", ci=ci)
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy", f"--cache-dir={BUILD / 'mypy'}"]):
        done = run(project, *command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_long_package_name_leaves_the_code_clean(tmp_path: Path, run: Run) -> None:
    project = bake(tmp_path / "out", package_name="w" * 40)
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["nb", "check"]):
        done = run(project, *command)
        assert done.returncode == 0, done.stdout + done.stderr


def left_braces(project: Path) -> list[str]:
    """Files that still hold a sign of the template; CI's own braces, Python's doubled ones and Grafana's names of
    labels are meant.
    """
    meant = {"src", ".github"}
    paths = [project / name for name in files(project) if name.split("/")[0] not in meant]
    texts = [(path.name, re.sub(r"\{\{\w+\}\}", "", path.read_text("utf-8"))) for path in paths]
    found = [name for name, text in texts if any(sign in text for sign in ("{{", "{%"))]
    return found + [path.name for path in project.glob("src/**/*.py") if "cookiecutter" in path.read_text("utf-8")]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("question", ["project_name", "description", "author_name"])
def test_free_text_is_kept_letter_by_letter(tmp_path: Path, question: str, text: str) -> None:
    assert len(text) <= 80
    project = bake(tmp_path / "out", **{"project_slug": "wine", "package_name": "wine", question: text})
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    about = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["describe"]
    front = yaml.safe_load((project / "README.md").read_text(encoding="utf-8").split("---")[1].split("\n---")[0])
    kept = {
        "project_name": {about["title"], front["title"]},
        "description": {pyproject["description"], about["summary"], front["description"]},
        "author_name": {pyproject["authors"][0]["name"]},
    }
    assert kept[question] == {text}
    assert text in (project / "LICENSE").read_text(encoding="utf-8") or question != "author_name"


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("project_slug=../evil", "is not a valid folder name"),
        ("project_slug=/tmp/evil", "is not a valid folder name"),
        ("project_slug=a/b", "is not a valid folder name"),
        ("project_slug=-rf", "is not a valid folder name"),
        ("project_slug=con", "reserved device name on Windows"),
        ("project_slug=" + "a" * 5000, "is not a valid folder name"),
        ("project_slug=", "is not a valid folder name"),
        ("project_slug=scikit-learn", "is the name of a Python module or of an installed library"),
        ("package_name=class", "is a Python keyword"),
        ("package_name=match", "is a Python keyword"),
        ("package_name=pandas", "is the name of a Python module or of an installed library"),
        ("package_name=json", "is the name of a Python module or of an installed library"),
        ("package_name=1x", "is not a valid package name"),
        ("package_name=a.b", "is not a valid package name"),
        ("package_name=größe", "is not a valid package name"),
        ("project_name=", "is empty"),
        ("project_name=日本語\n", "contains a line break"),
        ("project_name=" + "a" * 5000, "has 5000 characters → use at most 80"),
        ("description=a\x00b", "control"),
        ("description=a\u202eb", "bidirectional"),
        ("description=\ud800", "invalid character"),
        ("description=" + "a" * 5000, "use at most 500"),
        ("author_name=  ", "is empty"),
        ("author_name=a\uffff", "control"),
        ("dataset=prices.csv", "does not exist"),
        ("dataset=", "is empty"),
        ("target=price", "target=cultivar"),
        ("task=regression", "task=auto"),
    ],
    ids=lambda value: value.encode("unicode_escape").decode()[:30],
)
def test_a_wrong_answer_is_refused_in_one_sentence_and_nothing_is_written(
    tmp_path: Path, answer: str, named: str
) -> None:
    name, _, value = answer.partition("=")
    code = (
        "import json, sys; from cookiecutter.main import cookiecutter\n"
        "template, folder, answers = json.load(sys.stdin)\n"
        "cookiecutter(template, no_input=True, extra_context=answers, output_dir=folder, default_config=True)"
    )
    given = json.dumps([str(TEMPLATE), str(tmp_path / "inner" / "out"), {name: value}])
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {name} ") and named in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "inner"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_target_that_the_table_does_not_have_is_found_when_it_is_answered(tmp_path: Path, delimiter: str) -> None:
    table = tmp_path / "houses.csv"
    table.write_text(delimiter.join(["area", "a rooms", "price"]) + "\n" + delimiter.join("123") + "\n", "utf-8-sig")
    answers = {"project_name": "Houses", "dataset": str(table)}
    with pytest.raises(
        SystemExit, match=r"^error: target 'pric' is not a column of houses\.csv → did you mean 'price'\?$"
    ):
        bake(tmp_path / "out", **answers, target="pric")
    assert not (tmp_path / "out").exists()
    assert bake(tmp_path / "out", **answers, target="price").is_dir()


def test_a_target_below_a_title_or_in_another_encoding_is_left_to_the_command(tmp_path: Path) -> None:
    titled = tmp_path / "titled.csv"
    titled.write_text("Houses of 2024\n\narea,price\n1,2\n", "utf-8")
    assert bake(tmp_path / "out", project_name="Titled", dataset=str(titled), target="price").is_dir()
    latin = tmp_path / "latin.csv"
    latin.write_bytes("Größe,Preis\n1,2\n".encode("latin-1"))
    assert bake(tmp_path / "out", project_name="Latin", dataset=str(latin), target="Größe").is_dir()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "wine-cultivars").mkdir()
    (tmp_path / "wine-cultivars" / "mine.txt").write_text("mine", encoding="utf-8")
    command = ["cookiecutter", str(TEMPLATE), "--no-input", "--output-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "already exists" in done.stdout + done.stderr
    assert files(tmp_path / "wine-cultivars") == {"mine.txt"}


def test_an_answer_that_is_code_is_not_run(tmp_path: Path) -> None:
    evil = '"); import os; os.mkdir("pwned"); ("'
    project = bake(tmp_path / "out", project_slug="wine", package_name="wine", author_name=evil)
    assert list(tmp_path.rglob("pwned")) == []
    pyproject = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    assert pyproject["project"]["authors"] == [{"name": evil}]


def test_the_prompts_can_be_answered_by_hand(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--output-dir", str(tmp_path)]
    answers = "Red wine\n" + "\n" * 8 + "2\n"
    done = subprocess.run(command, input=answers, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BSD 3-Clause" in (tmp_path / "red-wine" / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("answers", "fault", "next_prompt"),
    [
        ("Red wine\nRed Wine!\n", "project_slug 'Red Wine!' is not a valid folder name", "Python package name"),
        ("Red wine\n\nclass\n", "package_name 'class' is a Python keyword", "Data: a CSV"),
        ("Red wine\n\n\nnowhere.csv\n", "dataset 'nowhere.csv' does not exist", "Target column"),
        ("Red wine\n\n\n\ncolour\n", "target 'colour' is not the target of the wine data", "Task"),
    ],
)
def test_a_wrong_answer_ends_before_the_next_question(
    tmp_path: Path, answers: str, fault: str, next_prompt: str
) -> None:
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--output-dir", str(tmp_path)]
    done = subprocess.run(command, input=answers, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 1 and f"error: {fault}" in done.stderr
    assert next_prompt not in done.stdout
    assert list(tmp_path.iterdir()) == []
