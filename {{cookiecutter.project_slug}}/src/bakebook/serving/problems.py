"""What goes wrong, as programs read it: problem details (RFC 9457), which never repeat what was
sent.
"""

from collections.abc import Sequence

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from bakebook.errors import Failure, NoSpace, Unreachable
from bakebook.models.columns import NotComputed

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "5"
MOST_FAULTS = 20  # that an answer names
# The problems of every route, and of a route that takes a body
ASKED = (401, 403, 429)
SENT = (*ASKED, 408, 413, 415, 422, 503)
TITLES = {
    400: "Bad request",
    401: "The caller is unknown",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The request took too long",
    413: "Too large",
    415: "Unsupported media type",
    422: "The input does not fit",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}


class Fault(BaseModel):
    """One value that does not fit: its place (number of the row,
    name of the field) and the reason.
    """

    where: list[str | int]
    reason: str


class Problem(BaseModel):
    """Why a request was not answered."""

    title: str
    status: int
    detail: str
    faults: list[Fault] = []


class RequestFailure(Failure):
    """A request that cannot be answered, with the status of HTTP that says why."""

    status = 400

    def __init__(self, what: str, remedy: str = "", faults: Sequence[Fault] = ()) -> None:
        super().__init__(what, remedy)
        self.faults = list(faults)


class NotFound(RequestFailure):
    """What was asked for does not exist."""

    status = 404


class TooSlow(RequestFailure):
    """The body did not arrive in time."""

    status = 408


class TooLarge(RequestFailure):
    """The body has more bytes than the service accepts."""

    status = 413


class WrongMedia(RequestFailure):
    """The body has a media type that is not read here."""

    status = 415


class WrongRows(RequestFailure):
    """Rows or labels that do not fit the model; each fault has its place and its reason."""

    status = 422

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].reason, faults=faults)


class TooMany(RequestFailure):
    """The caller sends more requests than the service allows."""

    status = 429


class Overloaded(RequestFailure):
    """More requests wait than can be answered soon."""

    status = 503


def wrong(reason: str, *where: str | int) -> WrongRows:
    """The error for one value that does not fit."""
    return WrongRows([Fault(where=list(where), reason=reason)])


def not_computed(error: NotComputed, first: int = 0) -> WrongRows:
    """The error for values that a function of columns.py cannot use; `first` is the number of the
    first row. What the function says may repeat what was sent, and is left out.
    """
    reason = f"'{error.column.name}' cannot be computed from these values"
    return wrong(reason, first + error.row, error.column.reads[0])


def of_one_row(error: WrongRows) -> WrongRows:
    """The error of a row that was not sent in a list: its places have no number."""
    return WrongRows([Fault(where=one.where[1:], reason=one.reason) for one in error.faults])


def as_problem(error: Exception) -> Problem:
    """The problem that an error of HANDLED is to the caller."""
    faults: list[Fault] = []
    if isinstance(error, HTTPException):
        status = error.status_code
        detail = str(error.detail)
    elif isinstance(error, RequestValidationError):
        status = 422
        faults = [Fault(where=list(one["loc"]), reason=one["msg"]) for one in error.errors()]
        detail = faults[0].reason
    elif isinstance(error, RequestFailure):
        status = error.status
        detail = str(error)
        faults = error.faults
    else:
        status = 503
        detail = str(error)
    return Problem(title=TITLES.get(status, "Error"), status=status, detail=detail, faults=faults)


def response(problem: Problem) -> Response:
    """The problem as JSON."""
    headers = {}
    if problem.status in (429, 503):
        headers["retry-after"] = RETRY_AFTER_S
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(to_json(problem), problem.status, headers, media_type=MEDIA_TYPE)


def failed(status: int, detail: str) -> Response:
    """A problem without faults as JSON."""
    return response(Problem(title=TITLES[status], status=status, detail=detail))


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """The responses of a route beside 200, for its OpenAPI description."""
    schema = {"$ref": "#/components/schemas/Problem"}
    found: dict[int | str, dict[str, object]] = {}
    for status in statuses:
        found[status] = {"description": TITLES[status], "content": {MEDIA_TYPE: {"schema": schema}}}
    return found


HANDLED: tuple[type[Exception], ...] = (
    HTTPException,
    RequestValidationError,
    RequestFailure,
    Unreachable,
    NoSpace,
)
