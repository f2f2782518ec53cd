"""The CI files of a baked project: valid by their published schemas, safe, and each line of theirs runs."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import BUILD, TEMPLATE, Run, bake, commit, git
from test_contract import replace

GITHUB, GITLAB = Path(".github/workflows/ci.yaml"), Path(".gitlab-ci.yml")
INSTALLS = ("pip install uv", "uv sync", "uv cache prune")
RUN_ELSEWHERE = ("uv run pytest",)  # minutes, and run by test_run.py as the README says them
CHANGE = "## What this change does, compared with main\n"


@pytest.fixture
def gitlab(tmp_path: Path) -> Path:
    return bake(tmp_path / "gitlab", ci="gitlab")


def steps(project: Path, job: str) -> list[dict[str, Any]]:
    """The steps of a job of GitHub's that run a command."""
    job_steps: list[dict[str, Any]] = yaml.safe_load((project / GITHUB).read_text("utf-8"))["jobs"][job]["steps"]
    return [step for step in job_steps if "run" in step]


def script(project: Path, job: str) -> list[str]:
    """The lines of a job of GitLab's."""
    lines: list[str] = yaml.safe_load((project / GITLAB).read_text("utf-8"))[job]["script"]
    return lines


@pytest.mark.parametrize(
    ("kind", "path"),
    [("vendor.github-workflows", GITHUB), ("vendor.gitlab-ci", GITLAB)],
)
def test_a_ci_file_is_valid_by_its_published_schema(baked: Path, gitlab: Path, kind: str, path: Path) -> None:
    place = (baked if path == GITHUB else gitlab) / path
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", kind, str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_templates_own_ci_file_is_valid_too() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(TEMPLATE / GITHUB)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("place", ["baked", "template"])
def test_githubs_file_gives_away_nothing(baked: Path, place: str) -> None:
    """zizmor knows the ways in which workflows were broken into: unpinned actions, wide permissions, injected text."""
    path = {"baked": baked, "template": TEMPLATE}[place] / GITHUB
    done = subprocess.run(["zizmor", "--offline", "--no-progress", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    text = path.read_text("utf-8")
    assert all(re.search(r"@[0-9a-f]{40}  # v[\d.]+$", line) for line in text.splitlines() if "uses:" in line)
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    assert "set -x" not in text


def test_both_files_run_the_same_commands(baked: Path, gitlab: Path) -> None:
    github = [step["run"] for step in steps(baked, "check") if not step["run"].startswith("mkdir")]
    lines = [line for line in script(gitlab, "check")[1:] if "uv run" in line and "mkdir" not in line]
    assert github == ["uv sync", *lines]


def test_both_files_release_by_the_same_commands(baked: Path, gitlab: Path) -> None:
    """GitHub's are run for real in test_containers.py."""
    build, start, ask, push = (step["run"] for step in steps(baked, "release"))
    *lines, pushed = script(gitlab, "release")
    assert lines == [build, start, ask]
    assert [line.strip() for line in pushed.splitlines()[1:-1]] == push.splitlines()
    assert script(gitlab, "deploy") == steps(baked, "deploy")[0]["run"].splitlines()


def test_a_release_reads_no_cache(baked: Path, gitlab: Path) -> None:
    """What a merge request left in a cache must not come into an image."""
    first = yaml.safe_load((baked / GITHUB).read_text("utf-8"))["jobs"]["check"]["steps"]
    caching = {step["uses"].partition("@")[0]: step["with"] for step in first if "cache" in str(step.get("with", ""))}
    assert caching["astral-sh/setup-uv"]["enable-cache"] == "${{ github.ref_type != 'tag' }}"
    assert caching["actions/cache"]["lookup-only"] == "${{ github.ref_type == 'tag' }}"
    theirs = yaml.safe_load((gitlab / GITLAB).read_text("utf-8"))
    assert [cache["policy"] for cache in theirs["check"]["cache"]] == ["$CACHE_POLICY"] * 2
    (tag,) = (rule for rule in theirs["workflow"]["rules"] if "CI_COMMIT_TAG" in rule["if"])
    assert tag["variables"] == {"CACHE_POLICY": "push"} and "CACHE_POLICY" not in theirs["check"]["variables"]


def test_no_password_is_known_and_nothing_is_open_to_the_world(baked: Path) -> None:
    compose = (baked / "deploy" / "compose.yaml").read_text("utf-8")
    example = (baked / "deploy" / ".env.example").read_text("utf-8")
    for name in ("POSTGRES_PASSWORD", "MLFLOW_POSTGRES_PASSWORD", "MLFLOW_PASSWORD", "MLFLOW_SECRET_KEY"):
        assert f"\n{name}=\n" in example
        found = re.findall(rf"\$\{{{name}\b[^}}]*\}}", compose)
        assert found and set(found) == {f"${{{name}:?set it in deploy/.env}}"}
    services = yaml.safe_load(compose)["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 2 and all(port.startswith("127.0.0.1:") for port in ports)
    for name in ("api", "mlflow"):
        assert services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"]


@pytest.fixture
def changed(finished: Path, run: Run, tmp_path: Path) -> Path:
    """A clone, as CI makes one, of a project whose branch has another parameter than main; with the cache of main."""
    git(tmp_path, "clone", "--quiet", "--bare", str(finished), str(tmp_path / "remote"))
    clone = tmp_path / finished.name
    git(tmp_path, "clone", "--quiet", str(tmp_path / "remote"), str(clone))
    shutil.copytree(finished / ".dvc" / "cache", clone / ".dvc" / "cache")
    git(clone, "checkout", "--quiet", "-b", "fewer-trees")
    replace("params.yaml", "n_estimators: 100", "n_estimators: 30")(clone)
    commit(clone)
    return clone


def shell(project: Path, lines: str, environment: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    own = {
        "UV_NO_SYNC": "1",
        "PYTHONPATH": str(project / "src"),
        "CI": "true",
        "MYPY_CACHE_DIR": str(BUILD / "mypy"),
    }
    variables = {name: value for name, value in environment.items() if name != "VIRTUAL_ENV"} | own | more
    return subprocess.run(
        ["sh", "-e", "-c", lines], cwd=project, env=variables, capture_output=True, text=True, encoding="utf-8"
    )


@pytest.mark.slow
def test_each_line_of_githubs_file_runs(changed: Path, run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    variables = {
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_SERVER_URL": "https://example.com",
        "GITHUB_REPOSITORY": "somebody/wine",
        "GITHUB_RUN_ID": "7",
    }
    for step in steps(changed, "check"):
        if "dvc remote list" in step["run"]:  # the results of main come from a remote
            shutil.move(changed / ".dvc" / "cache", tmp_path / "store")
            assert run(changed, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store")).returncode == 0
        if not step["run"].startswith((*INSTALLS, *RUN_ELSEWHERE)):
            done = shell(changed, step["run"], environment, **variables)
            assert done.returncode == 0, f"{step['run']}\n{done.stdout}{done.stderr}"
            if step["run"] == "uv run dvc repro":
                assert set(re.findall(r"Running stage '(\w+)'", done.stdout)) == {
                    "train",
                    "export",
                    "evaluate",
                    "describe",
                }
    holds_the_change(changed, tmp_path / "summary.md")
    told = tmp_path / "gh"  # GitHub's own program: not ours, and of no use without GitHub
    told.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$TOLD"\n', encoding="utf-8")
    told.chmod(0o755)
    (comment,) = steps(changed, "comment")
    path = f"{tmp_path}{os.pathsep}{environment['PATH']}"
    done = shell(changed, comment["run"], environment | {"PATH": path}, NUMBER="12", TOLD=str(tmp_path / "told"))
    assert done.returncode == 0, done.stderr
    words = ["pr", "comment", "12", "--edit-last", "--create-if-none", "--body-file", "comparison/report.md"]
    assert (tmp_path / "told").read_text("utf-8").split("\n")[:-1] == words


def holds_the_change(project: Path, report: Path) -> None:
    text = report.read_text("utf-8")
    assert text.startswith(CHANGE)
    assert re.search(r"\| model\.log_loss +\| [\d.]+ +\| [\d.]+ +\|", text), text
    assert re.search(r"\| train\.hyperparameters\.n_estimators +\| 100 +\| 30 +\|", text), text
    plots = (project / "comparison/plots/index.html").read_text("utf-8")
    assert "Confusion matrix" in plots and "workspace" in plots and "origin/main" in plots


@pytest.mark.slow
def test_each_line_of_gitlabs_file_runs(changed: Path, gitlab: Path, environment: dict[str, str]) -> None:
    variables = {
        "CI_MERGE_REQUEST_IID": "5",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_JOB_URL": "https://example.com",
    }
    checks = ("uv run nb", "uv run ruff", "uv run mypy")  # they are GitHub's, line by line
    lines = [line for line in script(gitlab, "check") if not line.startswith((*INSTALLS, *RUN_ELSEWHERE, *checks))]
    done = shell(changed, "\n".join(lines), environment, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    holds_the_change(changed, changed / "comparison/report.md")
    report = (changed / "comparison/report.md").read_text("utf-8")
    with Notes() as notes:
        for _ in range(2):
            done = comment_on_gitlab(changed, gitlab, environment, notes, token="right")  # noqa: S106 - of our own server
            assert done.returncode == 0, done.stderr
            assert "right" not in done.stdout + done.stderr
        assert [note["body"] for note in notes.kept] == ["Somebody's note", report]
        assert comment_on_gitlab(changed, gitlab, environment, notes, token="wrong").returncode != 0  # noqa: S106


def comment_on_gitlab(
    project: Path, gitlab: Path, environment: dict[str, str], notes: "Notes", token: str
) -> subprocess.CompletedProcess[str]:
    lines = "\n".join(script(gitlab, "comment"))
    place = f"http://127.0.0.1:{notes.server.server_port}/projects/1/merge_requests/5/notes"
    return shell(project, lines, environment, NOTES=place, REPORT_TOKEN=token)


class Notes:
    """The part of GitLab's API that keeps the notes of a merge request."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = [{"id": 1, "body": "Somebody's note"}]
        kept = self.kept

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(kept)

            def do_POST(self) -> None:
                kept.append({"id": len(kept) + 1, "body": self.body()})
                self.answer(kept[-1])

            def do_PUT(self) -> None:
                (note,) = (one for one in kept if one["id"] == int(self.path.rpartition("/")[2]))
                note["body"] = self.body()
                self.answer(note)

            def body(self) -> str:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                return urllib.parse.parse_qs(text)["body"][0]

            def answer(self, content: object) -> None:
                self.send_response(200 if self.headers["PRIVATE-TOKEN"] == "right" else 401)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, *ignored: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> "Notes":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self.server.shutdown()
        self.server.server_close()
