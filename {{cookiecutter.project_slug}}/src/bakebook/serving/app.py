"""The application: routes, middleware, errors, and what runs beside the requests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig

from bakebook.errors import first_line
from bakebook.serving import api, file_api, openapi, page, pages, problems, sign_in
from bakebook.serving.middleware import Middleware
from bakebook.serving.service import Service
from bakebook.settings import Settings

log = structlog.get_logger()
CHECKPOINT_S = 1.0  # between two checkpoints of SQLite's log
REFRESH_S = 2.0  # until a revoked token is refused
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application; start its `state.service` before it runs."""
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_repeat(REFRESH_S, service.access.refresh)),
            asyncio.create_task(_repeat(CHECKPOINT_S, service.store.checkpoint)),
            asyncio.create_task(_repeat(settings.poll, service.poll)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            service.close()

    app = FastAPI(
        telemetry=NO_TELEMETRY, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    app.state.service = service
    app.include_router(api.router)
    app.include_router(file_api.router)
    app.include_router(pages.router)
    app.include_router(sign_in.router)
    app.add_middleware(Middleware, settings=settings, metrics=service.metrics)
    for kind in problems.HANDLED:
        app.add_exception_handler(kind, _answer_error)
    app.openapi = lambda: openapi.describe(app, service)  # type: ignore[method-assign]
    return app


def _answer_error(request: Request, error: Exception) -> Response:
    """A problem as a page where a page was asked for, else as JSON."""
    problem = problems.as_problem(error)
    if getattr(request.state, "is_page", False):
        return page.problem_page(request, problem)
    return problems.response(problem)


async def _repeat(seconds: float, act: Callable[[], object]) -> None:
    """Acts again and again, whatever goes wrong; each reason is logged when it is new."""
    logged = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(act)
        except Exception as error:
            if str(error) != logged:
                log.warning(
                    "background task failed", task=act.__qualname__, reason=first_line(error)
                )
            logged = str(error)
        else:
            logged = ""
