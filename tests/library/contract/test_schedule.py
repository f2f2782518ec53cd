"""Which schedules `nb check` refuses, and why."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bakebook.contract.check import SETTINGS
from bakebook.contract.project import Project
from bakebook.contract.schedule import COMMANDS, SCHEDULE, Entry, check_schedule, entries

EACH_DAY = "0 6 * * *"


def project(**crons: object) -> Project:
    lines = [f"  {name}: '{cron}'" for name, cron in crons.items()]
    params = YAML().load("\n".join([f"{SCHEDULE}:", *lines, ""]))
    return Project(Path("here"), params, {}, {})


def faults(**crons: object) -> list[str]:
    return [str(fault) for fault in check_schedule(project(**crons))]


@pytest.mark.parametrize(
    "cron", [EACH_DAY, "*/15 8-18 * * MON-FRI", "0 0 1 jan,JUL *", "5 4 * * 0", "5 4 */2 * *", "0 0 29 2 *", ""]
)
def test_a_cron_expression_that_every_scheduler_knows_is_accepted(cron: str) -> None:
    assert faults(monitor=cron) == []


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("61 * * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 0 32 * *", "bad day-of-month"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 * 13 *", "bad month"),
        ("0 0 * * 8", "bad day-of-week"),
        ("0 0 * * sunday", "bad day-of-week"),
        ("0 6 * *", "wrong number of fields"),
        ("@daily", "wrong number of fields"),
        ("every day", "wrong number of fields"),
        ("0 0 L * *", "a field is"),
        ("0 0 * * MON#2", "a field is"),
        ("0 0 * * 5L", "a field is"),
        ("0 0 6 * * *", "a field is"),
        ("0  6 * * *", "a field is"),
        ("5/15 * * * *", "a field is"),  # which Debian's cron refuses
        ("0 0 * * 5/2", "a field is"),
        ("0 *,5 * * *", "a field is"),
        ("0 0 * * 7", "some schedulers know Sunday"),  # GitHub does not
        ("0 0 * * 5-7", "some schedulers know Sunday"),
        ("5 4 1 * 0", "schedulers read a day together"),
        ("0 0 */2 * mon", "schedulers read a day together"),
    ],
)
def test_another_text_is_refused_with_a_reason_and_an_example(cron: str, reason: str) -> None:
    (fault,) = faults(monitor=cron, retrain="")
    assert f"params.yaml:2: schedule.monitor is '{cron}', no cron expression for every scheduler ({reason}" in fault
    assert EACH_DAY in fault


@pytest.mark.parametrize(
    ("monitor", "retrain"),
    [(EACH_DAY, EACH_DAY), (EACH_DAY, "0 6 * * 1"), ("*/5 * * * *", "30 6 * * 1"), ("0 6 1 6 *", "0 * * * *")],
)
def test_commands_that_would_start_together_are_refused(monitor: str, retrain: str) -> None:
    (fault,) = faults(monitor=monitor, retrain=retrain)
    assert "both commands start at" in fault and "params.yaml:3" in fault


@pytest.mark.parametrize("retrain", ["30 6 * * 1", "1 6 * * *", "0 7 * * *", ""])
def test_commands_that_start_at_different_times_are_accepted(retrain: str) -> None:
    assert faults(monitor=EACH_DAY, retrain=retrain) == []


def test_a_command_without_a_time_is_not_scheduled() -> None:
    assert entries(project(monitor="", retrain=EACH_DAY)) == [Entry("retrain", EACH_DAY)]
    assert entries(Project(Path("here"), {}, {}, {})) == []


def test_the_commands_that_can_be_scheduled_are_those_of_the_section() -> None:
    assert set(COMMANDS) == set(SETTINGS[SCHEDULE])
