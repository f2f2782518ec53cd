"""The command of the service: serve."""

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
    is_open: Annotated[
        bool | None,
        typer.Option("--open", help="Callers on this machine need no token; default NB_OPEN."),
    ] = None,
) -> None:
    """Serve the model to programs and people, and store each prediction in the database."""
    with reported():
        from bakebook import settings
        from bakebook.serving.server import serve

        serve(settings.read(host=host, port=port, open=is_open))
