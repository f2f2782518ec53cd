"""What goes wrong, as programs read it: problem details (RFC 9457), never with what was sent."""

from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from ..errors import NoSpace, Unreachable
from .access import Denied
from .rows import WrongRows
from .scorer import Overloaded

RETRY = "5"  # seconds


class Fault(BaseModel):
    """One value that does not fit: its place (number of the row, name of the field) and the reason."""

    where: list[str | int]
    reason: str


class Problem(BaseModel):
    """Why a request was not answered."""

    title: str
    status: int
    detail: str
    faults: list[Fault] = []


TITLES = {
    400: "Bad request",
    401: "Who asks is not known",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The request took too long",
    413: "Too large",
    415: "Unsupported media type",
    422: "What was sent does not fit",
    429: "Too many requests",
    500: "Something broke",
    503: "Away for a moment",
}


class TooLarge(Exception):
    """The body has more bytes than the service takes."""


class TooSlow(Exception):
    """The body did not come in time."""


class TooMany(Exception):
    """The caller asks more often than the service allows."""


class WrongMedia(Exception):
    """The body is of a kind that is not read here."""


STATUSES: dict[type[Exception], int] = {
    TooSlow: 408,
    TooLarge: 413,
    WrongMedia: 415,
    WrongRows: 422,
    TooMany: 429,
    Overloaded: 503,
    Unreachable: 503,
    NoSpace: 503,
}


def response(status: int, detail: str, faults: list[dict[str, Any]] | None = None) -> Response:
    content = {"title": TITLES.get(status, "Error"), "status": status, "detail": detail, "faults": faults or []}
    headers = {"retry-after": RETRY} if status in {429, 503} else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(to_json(content), status, headers, media_type="application/problem+json")


def answer(request: Request, error: Exception) -> Response:
    """The problem that an error is to who asked: JSON, or a page where a page was asked for."""
    found = _problem(error)
    if not getattr(request.state, "page", False):
        return response(*found)
    from .pages import answer_problem

    return answer_problem(request, found[0], found[1])


def _problem(error: Exception) -> tuple[int, str, list[dict[str, Any]]]:
    """Status, detail and faults."""
    if isinstance(error, Denied):
        return error.status, str(error), []
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail), []
    if isinstance(error, RequestValidationError):
        faults = [{"where": list(one["loc"]), "reason": one["msg"]} for one in error.errors()]
        return 422, str(faults[0]["reason"]), faults
    status = STATUSES[type(error)]
    detail = "more requests wait than can be answered soon" if isinstance(error, Overloaded) else str(error)
    return status, detail, error.faults if isinstance(error, WrongRows) else []


HANDLED: tuple[type[Exception], ...] = (Denied, HTTPException, RequestValidationError, *STATUSES)
