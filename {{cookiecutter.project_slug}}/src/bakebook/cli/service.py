"""Commands about the service: serve, rollback."""

from typing import Annotated

import typer

from bakebook.cli.errors import reported


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default NB_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; default NB_PORT, else 8000.")
    ] = None,
) -> None:
    """Serve the model to programs and people, and store each prediction in the database."""
    with reported():
        from bakebook import settings
        from bakebook.serving.server import serve

        serve(settings.read(host=host, port=port))


def rollback(
    version: Annotated[
        str, typer.Argument(help="Version of an earlier model; empty: the previous one.")
    ] = "",
) -> None:
    """Serve an earlier model again; the service swaps within seconds."""
    with reported():
        from bakebook import settings
        from bakebook.serving.deployments import Deployments

        refused, serving = Deployments(settings.read().state / "models").roll_back(version)
        typer.echo(f"model {serving} serves again; {refused} is refused from now on")
