"""Runs the service until it is told to end."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any

import typer
import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from ..errors import BadInput
from . import logs
from .app import create_app
from .settings import Settings

GRACE = 3  # seconds that requests have to end
MOST_CONNECTIONS = 1000


def serve(settings: Settings) -> None:
    """Listens until SIGINT or SIGTERM. Raises BadInput when the port is taken or there is no model."""
    logs.set_up()
    sys.meta_path.insert(0, WithoutPandas())
    app = create_app(settings)
    with _listening(settings.host, settings.port) as listener:
        service = app.state.service
        service.start()
        host, port = listener.getsockname()[:2]
        typer.echo(f"http://{f'[{host}]' if ':' in host else host}:{port} predicts with model {service.served.version}")
        if service.access.is_open:
            typer.echo("open to whoever works on this machine, and nobody else → nb token new NAME --scope predict")
        elif not service.access.has_tokens:
            typer.echo("nobody may call yet → nb token new NAME --scope predict")
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=GRACE,
            timeout_keep_alive=30,
        )
        Server(config).run(sockets=[listener])
        typer.echo("the service has ended")


class WithoutPandas(MetaPathFinder):
    """Keeps Arrow from importing pandas, which it does where it is installed: 1.5 seconds and 40 MB for nothing."""

    def find_spec(self, name: str, *place: Any) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


class Server(uvicorn.Server):
    """uvicorn's own, for which a signal to end is no failure."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {one: signal.signal(one, self.handle_exit) for one in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BadInput(f"cannot listen on {host}:{port} ({error.strerror}) → nb serve --port …, or --host") from None
    return listener
