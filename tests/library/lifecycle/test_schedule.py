"""The files of each scheduler: they say when cron would run, run what they say, and are not written over."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from bakebook.contract.schedule import Entry
from bakebook.errors import BadInput
from bakebook.lifecycle.schedule import cron, writing
from bakebook.lifecycle.schedule.plan import Plan, program
from bakebook.lifecycle.schedule.systemd import on_calendar

MONITOR, RETRAIN = Entry("monitor", "0 6 * * *"), Entry("retrain", "30 6 * * 1")
ODD = "100 % an odd = folder; & more"
NB = """#!/bin/sh
pwd
echo "$@"
"""
CRONS = {
    "0 6 * * *": "*-*-* 6:0:00 UTC",
    "* * * * *": "*-*-* *:*:00 UTC",
    "*/20 8-10 * * *": "*-*-* 8,9,10:0,20,40:00 UTC",
    "30 6 * * 1": "Mon *-*-* 6:30:00 UTC",
    "0 0 * * SUN": "Sun *-*-* 0:0:00 UTC",
    "0 0 * * 0-2": "Sun,Mon,Tue *-*-* 0:0:00 UTC",
    "0 0 * * 0-6": "Sun,Mon,Tue,Wed,Thu,Fri,Sat *-*-* 0:0:00 UTC",
    "0 0 1,15 jan-mar *": "*-1,2,3-1,15 0:0:00 UTC",
    "0 0 1-31 * *": "*-*-* 0:0:00 UTC",
    "59 23 29 2 *": "*-2-29 23:59:00 UTC",
}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Of a folder with an odd name, and an environment in it."""
    root = tmp_path / ODD
    nb = root / ".venv" / "bin" / "nb"
    nb.parent.mkdir(parents=True)
    nb.write_text(NB, "utf-8")
    nb.chmod(0o755)
    (root / ".git").mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "the-wines"\n', "utf-8")
    monkeypatch.setattr(sys, "executable", str(nb.with_name("python")))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Plan(root, [MONITOR, RETRAIN], push=False)


@pytest.mark.parametrize("expression", CRONS)
def test_systemd_gets_the_times_of_cron(expression: str) -> None:
    assert on_calendar(expression) == CRONS[expression]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze, of Debian's systemd")
@pytest.mark.parametrize("expression", CRONS)
def test_systemd_reads_them_as_cron_does(expression: str) -> None:
    start = datetime(2026, 11, 30, tzinfo=UTC)
    assert systemd_times(on_calendar(expression), start) == list(islice(Entry("monitor", expression).times(start), 9))


def systemd_times(calendar: str, start: datetime) -> list[datetime]:
    """The next times of a calendar expression after a time, by systemd itself."""
    base = (start + timedelta(seconds=1)).strftime("%Y-%m-%d %H:%M:%S UTC")
    command = ["systemd-analyze", "calendar", "--iterations=9", f"--base-time={base}", calendar]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"TZ": "UTC"}).stdout
    found = re.findall(r"(?:Next elapse|Iteration #\d+|Iter\. #\d+): \w+ (\S+ \S+) UTC", said)
    return [datetime.strptime(one, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for one in found]


@pytest.mark.parametrize("name", ["it's", 'a "b"', "$HOME", "a\\b"])
def test_a_program_that_systemd_would_not_start_is_refused(plan: Plan, tmp_path: Path, name: str) -> None:
    nb = tmp_path / name / "nb"
    nb.parent.mkdir()
    shutil.copy(plan.root / ".venv/bin/nb", nb)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(nb.with_name("python")))
        with pytest.raises(BadInput, match="systemd starts no program"):
            writing.write("systemd", plan)
    assert not (tmp_path / "config").exists()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze, of Debian's systemd")
def test_systemd_accepts_the_units_of_a_folder_with_an_odd_name(plan: Plan, tmp_path: Path) -> None:
    writing.write("systemd", plan)
    units = sorted((tmp_path / "config" / "systemd" / "user").iterdir())
    assert [unit.name for unit in units] == [
        "the-wines-monitor.service",
        "the-wines-monitor.timer",
        "the-wines-retrain.service",
        "the-wines-retrain.timer",
    ]
    command = ["systemd-analyze", "verify", "--man=no", *map(str, units)]
    done = subprocess.run(command, capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "the-wines" in line]
    assert ours == []


def test_a_line_of_cron_runs_its_command_in_a_folder_with_an_odd_name(plan: Plan) -> None:
    *_, line = cron.lines(plan)
    assert line.startswith("30 6 * * 1 cd ")
    assert not re.search(r"(?<!\\)%", line)  # where cron would end the command
    command = line.removeprefix(f"{RETRAIN.cron} ").replace(r"\%", "%")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env={"PATH": os.defpath})
    assert done.stdout.splitlines() == [str(plan.root), "retrain"]


def test_only_retrainings_are_pushed(plan: Plan) -> None:
    assert program(MONITOR, push=True)[1:] == ["monitor"]
    assert program(RETRAIN, push=True)[1:] == ["retrain", "--push"]
    pushed = replace(plan, push=True)
    place = plan.root / "deploy/airflow/the_wines.py"
    for one in (plan, pushed):
        writing.write("airflow", one)
        assert ("nb retrain --push" in place.read_text("utf-8")) == one.push
    with pytest.raises(BadInput, match="no credentials to push"):
        writing.write("compose", pushed)


@pytest.mark.parametrize("name", writing.SCHEDULERS)
def test_a_file_that_a_person_edited_is_not_written_over(plan: Plan, name: str) -> None:
    first = writing.write(name, plan)
    assert writing.write(name, plan) == first
    written = [Path(plan.root, line.removeprefix("wrote ")) for line in first if line.startswith("wrote ")]
    before = {path: path.read_bytes() for path in written}
    edited = written[-1]
    edited.write_text(f"{before[edited].decode()}# and mine\n", "utf-8")
    before[edited] = edited.read_bytes()
    with pytest.raises(BadInput, match="was edited"):
        writing.write(name, replace(plan, entries=[Entry("monitor", "7 7 * * *")]))
    assert {path: path.read_bytes() for path in written} == before


@pytest.mark.parametrize("name", writing.SCHEDULERS)
def test_no_mark_for_a_word_is_left_in_a_file(plan: Plan, name: str) -> None:
    for text in writing.SCHEDULERS[name].files(plan).values():
        assert not re.search(r"<[a-z]+>", text)


def test_what_is_not_scheduled_any_more_is_removed(plan: Plan) -> None:
    writing.write("github", plan)
    lines = writing.write("github", replace(plan, entries=[MONITOR]))
    assert lines[:2] == ["removed .github/workflows/retrain.yaml", "wrote .github/workflows/monitor.yaml"]
    assert not (plan.root / ".github/workflows/retrain.yaml").exists()


def test_when_nothing_is_scheduled_any_more_everything_is_removed(plan: Plan, tmp_path: Path) -> None:
    nothing = replace(plan, entries=[])
    for name in writing.SCHEDULERS:
        writing.write(name, plan)
    assert len(writing.overview(nothing)) == 1 + len(writing.SCHEDULERS)
    for name in writing.SCHEDULERS:
        lines = writing.write(name, nothing)
        assert lines and all(line.startswith(("removed ", "next: systemctl --user stop ")) for line in lines)
        with pytest.raises(BadInput, match="schedules no command"):
            writing.write(name, nothing)
    assert writing.overview(nothing) == ["nothing is scheduled"]


def test_a_project_that_a_scheduler_cannot_run_is_refused(plan: Plan, tmp_path: Path) -> None:
    (plan.root / ".git").rmdir()
    with pytest.raises(BadInput, match=r"the folder \.git"):
        writing.write("compose", plan)
    subprocess.run(["git", "init", "--quiet", str(plan.root.parent)], check=True)
    for name in ("github", "gitlab"):
        with pytest.raises(BadInput, match="top folder"):
            writing.write(name, plan)
    assert len(writing.overview(plan)) == 2


def test_units_of_another_project_of_that_name_stay(plan: Plan, tmp_path: Path) -> None:
    writing.write("systemd", plan)
    other = Plan(tmp_path / "other", plan.entries, push=False)
    shutil.copytree(plan.root, other.root)
    with pytest.raises(BadInput, match="is not from this project"):
        writing.write("systemd", other)


def test_a_file_that_says_something_else_is_named(plan: Plan) -> None:
    writing.write("github", plan)
    writing.write("systemd", replace(plan, push=True))
    first, second = writing.overview(plan)
    assert re.fullmatch(r"nb monitor: at 06:00 every day \(UTC\), next \d{4}-\d\d-\d\d 06:00", first)
    assert re.fullmatch(r"nb retrain: at 06:30 on Monday \(UTC\), next \d{4}-\d\d-\d\d 06:30", second)
    later = replace(plan, entries=[MONITOR, Entry("retrain", "5 6 * * *")])
    by_systemd, by_github = writing.overview(later)[2:]
    assert by_systemd.endswith("the-wines-retrain.timer says something else: nb schedule systemd --push")
    assert by_github == ".github/workflows/retrain.yaml says something else: nb schedule github"
