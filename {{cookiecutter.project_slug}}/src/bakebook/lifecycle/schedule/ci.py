"""Scheduled workflows of GitHub and GitLab. Their clone of the project goes when they end, so what
a retraining learnt from is pushed.
"""

from pathlib import Path

from bakebook.contract.schedule import Entry
from bakebook.errors import BadInput
from bakebook.git import git
from bakebook.lifecycle.schedule.plan import RETRAIN, Plan, Scheduler, arguments, filled

WORKFLOWS = Path(".github") / "workflows"
JOBS = Path(".gitlab") / "schedule.yml"
PIPELINE = ".gitlab-ci.yml"
VARIABLES = (
    "DATABASE_URL, MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD"
    " (and NB_WEBHOOK)"
)


def _words(plan: Plan, entry: Entry) -> dict[str, str]:
    pushes = entry.command == RETRAIN
    return {
        "project": plan.name,
        "command": entry.command,
        "cron": entry.cron,
        "access": "write  # for the branch that it pushes" if pushes else "read",
        "credentials": "true  # zizmor: ignore[artipacked]" if pushes else "false",
        "line": " ".join(["uv run nb", *arguments(entry, push=True)]),
    }


def _require_top(plan: Plan) -> None:
    """Raises BadInput for a project in a subfolder of its repository."""
    if git(plan.root, "rev-parse", "--show-prefix"):
        what = "CI services read their files in the top folder of a repository, and not here"
        raise BadInput(what, "nb schedule cron, or a job of your own")


def _github_files(plan: Plan) -> dict[Path, str]:
    _require_top(plan)
    folder = plan.root / WORKFLOWS
    return {
        folder / f"{entry.command}.yaml": filled("github.yaml", _words(plan, entry))
        for entry in plan.entries
    }


def _github_steps(plan: Plan) -> list[str]:
    return [
        f"Settings > Secrets and variables > Actions: {VARIABLES};"
        " those that end with URI or USERNAME as variables, the others as secrets",
        "git commit, git push: GitHub runs what is on the default branch",
    ]


def _gitlab_files(plan: Plan) -> dict[Path, str]:
    _require_top(plan)
    jobs = [filled("gitlab.yaml", _words(plan, entry)) for entry in plan.entries]
    return {plan.root / JOBS: "\n".join(jobs)}


def _gitlab_steps(plan: Plan) -> list[str]:
    steps = [
        f"Settings > CI/CD > Variables: {VARIABLES}, each protected and in environment schedule"
    ]
    if any(entry.command == RETRAIN for entry in plan.entries):
        steps.append("Settings > CI/CD > Job token permissions: allow Git push requests")
    pipeline = plan.root / PIPELINE
    if not (pipeline.is_file() and JOBS.as_posix() in pipeline.read_text("utf-8", "replace")):
        steps.append(f"add to {PIPELINE}: include: {JOBS.as_posix()}")
    steps.append(
        "delete earlier schedules of these two: glab schedule list, glab schedule delete ID"
    )
    for entry in plan.entries:
        steps.append(
            f'glab schedule create --cron "{entry.cron}" --ref main'
            f' --description "nb {entry.command}" --variable SCHEDULED:{entry.command}'
        )
    return steps


GITHUB = Scheduler(_github_files, _github_steps)
GITLAB = Scheduler(_gitlab_files, _gitlab_steps)
