"""Airflow's DAGs of this project: the stages of dvc.yaml, and what params.yaml schedules.

Airflow runs in an environment of its own, and reads both files whenever it parses this one. Each
task calls `uv run` in the project's folder, which must be there on every worker.
"""

import json
import os
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from posixpath import normpath

import yaml
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG

NAME = "<project>"
PROJECT = Path(os.environ.get("BAKEBOOK_PROJECT") or Path(__file__).resolve().parents[2])
PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
PIPELINE = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8")) or {}
STAGES = PIPELINE.get("stages") or {}
SCHEDULE = PARAMS.get("schedule") or {}
RETRAIN = "uv run nb retrain<push>"
ALARM = 3  # the exit code of nb monitor


def task(name: str, command: str) -> BashOperator:
    """A command in the project's folder, with the variables of the worker."""
    id_ = re.sub(r"[^\w.-]", "_", name)
    return BashOperator(task_id=id_, bash_command=command, cwd=str(PROJECT), append_env=True)


def dag(name: str, schedule: str | None) -> DAG:
    """One run at a time, and none for times that have passed; times are UTC."""
    return DAG(
        f"{NAME}-{name}",
        schedule=schedule,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=1,  # DVC and the database let one work at a time
    )


def paths(stage: Mapping, *lists: str) -> set[PurePosixPath]:
    """The files and folders that lists of a stage name, where that can be seen without DVC."""
    if "foreach" in stage or "matrix" in stage or "wdir" in stage:
        return set()
    entries = [entry for name in lists for entry in stage.get(name) or ()]
    names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    return {PurePosixPath(normpath(name)) for name in names if "${" not in name}


def needs(stage: Mapping, other: Mapping) -> bool:
    """Whether a stage reads what the other writes, or a file of a folder that it writes. Where that
    cannot be seen, DVC runs the other stage first all the same.
    """
    written = paths(other, "outs", "metrics", "plots")
    read = paths(stage, "deps")
    return any(
        one == two or one in two.parents or two in one.parents for one in written for two in read
    )


def is_reason() -> bool:
    """Whether the report that has just been written has an alarm; nb retrain says the rest."""
    if (PARAMS.get("retrain") or {}).get("on_drift"):
        return True
    report = json.loads((PROJECT / "reports" / "monitor.json").read_text(encoding="utf-8"))
    return any(one["is_alarm"] for one in report["criteria"].values())


with dag("pipeline", None):
    tasks = {name: task(name, f"uv run dvc repro {shlex.quote(name)}") for name in STAGES}
    for name, stage in STAGES.items():
        for other in STAGES:
            if other != name and needs(stage, STAGES[other]):
                tasks[other] >> tasks[name]

if SCHEDULE.get("monitor"):
    with dag("monitor", SCHEDULE["monitor"]):  # an alarm fails the task
        task("monitor", "uv run nb monitor")

if SCHEDULE.get("retrain"):
    with dag("retrain", SCHEDULE["retrain"]):
        monitor = task("monitor", f"uv run nb monitor || [ $? -eq {ALARM} ]")
        decide = ShortCircuitOperator(task_id="decide", python_callable=is_reason)
        monitor >> decide >> task("retrain", RETRAIN)
