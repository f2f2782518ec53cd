"""When commands run: the command schedule."""

from typing import Annotated

import typer

from bakebook.cli.errors import end_with, reported
from bakebook.errors import BadInput, did_you_mean
from bakebook.paths import ROOT

CRON = "cron"  # prints lines, and writes nothing
RUN = "run"


def schedule(
    scheduler: Annotated[
        str,
        typer.Argument(
            help="cron, systemd, github, gitlab, compose or airflow; run: wait, and run them here;"
            " empty: say when."
        ),
    ] = "",
    push: Annotated[
        bool, typer.Option("--push", help="Let nb retrain push what it learns from.")
    ] = False,
) -> None:
    """Write down when nb monitor and nb retrain run (params.yaml, schedule), for a scheduler."""
    with reported():
        from bakebook.contract.check import settings
        from bakebook.contract.project import load
        from bakebook.contract.schedule import SCHEDULE, check_schedule, entries
        from bakebook.lifecycle.schedule import cron, waiting, writing
        from bakebook.lifecycle.schedule.plan import Plan

        project = load(ROOT)
        end_with([str(one) for one in (*settings(project, SCHEDULE), *check_schedule(project))])
        plan = Plan(project.root, entries(project), push)
        if scheduler == RUN:
            waiting.wait_and_run(writing.required(plan))
        elif scheduler == CRON:
            typer.echo("\n".join(cron.lines(writing.required(plan))))
        elif scheduler == "":
            typer.echo("\n".join(writing.overview(plan)))
        elif scheduler in writing.SCHEDULERS:
            typer.echo("\n".join(writing.write(scheduler, plan)))
        else:
            known = (CRON, *writing.SCHEDULERS, RUN)
            remedy = did_you_mean(scheduler, known) or f"one of: {', '.join(known)}"
            raise BadInput(f"nb schedule does not know '{scheduler}'", remedy)
