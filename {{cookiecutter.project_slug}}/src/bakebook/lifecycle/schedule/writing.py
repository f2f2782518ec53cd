"""`nb schedule`: says when commands run, and writes it down for a scheduler. A file that a person
has edited stays as it is.
"""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cronsim import CronSim

from bakebook.contract.project import Project
from bakebook.contract.schedule import COMMANDS, SCHEDULE, Entry, entries
from bakebook.errors import BadInput
from bakebook.files import write_text
from bakebook.lifecycle.schedule.ci import GITHUB, GITLAB
from bakebook.lifecycle.schedule.deployed import AIRFLOW, COMPOSE
from bakebook.lifecycle.schedule.plan import Plan, Scheduler
from bakebook.lifecycle.schedule.systemd import SYSTEMD

SCHEDULERS: dict[str, Scheduler] = {
    "systemd": SYSTEMD,
    "github": GITHUB,
    "gitlab": GITLAB,
    "compose": COMPOSE,
    "airflow": AIRFLOW,
}
PARAMS = "params.yaml"
FIRST = "# From the section schedule of {params}, by nb schedule {name}: change it there.\n"
LAST = re.compile(r"# sha256 of the lines above: ([0-9a-f]{64})\n\Z")


def planned(project: Project, *, push: bool) -> Plan:
    """Raises BadInput where nothing is scheduled."""
    found = entries(project)
    if not found:
        remedy = " or ".join(f"set {SCHEDULE}.{name}" for name in COMMANDS)
        raise BadInput("params.yaml schedules no command", f"{remedy}, like '0 6 * * *'")
    return Plan(project.root, found, push)


def overview(plan: Plan) -> list[str]:
    """When each command runs, and which files say something else."""
    lines = [_described(entry) for entry in plan.entries]
    for name in SCHEDULERS:
        if outdated := _outdated(name, plan):
            lines.append(f"{_shown(outdated, plan.root)} says something else: nb schedule {name}")
    return lines


def _described(entry: Entry) -> str:
    now = datetime.now(UTC)
    words = CronSim(entry.cron, now).explain()
    first = next(entry.times(now))
    return f"nb {entry.command}: {words[0].lower()}{words[1:]} (UTC), next {first:%Y-%m-%d %H:%M}"


def _outdated(name: str, plan: Plan) -> Path | None:
    """The first file of a scheduler that does not say what params.yaml says."""
    ways = [_signed(name, replace(plan, push=push)) for push in (True, False)]
    for path in sorted(_paths(name, plan)):
        known = [way.get(path) for way in ways]
        if path.is_file() and path.read_text(encoding="utf-8", errors="replace") not in known:
            return path
    return None


def _paths(name: str, plan: Plan) -> set[Path]:
    """Where a scheduler's files are, of every command that could be scheduled."""
    every = [Entry(command, "0 0 * * *") for command in COMMANDS]
    return set(SCHEDULERS[name].files(replace(plan, entries=every)))


def _signed(name: str, plan: Plan) -> dict[Path, str]:
    """The files, with a first line that says where they come from, and their hash in the last."""
    found = {}
    for path, text in SCHEDULERS[name].files(plan).items():
        is_inside = path.is_relative_to(plan.root)
        whole = FIRST.format(params=PARAMS if is_inside else plan.root / PARAMS, name=name) + text
        found[path] = f"{whole}# sha256 of the lines above: {_hash(whole)}\n"
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write(name: str, plan: Plan) -> list[str]:
    """Writes a scheduler's files, and removes those of commands that are not scheduled any more;
    lines for the user. Raises BadInput, before it changes anything, where a person edited one.
    """
    new = _signed(name, plan)
    old = {path for path in _paths(name, plan) if path.exists()}
    for path in sorted(old):
        if not _is_ours(path, plan.root):
            what = f"{_shown(path, plan.root)} was edited, or is not from this project"
            raise BadInput(what, "change it by hand, or move it away and run this again")
    lines = []
    for path in sorted(old - set(new)):
        path.unlink()
        lines.append(f"removed {_shown(path, plan.root)}")
    for path, text in new.items():
        write_text(text, path)
        lines.append(f"wrote {_shown(path, plan.root)}")
    return [*lines, *(f"next: {step}" for step in SCHEDULERS[name].steps(plan))]


def _is_ours(path: Path, root: Path) -> bool:
    """Whether `nb schedule` wrote a file as it is; outside of the project, for this project."""
    text = path.read_text(encoding="utf-8", errors="replace")
    last = LAST.search(text)
    is_whole = last is not None and last[1] == _hash(text[: last.start()])
    return is_whole and (path.is_relative_to(root) or f" {root / PARAMS}," in text)


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
