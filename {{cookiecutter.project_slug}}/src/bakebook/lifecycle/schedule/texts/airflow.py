"""Airflow's DAGs of this project: the stages of dvc.yaml, and what params.yaml schedules.

Airflow runs in an environment of its own, and reads both files whenever it parses this one. Each
task calls `uv run` in the project's folder, which must be there on every worker.
"""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath

import yaml
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG

NAME = "<project>"
PROJECT = Path(os.environ.get("BAKEBOOK_PROJECT") or Path(__file__).resolve().parents[2])
PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
STAGES = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
SCHEDULE = PARAMS.get("schedule") or {}
RETRAIN = "uv run nb retrain<push>"
ALARM = 3  # the exit code of nb monitor


def task(name: str, command: str) -> BashOperator:
    """A command in the project's folder, with the variables of the worker."""
    return BashOperator(task_id=name, bash_command=command, cwd=str(PROJECT), append_env=True)


def dag(name: str, schedule: str | None) -> DAG:
    """One run at a time, and none for times that have passed; times are UTC."""
    return DAG(
        f"{NAME}-{name}",
        schedule=schedule,
        start_date=datetime(2026, 1, 1),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=1,  # DVC and the database let one work at a time
    )


def paths(stage: Mapping, *lists: str) -> set[str]:
    """The files and folders that lists of a stage name."""
    body = stage.get("do") or stage  # of a stage with foreach
    entries = [entry for name in lists for entry in body.get(name) or ()]
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


def needs(stage: Mapping, other: Mapping) -> bool:
    """Whether a stage reads what the other writes, or a file of a folder that it writes."""
    written = paths(other, "outs", "metrics", "plots")
    read = paths(stage, "deps")
    within = {str(folder) for path in read for folder in PurePosixPath(path).parents}
    around = {str(folder) for path in written for folder in PurePosixPath(path).parents} - {"."}
    return bool(written & (read | within) or around & read)


def is_alarm() -> bool:
    """Whether the report of nb monitor, which has just been written, has one."""
    report = json.loads((PROJECT / "reports" / "monitor.json").read_text(encoding="utf-8"))
    return any(one["is_alarm"] for one in report["criteria"].values())


with dag("pipeline", None):
    tasks = {name: task(name, f"uv run dvc repro --single-item {name}") for name in STAGES}
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
        decide = ShortCircuitOperator(task_id="decide", python_callable=is_alarm)
        monitor >> decide >> task("retrain", RETRAIN)
