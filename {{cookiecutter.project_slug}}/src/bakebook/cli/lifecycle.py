"""Commands about which model serves, and why: rollback, audit."""

import json
from typing import Annotated

import typer

from bakebook.cli.errors import reported
from bakebook.cli.stores import opened_store


def rollback(
    version: Annotated[
        str, typer.Argument(help="Version of an earlier model; empty: the previous one.")
    ] = "",
    why: Annotated[str, typer.Option(help="A reason, which nb audit shows.")] = "",
) -> None:
    """Serve an earlier model again; the service swaps within seconds."""
    with reported(), opened_store() as store:
        from bakebook import settings
        from bakebook.lifecycle.rollback import roll_back
        from bakebook.serving.deployments import Deployments

        deployments = Deployments(settings.read().state / "models")
        typer.echo("\n".join(roll_back(deployments, store, version, why)))


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
