"""Runs the service until it receives a signal to end."""

import gc
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import typer
import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from bakebook.errors import BadInput
from bakebook.serving import logs
from bakebook.serving.app import create_app
from bakebook.serving.service import Service
from bakebook.serving.sources import PIPELINE, follows_champion
from bakebook.settings import Settings

SHUTDOWN_GRACE_S = 3  # for requests in progress
KEEP_ALIVE_S = 30
MOST_CONNECTIONS = 1000
PROMOTE = "nb promote"
NAME_CHAMPION = "nb promote, and set NB_MODEL=models:/NAME@champion"
OPEN = "nb serve --open"
NEW_TOKEN = "nb token new NAME --scope predict"  # noqa: S105 - a command


def serve(settings: Settings) -> None:
    """Listens until SIGINT or SIGTERM. Raises BadInput when the port is taken, when there is no
    model, or when it would be open to other machines.
    """
    logs.set_up()
    if settings.open and not settings.is_local:
        what = f"an open service is for this machine alone, and {settings.host} is for others too"
        raise BadInput(what, f"leave out --open (NB_OPEN), or --host (NB_HOST); {NEW_TOKEN}")
    app = create_app(settings)
    with _listening(settings.host, settings.port) as listener:
        service: Service = app.state.service
        service.start()
        for line in _greeting(listener, service):
            typer.echo(line)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        gc.freeze()  # what lives as long as the service is not searched for garbage again
        Server(config).run(sockets=[listener])
        typer.echo("the service has stopped")


class Server(uvicorn.Server):
    """uvicorn's own, for which a signal to stop is not a failure."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {one: signal.signal(one, self.handle_exit) for one in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def _greeting(listener: socket.socket, service: Service) -> Iterator[str]:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    yield f"http://{shown}:{port} predicts with model {service.served.version}"
    if service.served.deployment.source == PIPELINE:
        remedy = PROMOTE if follows_champion(service.settings) else NAME_CHAMPION
        yield f"the model is the pipeline's, not a champion → {remedy}"
    if service.access.is_open:
        yield "open to everyone on this machine, and to nobody else (--open)"
    elif not service.access.has_tokens:
        yield f"no caller is allowed yet → {NEW_TOKEN}, or for this machine alone: {OPEN}"


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BadInput(
            f"cannot listen on {host}:{port} ({error.strerror})", "nb serve --port …, or --host"
        ) from None
    return listener
