"""The application: routes, door and what runs beside the requests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import first_line
from . import api, pages, problems
from .description import described
from .door import Door
from .service import Service
from .settings import Settings

log = structlog.get_logger()
TIDY = 1.0  # seconds of predictions in SQLite's log
REFRESH = 2.0  # seconds until a revoked token is not taken any more


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application; start its `state.service` before it is run."""
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_every(REFRESH, service.access.refresh)),
            asyncio.create_task(_every(TIDY, service.store.tidy)),
            asyncio.create_task(_every(settings.poll, service.look)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            service.close()

    silent: Any = {"tracing": False, "metrics": False, "logs": False}  # of OpenTelemetry, which nobody set up here
    app = FastAPI(telemetry=silent, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.service = service
    app.add_route("/predict", api.predict, methods=["POST"])  # which reads the body itself
    app.include_router(api.router)
    app.include_router(pages.router)
    app.add_middleware(ShortWay)
    app.add_middleware(Door, settings=settings, access=service.access, metrics=service.metrics)
    for kind in problems.HANDLED:
        app.add_exception_handler(kind, problems.answer)
    app.openapi = lambda: described(app, service)  # type: ignore[method-assign]
    return app


class ShortWay:
    """Takes predictions past the layers of the framework, which cost a tenth of one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/predict" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        request, scope["endpoint"] = Request(scope, receive), api.predict
        try:
            response = await api.predict(request)
        except problems.HANDLED as error:
            response = problems.answer(request, error)
        await response(scope, receive, send)


async def _every(seconds: float, act: Callable[[], Any]) -> None:
    """Acts again and again, whatever goes wrong with it: the log says so, each time that it is something else."""
    said = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(act)
        except Exception as error:
            if str(error) != said:
                log.warning("beside the requests", what=act.__qualname__, reason=first_line(error))
            said = str(error)
        else:
            said = ""
