"""Commands about trainings: runs, compare."""

from typing import Annotated

import typer

from bakebook.cli.errors import reported
from bakebook.paths import ROOT


def runs(
    port: Annotated[int, typer.Option(help="Port of MLflow's page.")] = 5000,
) -> None:
    """Open MLflow's page on the table of trainings."""
    with reported():
        from bakebook.tracking.page import show_runs

        show_runs(ROOT, port)


def compare(
    versions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REV]…",
            help="Commits, branches, DVC experiments, MLflow runs (name or id), or 'workspace'; "
            "empty: the workspace and HEAD.",
        ),
    ] = None,
) -> None:
    """Compare parameters, scores and data of trainings side by side."""
    with reported():
        from bakebook.tracking.compare import compared

        typer.echo("\n".join(compared(ROOT, versions or [])))
