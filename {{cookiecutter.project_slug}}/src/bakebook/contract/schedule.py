"""When the commands of the section `schedule` run: cron expressions, which every scheduler
understands in the same way.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import get_args

from cronsim import CronSim, CronSimError

from bakebook.contract.parameters import Fault, Faults, place
from bakebook.contract.project import Project
from bakebook.params import Scheduled

SCHEDULE = "schedule"
COMMANDS: tuple[Scheduled, ...] = get_args(Scheduled)
# What cron, systemd, GitHub, GitLab and Airflow read alike: *, */5, or a list of values and ranges
STEP = r"\*(/\d+)?"
VALUE = r"(\d+|[A-Za-z]{3})"
RANGE = rf"{VALUE}(-{VALUE}(/\d+)?)?"
FIELD = re.compile(rf"{STEP}|{RANGE}(,{RANGE})*")
SUNDAY = re.compile(r"\b7\b")
FIELDS = 5
EXAMPLE = "write minute, hour, day, month and weekday, like '0 6 * * *', or '' for never"
LOOKED_AT = 400  # starts of a command that must not be those of the other
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Entry:
    """A command, and when it runs in UTC."""

    command: Scheduled
    cron: str

    def times(self, start: datetime) -> Iterator[datetime]:
        """The times after `start` at which it runs."""
        return CronSim(self.cron, start)


def entries(project: Project) -> list[Entry]:
    """What params.yaml schedules; its values are known to be right."""
    values = project.params.get(SCHEDULE) or {}
    return [Entry(name, str(values[name])) for name in COMMANDS if values.get(name)]


def check_schedule(project: Project) -> Faults:
    """What is no cron expression, and commands that would meet: of two at once the second ends."""
    values = project.params.get(SCHEDULE)
    if not isinstance(values, dict):
        return
    known = {name: text for name in COMMANDS if isinstance(text := values.get(name), str) and text}
    faulty = False
    for name, text in known.items():
        if reason := _reason(text):
            faulty = True
            what = f"{SCHEDULE}.{name} is '{text}', no cron expression for every scheduler"
            yield Fault(place(values, name), f"{what} ({reason})", EXAMPLE)
    if len(known) == len(COMMANDS) and not faulty:
        monitor, retrain = (Entry(name, known[name]) for name in COMMANDS)
        yield from _meeting(values, monitor, retrain)


def _reason(text: str) -> str:
    """Why a text is no cron expression; empty where it is one."""
    try:
        next(CronSim(text, datetime.now(UTC)))
    except CronSimError as error:
        return str(error).lower()
    except StopIteration:
        return "there is no such day"
    fields = text.split(" ")
    if len(fields) != FIELDS or not all(map(FIELD.fullmatch, fields)):
        return "a field is *, */5, or a list of values and ranges, and one space is between fields"
    day, weekday = fields[2], fields[4]
    if SUNDAY.search(weekday.partition("/")[0]):
        return "some schedulers know Sunday as 0 or SUN only"
    if "*" not in (day, weekday):
        return "schedulers read a day together with a weekday differently: one of them must be *"
    return ""


def _meeting(values: object, monitor: Entry, retrain: Entry) -> Faults:
    for one, other in ((monitor, retrain), (retrain, monitor)):
        for time in islice(one.times(datetime.now(UTC)), LOOKED_AT):
            if next(other.times(time - MINUTE), None) == time:
                what = f"both commands start at {time:%Y-%m-%d %H:%M}, and one of them would fail"
                remedy = "choose another minute for one; nb retrain does what nb monitor does, too"
                yield Fault(place(values, retrain.command), what, remedy)
                return
