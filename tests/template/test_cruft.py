"""The template can be followed: cruft creates a project, checks it, and brings it a later version."""

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from conftest import TEMPLATE, Run, commit, git

ONE_PACKAGE = "2d72722"  # the last commit of the template whose projects have one package
IGNORED = shutil.ignore_patterns(".git", ".venv", "build", "uv.lock", ".*_cache", "__pycache__")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A copy of the template with a history of its own."""
    copy = Path(shutil.copytree(TEMPLATE, tmp_path / "template", ignore=IGNORED))
    git(copy, "init", "--quiet", "--initial-branch=main")
    commit(copy)
    return copy


def cruft(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home = {"HOME": str(folder), "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com"}
    home |= {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com"}
    done = subprocess.run(
        ["cruft", *arguments], cwd=folder, env=os.environ | home, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_project_follows_its_template(template: Path, tmp_path: Path) -> None:
    cruft(tmp_path, "create", str(template), "--no-input", "--extra-context", '{"author_name": "Ann \\"A\\" Bø"}')
    project = tmp_path / "wine-cultivars"
    commit(project)
    cruft(project, "check")

    page = template / "{{cookiecutter.project_slug}}" / "README.md"
    page.write_text(page.read_text(encoding="utf-8") + "\nOne more line.\n", encoding="utf-8")
    commit(template)
    cruft(project, "update", "--skip-apply-ask")

    assert (project / "README.md").read_text(encoding="utf-8").endswith("\nOne more line.\n")
    assert 'Ann "A" Bø' in (project / "LICENSE").read_text(encoding="utf-8")
    changed = {line[3:] for line in git(project, "status", "--short").splitlines()}
    assert changed == {".cruft.json", "README.md"}


def test_a_project_of_one_package_gets_the_library(tmp_path: Path, run: Run) -> None:
    """What CHANGELOG.md asks of a person, step by step: one conflict, imports, one path."""
    template = two_versions(tmp_path / "template")
    cruft(tmp_path, "create", str(template), "--checkout", "old", "--no-input")
    project = tmp_path / "wine-quality"
    commit(project)
    new = run(project, "python", "-c", "from wine_quality.cli import main; main()", "new", "clusters")
    assert new.returncode == 0, new.stderr
    edit(project / "src/wine_quality/features.py", ("MOST_WORDS = 1000", "MOST_WORDS = 500"))
    commit(project)
    clusters = (project / "notebooks/clusters.ipynb").read_bytes()

    cruft(project, "update", "--skip-apply-ask", "--checkout", "main")

    states = git(project, "status", "--short").splitlines()
    states = [state for state in states if state[:2] not in ("A ", "D ", "M ", "R ")]
    assert states == [" M .cruft.json", "UU src/wine_quality/features.py"]
    assert not list(project.rglob("*.rej"))
    assert (project / "notebooks/clusters.ipynb").read_bytes() == clusters
    git(project, "checkout", "--theirs", "src/wine_quality/features.py")
    edit(project / "src/wine_quality/features.py", ("MOST_WORDS = 1000", "MOST_WORDS = 500"))
    checked = run(project, "nb", "check")
    assert "clusters.ipynb: imports wine_quality.data, which does not exist → fix the import" in checked.stderr
    assert "did you mean 'data/interim/table.parquet'?" in checked.stderr

    edit(
        project / "notebooks/clusters.ipynb",
        ("from wine_quality.parameters import", "from bakebook.params import"),
        ("from wine_quality import data, paths", "from bakebook import artifacts, paths"),
        ("data.read_table", "artifacts.read_table"),
    )
    edit(project / "dvc.yaml", ("data/raw/table.parquet", "data/interim/table.parquet"))
    assert run(project, "nb", "sync").returncode == 0
    checked = run(project, "nb", "check")
    assert checked.stdout == "8 stages are consistent\n", checked.stderr
    repro = run(project, "dvc", "repro", "ingest", "clusters")
    assert repro.returncode == 0, repro.stdout + repro.stderr


def two_versions(folder: Path) -> Path:
    """A repository with the last template of one package as the tag `old`, and this one as `main`."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    archive = subprocess.run(["git", "archive", ONE_PACKAGE], cwd=TEMPLATE, capture_output=True)
    if archive.returncode:
        pytest.skip("needs the history of the template: git fetch --unshallow")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    commit(folder)
    git(folder, "tag", "old")
    git(folder, "rm", "-r", "--quiet", ".")
    shutil.copytree(TEMPLATE, folder, ignore=IGNORED, dirs_exist_ok=True)
    commit(folder)
    return folder


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
