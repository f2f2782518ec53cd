"""Commands about the model that serves: promote, rollback, monitor, retrain, simulate,
audit."""

import json
from typing import Annotated

import typer

from bakebook.cli.errors import end_with, reported
from bakebook.cli.stores import opened_store
from bakebook.errors import BadInput
from bakebook.paths import ROOT

Why = Annotated[str, typer.Option(help="A reason, which nb audit shows.")]


def promote(
    why: Why = "",
    uncompared: Annotated[
        bool,
        typer.Option(
            "--uncompared",
            help="Do not compare with the champion: where its files or its table are gone.",
        ),
    ] = False,
) -> None:
    """Make the pipeline's model the champion, which the service answers with, if it is good
    enough.
    """
    with reported(), opened_store() as store:
        from bakebook.contract.check import PROMOTE, settings
        from bakebook.contract.project import load
        from bakebook.lifecycle.promotion import promote

        project = load(ROOT)
        end_with([str(fault) for fault in settings(project, PROMOTE)])
        typer.echo("\n".join(promote(project, store, why, compared=not uncompared)))


def rollback(
    version: Annotated[
        str, typer.Argument(help="Version of an earlier model; empty: the previous one.")
    ] = "",
    why: Why = "",
) -> None:
    """Serve an earlier model again; the service swaps within seconds."""
    with reported(), opened_store() as store:
        from bakebook import settings
        from bakebook.lifecycle.rollback import roll_back

        for line in roll_back(settings.read(), store, version, why):
            typer.echo(line)


def monitor() -> None:
    """Run the notebook that looks at what the service stored; exit with 3 when the score has
    fallen.
    """
    with reported(), opened_store() as store:
        from bakebook import settings
        from bakebook.contract.project import load
        from bakebook.lifecycle.monitoring import monitor

        typer.echo("\n".join(monitor(load(ROOT), store, settings.read())))


def retrain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, and why; do nothing.")
    ] = False,
    commit: Annotated[
        bool, typer.Option("--commit", help="Keep the data version as a commit on a branch.")
    ] = False,
    push: Annotated[
        bool, typer.Option("--push", help="The same, and push the branch and its data.")
    ] = False,
) -> None:
    """When the score has fallen: learn from the labels, run the pipeline, promote the model if it
    is good enough.
    """
    with reported(), opened_store() as store:
        from bakebook import settings
        from bakebook.contract.check import RETRAIN, settings as faults_of
        from bakebook.contract.project import load
        from bakebook.lifecycle.retraining import Wish, retrain

        project = load(ROOT)
        end_with([str(fault) for fault in faults_of(project, RETRAIN)])
        wish = Wish(is_dry=dry_run, commit=commit or push, push=push)
        typer.echo("\n".join(retrain(project, store, settings.read(), wish)))


def simulate(
    shift: Annotated[
        str, typer.Option(help="How the rows change: gradual, sudden, inputs (alone) or none.")
    ] = "gradual",
    months: Annotated[int, typer.Option(min=2, max=60, help="How many months.")] = 12,
    rows: Annotated[int, typer.Option(min=20, help="Predictions in each month.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Which rows are drawn.")] = 0,
    database: Annotated[
        str, typer.Option(help="Address of an empty PostgreSQL database; else a file is used.")
    ] = "",
) -> None:
    """Play months of production in minutes, in a copy of the project: reports/simulation.png."""
    with reported():
        from bakebook.contract.project import load
        from bakebook.lifecycle.simulation import Plan, simulate
        from bakebook.params import SHIFTS

        if shift not in SHIFTS:
            raise BadInput(f"there is no change '{shift}'", f"--shift {', '.join(SHIFTS)}")
        plan = Plan(months, rows, SHIFTS[SHIFTS.index(shift)], seed, database)
        typer.echo("\n".join(simulate(load(ROOT), plan)))


def audit(
    limit: Annotated[int, typer.Option(min=1, help="How many of the last decisions.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all details.")] = False,
) -> None:
    """Show what was decided about models, by whom and why."""
    with reported(), opened_store() as store:
        from bakebook.lifecycle.audit import as_lines, listed

        rows = listed(store, limit)
        if as_json:
            typer.echo(json.dumps(rows, indent=2, default=str))
        else:
            typer.echo("\n".join(as_lines(rows)))
