"""What every request passes on its way in and out: limits, request id, headers, one line of log,
counters.
"""

import asyncio
import re
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bakebook.database.store import new_id
from bakebook.serving import problems
from bakebook.serving.metrics import Metrics
from bakebook.settings import Settings

FILE_PATH = "/predict/file"
# Whoever asks is not known yet, or sends nothing, or ids, or a row
FORM_BYTES = {"/login": 4_000, "/logout": 4_000, "/label": 100_000, "/": 100_000}
BODY_TIMEOUT_S = 10.0
FILE_TIMEOUT_S = 60.0
REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        b"base-uri 'none'; frame-ancestors 'none'",
    ),
]
log = structlog.get_logger()


class Middleware:
    """The outermost layer of the service."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self.max_body = settings.max_body
        self.max_file = settings.max_file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        scope.setdefault("state", {}).update(started=started, request_id=request_id.decode())
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    *SECURITY_HEADERS,
                    (b"x-request-id", request_id),
                ]
            await send(message)

        async def fail(code: int, detail: str) -> None:
            if not status:
                await problems.failed(code, detail)(scope, receive, answer)

        try:
            body = self._body(scope["path"], receive)
            if _content_length(headers) > body.most_bytes:
                await fail(413, body.too_large)
            else:
                await self.app(scope, body, answer)
        except asyncio.CancelledError:  # the service ends before this request has an answer
            await fail(503, "the service is ending → send it again")
        except Exception:
            log.exception("internal error", request_id=request_id.decode(), path=scope["path"])
            await fail(500, f"the log has details under {request_id.decode()}")
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _body(self, path: str, receive: Receive) -> "Body":
        if path == FILE_PATH:
            return Body(receive, self.max_file, FILE_TIMEOUT_S)
        most = min(self.max_body, FORM_BYTES.get(path, self.max_body))
        return Body(receive, most, BODY_TIMEOUT_S)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = route.path if route else "unknown"
        count, histogram = self.metrics.of_route(path, scope["method"] if route else "", status)
        count.inc()
        histogram.observe(seconds)
        is_routine = path.startswith("/health/") and status == 200  # asked every few seconds
        write = log.debug if is_routine else log.info
        write(
            "request",
            request_id=scope["state"]["request_id"],
            method=scope["method"],
            path=path,
            status=status,
            ms=round(seconds * 1000, 2),
            by=scope["state"].get("caller", ""),
        )


class Body:
    """Receives a request's body as long as it is neither too large, by the bytes that arrive, nor
    too slow.
    """

    def __init__(self, receive: Receive, most_bytes: int, timeout_s: float) -> None:
        self.most_bytes = most_bytes
        self.too_large = f"the body has more than {most_bytes} bytes"
        self._receive = receive
        self._timeout_s = timeout_s
        self._ends = time.monotonic() + timeout_s
        self._bytes = 0
        self._is_complete = False

    async def __call__(self) -> Message:
        if self._is_complete:  # what follows is the end of the connection
            return await self._receive()
        try:
            async with asyncio.timeout(self._ends - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise problems.TooSlow(
                f"the body did not arrive within {self._timeout_s:g} seconds"
            ) from None
        self._bytes += len(message.get("body", b""))
        if self._bytes > self.most_bytes:
            raise problems.TooLarge(self.too_large)
        self._is_complete = not message.get("more_body", False)
        return message


def _request_id(headers: dict[bytes, bytes]) -> bytes:
    """The caller's own id where it is a plain word, else a new one."""
    given = headers.get(b"x-request-id", b"")
    return given if REQUEST_ID.fullmatch(given) else new_id().encode()


def _content_length(headers: dict[bytes, bytes]) -> int:
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0
