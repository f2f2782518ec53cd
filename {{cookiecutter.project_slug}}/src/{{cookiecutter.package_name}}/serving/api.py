"""The routes for programs."""

import asyncio
import codecs
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from email.message import Message
from typing import IO, TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from .access import COOKIE, Caller, Denied
from .problems import TooMany, WrongMedia, response
from .rows import WrongRows, faults, whole
from .service import Service

if TYPE_CHECKING:
    from .files import Table

router = APIRouter()
TABLES = ("text/csv", "application/vnd.apache.parquet", "application/octet-stream")  # the last is taken for the second
BLOCK = 1 << 16  # bytes of a file that are sent together
IN_MEMORY = 1 << 20  # bytes of a file that need no disk


class Answer(BaseModel):
    """What the model says of one row. It was committed under its id before it was sent."""

    id: str = Field(examples=["019a7f3e-6c1d-7b52-9f0e-3d1f5a9b8c77"])
    predicted: str | float
    probabilities: dict[str, float] | None = Field(description="of each class; null when a number is predicted")
    model_version: str = Field(description="the first twelve letters of the model's sha256")


class Label(BaseModel):
    """The truth about one prediction. A later label corrects an earlier one; the same again changes nothing."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    id: Annotated[str, AfterValidator(whole)] = Field(max_length=36, description="of the prediction")
    label: str | float | bool = Field(description="the class, or the number, that it should have been")


class Recorded(BaseModel):
    """What became of labels."""

    recorded: int = Field(description="labels that are new, or correct an earlier one")
    unchanged: int = Field(description="labels that were known")


class Prediction(Answer):
    """A prediction as it is kept."""

    made_at: datetime
    caller: str
    request_id: str
    inputs: dict[str, Any]
    uncertainty: float | None
    latency_ms: float
    label: str | None
    labelled_by: str | None
    labelled_at: datetime | None


class Page(BaseModel):
    """Predictions, the newest first; `next` is the `before` of the following page, null on the last."""

    predictions: list[Prediction]
    next: str | None


class ModelInfo(BaseModel):
    """The model that answers."""

    version: str
    sha256: str
    source: str
    adopted_at: datetime
    target: str
    task: str
    classes: list[str] | None
    inputs: list[dict[str, Any]]
    metrics: dict[str, Any]
    card: str = Field(description="the model card, as Markdown")
    kept: list[str] = Field(description="versions that nb rollback can go back to")
    refused: dict[str, str] = Field(description="what must not answer, and why")


def service(request: Request) -> Service:
    """The parts of the service that this application holds."""
    found: Service = request.app.state.service
    return found


def allowed(request: Request, scope: str = "") -> Caller:
    """Who asks, once it is known that they may; without a scope any token will do. Raises Denied or TooMany."""
    held = service(request)
    caller = held.access.caller(request.method, request.headers, request.cookies.get(COOKIE))
    request.state.caller = caller.name
    if not held.within_rate(caller.name):
        raise TooMany(f"more than {held.settings.rate} requests of '{caller.name}' in a second")
    if scope and not caller.may(scope):
        raise Denied(403, f"the token of '{caller.name}' has no scope '{scope}'")
    return caller


_labels = TypeAdapter(Annotated[list[Label], Field(min_length=1, max_length=10_000)])


async def predict(request: Request) -> Response:
    """One row as an object, or many as a list; the answer has the same form."""
    caller, held = allowed(request, "predict"), service(request)
    served = held.served
    rows, many = served.rows.read(await _json(request))
    state = request.state
    found = await held.predict(rows, served, caller, request_id=state.request_id, started=state.started)
    return Response(to_json(found if many else found[0]), media_type="application/json")


@router.post("/predict/file")
async def predict_file(request: Request) -> Response:
    """A CSV or Parquet file as the body; it comes back with ids, predictions and probabilities as further columns.

    Values are read as the pipeline reads the table: its decimal sign, its days, its marks of missing values.
    """
    caller, held, state = allowed(request, "predict"), service(request), request.state
    served, (media, charset) = held.served, _media(request)
    sent, answered = _spool(), _spool()
    try:
        async for block in request.stream():
            await asyncio.to_thread(sent.write, block)
        table = await asyncio.to_thread(_table, sent, media, charset, served.model.signature)
        loop = asyncio.get_running_loop()

        def answers() -> Iterator[tuple[Any, list[dict[str, Any]]]]:
            first = 0
            for part, rows in table.chunks():
                checked = served.rows.check(rows, first)
                how = {"request_id": state.request_id, "started": state.started}
                asked = held.predict(checked, served, caller, **how)
                yield part, asyncio.run_coroutine_threadsafe(asked, loop).result()
                first += len(rows)

        async with held.files:
            await asyncio.to_thread(_check_all, table, served.rows.check)
            await asyncio.to_thread(table.write, answers(), answered)
    except BaseException:
        answered.close()
        raise
    finally:
        sent.close()
    return StreamingResponse(_blocks(answered), media_type=table.media)


@router.post("/feedback", response_model=Recorded)
async def feedback(request: Request) -> Response:
    """The true label of one prediction as an object, or of many as a list: all are recorded, or none."""
    caller, body = allowed(request, "feedback"), await _json(request)
    try:
        given = _labels.validate_json(body if body.lstrip().startswith(b"[") else b"[%b]" % body)
    except ValidationError as error:
        raise WrongRows(faults(error)) from None
    try:
        pairs = [(one.id, one.label) for one in given]
        new = await asyncio.to_thread(service(request).label, pairs, caller)
    except KeyError as error:
        return response(404, f"there is no prediction {error.args[0]!r}")
    return Response(to_json({"recorded": sum(new), "unchanged": len(new) - sum(new)}), media_type="application/json")


@router.get("/predictions", response_model=Page)
def predictions(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[str, Query(max_length=36), AfterValidator(whole)] = "",
    model_version: Annotated[str, Query(max_length=12), AfterValidator(whole)] = "",
    predicted: Annotated[str, Query(max_length=1000), AfterValidator(whole)] = "",
    labelled: bool | None = None,
    wrong: Annotated[bool, Query(description="only those whose label is another")] = False,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Response:
    """What was predicted, the newest first, with inputs and newest label."""
    allowed(request, "feedback")
    found, following = service(request).store.list_predictions(
        limit=limit,
        before=before,
        model_version=model_version,
        predicted=predicted,
        labelled=labelled,
        wrong=wrong,
        since=since,
        until=until,
    )
    return Response(to_json({"predictions": found, "next": following}), media_type="application/json")


@router.get("/model", response_model=ModelInfo)
def model(request: Request) -> Response:
    """Version, hash, inputs, metrics and card of the model that answers."""
    allowed(request)
    return Response(to_json(service(request).about()), media_type="application/json")


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/health/ready")
def ready(request: Request) -> dict[str, str]:
    """Whether a prediction would be answered now: a model is there, and the database takes it."""
    held = service(request)
    held.store.version()
    return {"status": "ok", "model_version": held.served.version}


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Counters in Prometheus' form."""
    allowed(request)
    return Response(generate_latest(service(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> Response:
    """This description, with the fields of the model that answers."""
    allowed(request)
    return Response(to_json(request.app.openapi()), media_type="application/json")


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(IN_MEMORY)


async def _json(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise WrongMedia("the body is application/json")
    return await request.body()


def _media(request: Request) -> tuple[str, str]:
    """What kind of table the body is, and its encoding where that is said. Raises WrongMedia."""
    told = Message()
    told["content-type"] = request.headers.get("content-type", "")
    try:
        media, charset = told.get_content_type(), told.get_content_charset("")
        if media in TABLES:
            return media, charset and codecs.lookup(charset).name
    except (LookupError, ValueError):
        raise WrongMedia("the charset of the Content-Type is none that is known") from None
    raise WrongMedia(f"the body is the file itself, its Content-Type {' or '.join(TABLES)}")


def _table(file: IO[bytes], media: str, charset: str, signature: dict[str, Any]) -> "Table":
    from .files import opened  # brings Arrow, which takes a moment, and is not needed to start

    return opened(file, media, charset, signature)


def _check_all(table: "Table", check: Callable[[list[dict[str, Any]], int], Any]) -> None:
    """Raises WrongRows before the first row is predicted."""
    first = 0
    for _, rows in table.chunks():
        check(rows, first)
        first += len(rows)
    if not first:
        raise WrongRows([{"where": [], "reason": "the table has no rows"}])


async def _blocks(file: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        file.seek(0)
        while block := await asyncio.to_thread(file.read, BLOCK):
            yield block
    finally:
        file.close()
