"""The template can be followed: cruft creates a project, checks it, and brings it a later version."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import TEMPLATE, commit, git

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
