"""Units of systemd for a user: for each command a service, and a timer that starts it."""

import os
import re
import sys
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from pathlib import Path

from cronsim import CronSim

from bakebook.errors import BadInput
from bakebook.lifecycle.schedule.plan import RETRAIN, Plan, Scheduler, filled, program

DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
AFTER = "\nAfter={name}-monitor.service"  # both may start when a machine does
UNSAFE = re.compile(r"""['"$\\]""")
ANY = CronSim("* * * * *", datetime.now(UTC))


def _files(plan: Plan) -> dict[Path, str]:
    if sys.platform != "linux":
        raise BadInput("there is no systemd on this system", "nb schedule run")
    found = {}
    for entry in plan.entries:
        command = program(entry, push=plan.push)
        words = {
            "project": _escaped(plan.name),
            "command": entry.command,
            "folder": _escaped(str(plan.root)),
            "program": _quoted(command),
            "time": on_calendar(entry.cron),
            "after": AFTER.format(name=plan.name) if entry.command == RETRAIN else "",
        }
        for kind in ("service", "timer"):
            path = _folder() / f"{plan.name}-{entry.command}.{kind}"
            found[path] = filled(f"systemd.{kind}", words)
    return found


def _steps(plan: Plan) -> list[str]:
    timers = " ".join(f"{plan.name}-{entry.command}.timer" for entry in plan.entries)
    return [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {timers}",
        "loginctl enable-linger, if they should also run while you are logged out",
    ]


def _folder() -> Path:
    """Where systemd finds the units of a user."""
    try:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    except RuntimeError:
        raise BadInput("this user has no home folder for units", "nb schedule cron") from None
    return Path(base) / "systemd" / "user"


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(command: Sequence[str]) -> str:
    """Raises BadInput for a program that systemd would not start."""
    if UNSAFE.search(command[0]):
        what = f"systemd starts no program whose path has a quote, $ or backslash: {command[0]}"
        raise BadInput(what, "move the project to another folder, and uv sync; or nb schedule cron")
    return " ".join(f'"{_escaped(word)}"' for word in command)


def on_calendar(cron: str) -> str:
    """The calendar expression of systemd that means the same."""
    found = CronSim(cron, datetime.now(UTC))
    hours = _listed(found.hours, ANY.hours)
    minutes = _listed(found.minutes, ANY.minutes)
    time = f"{hours}:{minutes}:00 UTC"
    months = _listed(found.months, ANY.months)
    days = _listed(found.days, ANY.days)
    if found.weekdays == ANY.weekdays:
        return f"*-{months}-{days} {time}"
    weekdays = ",".join(name for number, name in enumerate(DAYS) if number in found.weekdays)
    return f"{weekdays} *-{months}-{days} {time}"


def _listed(numbers: Set[int], all_: Set[int]) -> str:
    return "*" if numbers == all_ else ",".join(str(one) for one in sorted(numbers))


SYSTEMD = Scheduler(_files, _steps)
