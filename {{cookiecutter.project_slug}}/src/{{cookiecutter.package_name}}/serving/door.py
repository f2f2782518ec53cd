"""What each request passes on its way in and out: limits, request id, headers, one line of log, counters."""

import asyncio
import re
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import problems
from .access import Access, bearer
from .metrics import Metrics
from .settings import Settings
from .store import new_id

PATIENCE = 10.0  # seconds for the whole body, 60 for a file
FILES = "/predict/file"
GIVEN_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        b"frame-ancestors 'none'",
    ),
]
log = structlog.get_logger()


class Door:
    """The outermost layer of the service."""

    def __init__(self, app: ASGIApp, settings: Settings, access: Access, metrics: Metrics) -> None:
        self.app, self.access, self.metrics = app, access, metrics
        self.limits = {True: settings.max_file, False: settings.max_body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, headers = time.perf_counter(), dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if GIVEN_ID.fullmatch(given) else new_id().encode()
        scope.setdefault("state", {}).update(started=started, request_id=request_id.decode())
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *SECURITY, (b"x-request-id", request_id)]
            await send(message)

        try:
            if authorization := headers.get(b"authorization"):
                await self.access.meet(bearer(authorization.decode("latin-1")))
            body = Body(receive, self.limits[scope["path"] == FILES], PATIENCE * (6 if scope["path"] == FILES else 1))
            if headers.get(b"content-length", b"0").isdigit() and int(headers.get(b"content-length", b"0")) > body.most:
                await problems.response(413, body.too_large)(scope, receive, answer)
            else:
                await self.app(scope, body, answer)
        except asyncio.CancelledError:  # the service ends, and this request took too long for that
            if not status:
                response = problems.response(503, "the service is ending → send it again")
                await response(scope, receive, answer)
        except Exception:
            log.exception("broke", request_id=request_id.decode(), path=scope["path"])
            if not status:
                response = problems.response(500, f"the log says more under {request_id.decode()}")
                await response(scope, receive, answer)
        finally:
            self._count(scope, status, time.perf_counter() - started, request_id.decode())

    def _count(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route: Any = scope.get("route")
        path = route.path if route else scope["path"] if "endpoint" in scope else "unknown"
        count, histogram = self.metrics.answered(path, scope["method"] if path != "unknown" else "", status)
        count.inc()
        histogram.observe(seconds)
        more = {"ms": round(seconds * 1000, 2), "by": scope["state"].get("caller", "")}
        tell = log.debug if path.startswith("/health/") and status == 200 else log.info  # asked every few seconds
        tell("request", request_id=request_id, method=scope["method"], path=path, status=status, **more)


class Body:
    """Gives a request's body while it is neither too large, by the bytes that came, nor too slow."""

    def __init__(self, receive: Receive, most: int, patience: float) -> None:
        self.most = most
        self.too_large = f"the body has more than {most} bytes"
        self._receive, self._patience = receive, patience
        self._ends = time.monotonic() + patience
        self._size = 0
        self._done = False

    async def __call__(self) -> Message:
        if self._done:  # what follows is the end of the connection
            return await self._receive()
        try:
            async with asyncio.timeout(self._ends - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise problems.TooSlow(f"the body did not come within {self._patience:g} seconds") from None
        self._size += len(message.get("body", b""))
        if self._size > self.most:
            raise problems.TooLarge(self.too_large)
        self._done = not message.get("more_body", False)
        return message
