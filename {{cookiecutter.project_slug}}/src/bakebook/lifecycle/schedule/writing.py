"""`nb schedule`: says when commands run, and writes it down for a scheduler. A file that a person
has edited stays as it is.
"""

import hashlib
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cronsim import CronSim

from bakebook.contract.schedule import COMMANDS, SCHEDULE, Entry
from bakebook.errors import BadInput
from bakebook.files import write_text
from bakebook.lifecycle.schedule.ci import GITHUB, GITLAB
from bakebook.lifecycle.schedule.deployed import AIRFLOW, COMPOSE
from bakebook.lifecycle.schedule.plan import PUSH, Plan, Scheduler
from bakebook.lifecycle.schedule.systemd import SYSTEMD

SCHEDULERS: dict[str, Scheduler] = {
    "systemd": SYSTEMD,
    "github": GITHUB,
    "gitlab": GITLAB,
    "compose": COMPOSE,
    "airflow": AIRFLOW,
}
ALWAYS = ("github", "gitlab")  # push
TIMER = ".timer"
PARAMS = "params.yaml"
FIRST = "# From the section schedule of {params}, by nb schedule {name}: change it there.\n"
LAST = re.compile(r"# sha256 of the lines above: ([0-9a-f]{64})\n\Z")


def required(plan: Plan) -> Plan:
    """The plan. Raises BadInput where nothing is scheduled."""
    if not plan.entries:
        remedy = " or ".join(f"set {SCHEDULE}.{name}" for name in COMMANDS)
        raise BadInput("params.yaml schedules no command", f"{remedy}, like '0 6 * * *'")
    return plan


def overview(plan: Plan) -> list[str]:
    """When each command runs, and which files say something else."""
    lines = [_described(entry) for entry in plan.entries] or ["nothing is scheduled"]
    for name in SCHEDULERS:
        with suppress(BadInput):  # of a scheduler that this project cannot have
            lines += _outdated(name, plan)
    return lines


def _described(entry: Entry) -> str:
    now = datetime.now(UTC)
    words = CronSim(entry.cron, now).explain()
    first = next(entry.times(now))
    return f"nb {entry.command}: {words[0].lower()}{words[1:]} (UTC), next {first:%Y-%m-%d %H:%M}"


def _outdated(name: str, plan: Plan) -> list[str]:
    """A line about the first file of a scheduler that does not say what params.yaml says."""
    found = {path: _text(path) for path in sorted(_paths(name, plan)) if path.is_file()}
    push = name not in ALWAYS and any(PUSH.strip() in text for text in found.values())
    new = _signed(name, replace(plan, push=push))
    for path, text in found.items():
        if text != new.get(path):
            command = f"nb schedule {name}{PUSH if push else ''}"
            return [f"{_shown(path, plan.root)} says something else: {command}"]
    return []


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _paths(name: str, plan: Plan) -> set[Path]:
    """Where a scheduler's files are, of every command that could be scheduled."""
    every = [Entry(command, "0 0 * * *") for command in COMMANDS]
    return set(SCHEDULERS[name].files(replace(plan, entries=every)))


def _signed(name: str, plan: Plan) -> dict[Path, str]:
    """The files, with a first line that says where they come from, and their hash in the last."""
    found = {}
    files = SCHEDULERS[name].files(plan) if plan.entries else {}
    for path, text in files.items():
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
    if not old:
        required(plan)
    for path in sorted(old):
        if not _is_ours(path, plan.root):
            what = f"{_shown(path, plan.root)} was edited, or is not from this project"
            raise BadInput(what, "change it by hand, or move it away and run this again")
    lines = []
    for path in sorted(old - set(new)):
        path.unlink()
        lines.append(f"removed {_shown(path, plan.root)}")
        if path.suffix == TIMER:
            lines.append(f"next: systemctl --user stop {path.name}")
    for path, text in new.items():
        write_text(text, path)
        lines.append(f"wrote {_shown(path, plan.root)}")
    steps = SCHEDULERS[name].steps(plan) if plan.entries else []
    return [*lines, *(f"next: {step}" for step in steps)]


def _is_ours(path: Path, root: Path) -> bool:
    """Whether `nb schedule` wrote a file as it is; outside of the project, for this project."""
    text = _text(path)
    last = LAST.search(text)
    is_whole = last is not None and last[1] == _hash(text[: last.start()])
    return is_whole and (path.is_relative_to(root) or f" {root / PARAMS}," in text)


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
