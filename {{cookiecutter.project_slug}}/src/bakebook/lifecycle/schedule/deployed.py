"""A container beside those of deploy/compose.yaml, and DAGs of Airflow."""

from pathlib import Path

from bakebook.errors import BadInput
from bakebook.lifecycle.schedule.plan import Plan, Scheduler, filled

DEPLOY = Path("deploy")
COMPOSE_FILES = "--file deploy/compose.yaml --file deploy/schedule.yaml"


def _compose_files(plan: Plan) -> dict[Path, str]:
    if plan.push:
        what = "the container has no credentials to push with"
        raise BadInput(what, "leave out --push; docs/monitoring.md says how long its commits last")
    if not (plan.root / ".git").is_dir():
        what = "the image is made of the folder .git, which is not here"
        raise BadInput(what, "git init, or nb schedule cron")
    return {
        plan.root / DEPLOY / "schedule.yaml": filled("compose.yaml", plan.words),
        plan.root / DEPLOY / "schedule.Dockerfile": filled("Dockerfile", {}),
        plan.root / DEPLOY / "schedule.Dockerfile.dockerignore": filled("dockerignore", {}),
    }


def _compose_steps(plan: Plan) -> list[str]:
    return [
        "git commit: the image holds the last commit",
        f"docker compose {COMPOSE_FILES} up --detach --build schedule",
    ]


def _airflow_files(plan: Plan) -> dict[Path, str]:
    name = plan.name.replace("-", "_")
    return {plan.root / DEPLOY / "airflow" / f"{name}.py": filled("airflow.py", plan.words)}


def _airflow_steps(plan: Plan) -> list[str]:
    return [
        "copy the file into Airflow's folder of DAGs, and set BAKEBOOK_PROJECT to this folder for"
        " Airflow; or let AIRFLOW__CORE__DAGS_FOLDER be deploy/airflow",
        "switch the DAGs on in Airflow",
    ]


COMPOSE = Scheduler(_compose_files, _compose_steps)
AIRFLOW = Scheduler(_airflow_files, _airflow_steps)
