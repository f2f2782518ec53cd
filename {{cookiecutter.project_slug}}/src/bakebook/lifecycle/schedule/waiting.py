"""`nb schedule run`: waits for the next command, runs it, and so on."""

import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from bakebook.errors import Interrupted, first_line
from bakebook.lifecycle.schedule.plan import Plan, program
from bakebook.runner.processes import stoppable

NAP_S = 20.0  # between two looks at the clock: it may be set, and machines may sleep


def wait_and_run(plan: Plan) -> NoReturn:
    """Runs commands at their times until a signal ends it, which ends a running command too. What
    was missed while another ran is made up for, once.
    """
    try:
        with stoppable():
            _go_on(plan)
    except Interrupted as error:
        error.remedy = "nb schedule run starts again"
        raise


def _go_on(plan: Plan) -> NoReturn:
    last = dict.fromkeys(plan.entries, datetime.now(UTC))
    while True:
        due = {entry: next(entry.times(started)) for entry, started in last.items()}
        entry = min(due, key=lambda one: due[one])
        _say(f"nb {entry.command} runs next, at {due[entry]:%Y-%m-%d %H:%M} UTC")
        _wait_until(due[entry])
        last[entry] = datetime.now(UTC)
        _say(f"nb {entry.command} {_run(program(entry, push=plan.push))}")


def _wait_until(moment: datetime) -> None:
    while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
        time.sleep(min(left, NAP_S))


def _run(command: Sequence[str]) -> str:
    """How the command ended."""
    try:
        process = subprocess.Popen(command)
    except OSError as error:  # uv sync may be at work
        return f"did not start ({first_line(error)})"
    with process:
        try:
            return f"ended with {process.wait()}"
        except BaseException:  # a signal
            process.terminate()
            process.wait()
            raise


def _say(text: str) -> None:
    print(f"schedule: {text}", file=sys.stderr, flush=True)
