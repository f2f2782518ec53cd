"""The routes for programs."""

import asyncio
import codecs
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import datetime
from email.message import Message
from typing import IO, TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from bakebook.contracts import Signature
from bakebook.database.store import Filter
from bakebook.serving.auth import Caller
from bakebook.serving.dependencies import Anyone, JsonBody, MayLabel, MayPredict, TheService
from bakebook.serving.deployments import Served
from bakebook.serving.problems import NotFound, WrongMedia, WrongRows, documented, wrong
from bakebook.serving.schemas import faults, without_nul
from bakebook.serving.service import Service

if TYPE_CHECKING:
    from bakebook.serving.uploads import Answered, Table

router = APIRouter()
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
BINARY = "application/octet-stream"  # is taken as Parquet
BLOCK_BYTES = 1 << 16  # of a file that are sent together
MEMORY_BYTES = 1 << 20  # of a file that need no disk
MOST_LABELS = 10_000
ASKED = (401, 403, 429)
SENT = (*ASKED, 408, 413, 415, 422, 503)
ROW = {"$ref": "#/components/schemas/Row"}
LABEL = {"$ref": "#/components/schemas/Label"}
ANSWER = {"$ref": "#/components/schemas/Answer"}
TABLE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
FILE = {CSV: TABLE, PARQUET: TABLE}


class Answer(BaseModel):
    """What the model predicts for one row. It was committed under its id before it was sent."""

    id: str = Field(examples=["019a7f3e-6c1d-7b52-9f0e-3d1f5a9b8c77"])
    predicted: str | float
    probabilities: dict[str, float] | None = Field(
        description="of each class; null when a number is predicted"
    )
    model_version: str = Field(description="the first twelve letters of the model's sha256")


class Label(BaseModel):
    """The truth about one prediction. A later label corrects an earlier one; the same again changes nothing."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    id: Annotated[str, AfterValidator(without_nul)] = Field(
        max_length=36, description="of the prediction"
    )
    label: str | float | bool = Field(
        description="the class, or the number, that it should have been"
    )


class Recorded(BaseModel):
    """What happened to labels."""

    recorded: int = Field(description="labels that are new, or correct an earlier one")
    unchanged: int = Field(description="labels that were known")


class StoredPrediction(Answer):
    """A prediction as it is stored."""

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

    predictions: list[StoredPrediction]
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
    earlier: list[str] = Field(description="versions that nb rollback can return to")
    refused: dict[str, str] = Field(description="what must not answer, and why")


def _json_content(schema: dict[str, Any], many: dict[str, Any]) -> dict[str, Any]:
    """One object or a list of them, as content of OpenAPI."""
    array = {"type": "array", "items": schema, "minItems": 1, **many}
    return {"application/json": {"schema": {"anyOf": [schema, array]}}}


@router.post(
    "/predict",
    response_class=Response,
    responses=documented(*SENT)
    | {200: {"description": "The predictions", "content": _json_content(ANSWER, {})}},
    openapi_extra={"requestBody": {"required": True, "content": _json_content(ROW, {})}},
)
async def predict(
    request: Request, caller: MayPredict, service: TheService, body: JsonBody
) -> Response:
    """One row as an object, or many as a list; the answer has the same form."""
    served = service.served
    rows, is_list = served.rows.read(body)
    state = request.state
    answers = await service.predict(
        rows, served, caller, request_id=state.request_id, started=state.started
    )
    return Response(to_json(answers if is_list else answers[0]), media_type="application/json")


@router.post(
    "/predict/file",
    response_class=Response,
    responses=documented(*SENT)
    | {200: {"description": "The file with predictions", "content": FILE}},
    openapi_extra={"requestBody": {"required": True, "content": FILE}},
)
async def predict_file(request: Request, caller: MayPredict, service: TheService) -> Response:
    """A CSV or Parquet file as the body; it comes back with ids, predictions and probabilities as further columns.

    Values are read as the pipeline reads the table: its decimal sign, its dates, its missing-value markers.
    """
    served = service.served
    media, charset = _media_type(request)
    answered = _spool()
    try:
        with closing(_spool()) as sent:
            async for block in request.stream():
                await asyncio.to_thread(sent.write, block)
            table = await asyncio.to_thread(_open_table, sent, media, charset, served.signature)
            loop = asyncio.get_running_loop()
            answers = _answers_to(table, request, service, served, caller, loop)
            async with service.files:
                await asyncio.to_thread(_check_all, table, served)
                await asyncio.to_thread(table.write, answers, answered)
    except BaseException:
        answered.close()
        raise
    return StreamingResponse(_blocks(answered), media_type=table.media)


@router.post(
    "/feedback",
    response_model=Recorded,
    responses=documented(404, *SENT),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": _json_content(LABEL, {"maxItems": MOST_LABELS}),
        }
    },
)
async def feedback(caller: MayLabel, service: TheService, body: JsonBody) -> Response:
    """The true label of one prediction as an object, or of many as a list: all are recorded, or none."""
    is_list = body.lstrip().startswith(b"[")
    try:
        given = _labels.validate_json(body if is_list else b"[%b]" % body)
    except ValidationError as error:
        raise WrongRows(faults(error)) from None
    try:
        new = await asyncio.to_thread(service.label, [(one.id, one.label) for one in given], caller)
    except KeyError as error:
        raise NotFound(f"there is no prediction {error.args[0]!r}") from None
    recorded = {"recorded": sum(new), "unchanged": len(new) - sum(new)}
    return Response(to_json(recorded), media_type="application/json")


_labels = TypeAdapter(Annotated[list[Label], Field(min_length=1, max_length=MOST_LABELS)])


@router.get("/predictions", response_model=Page, responses=documented(*ASKED, 422, 503))
def predictions(
    caller: MayLabel,
    service: TheService,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[str, Query(max_length=36), AfterValidator(without_nul)] = "",
    model_version: Annotated[str, Query(max_length=12), AfterValidator(without_nul)] = "",
    predicted: Annotated[str, Query(max_length=1000), AfterValidator(without_nul)] = "",
    labelled: bool | None = None,
    wrong: Annotated[bool, Query(description="only those whose label differs")] = False,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Response:
    """Stored predictions, the newest first, with inputs and newest label."""
    filter_ = Filter(
        before=before,
        model_version=model_version,
        predicted=predicted,
        labelled=labelled,
        wrong=wrong,
        since=since,
        until=until,
    )
    page = service.store.list_predictions(limit, filter_)
    return Response(
        to_json({"predictions": page.rows, "next": page.following}), media_type="application/json"
    )


@router.get("/model", response_model=ModelInfo, responses=documented(*ASKED))
def model(caller: Anyone, service: TheService) -> Response:
    """Version, hash, inputs, metrics and card of the model that answers."""
    return Response(to_json(service.about()), media_type="application/json")


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/health/ready", responses=documented(503))
def ready(service: TheService) -> dict[str, str]:
    """Whether a prediction would be answered now: a model is loaded, and the database answers."""
    service.store.version()
    return {"status": "ok", "model_version": service.served.version}


@router.get(
    "/metrics",
    response_class=Response,
    responses=documented(*ASKED)
    | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(caller: Anyone, service: TheService) -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request, caller: Anyone) -> Response:
    """This description, with the inputs of the model that answers."""
    return Response(to_json(request.app.openapi()), media_type="application/json")


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(MEMORY_BYTES)


def _media_type(request: Request) -> tuple[str, str]:
    """The media type of a table, and its encoding where the header has one. Raises WrongMedia."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    try:
        media = header.get_content_type()
        charset = header.get_content_charset("")
        encoding = charset and codecs.lookup(charset).name
    except (LookupError, ValueError):
        raise WrongMedia("the charset of the Content-Type is unknown") from None
    if media not in (CSV, PARQUET, BINARY):
        raise WrongMedia(
            f"the body must be the file itself, with the Content-Type {CSV}, {PARQUET} or {BINARY}"
        )
    return media, encoding


def _open_table(file: IO[bytes], media: str, charset: str, signature: Signature) -> "Table":
    from bakebook.serving.uploads import open_table  # imports Arrow, which the start does not need

    return open_table(file, media, charset, signature)


def _check_all(table: "Table", served: Served) -> None:
    """Raises WrongRows before the first row is predicted."""
    first = 0
    for chunk in table.chunks():
        served.rows.check(chunk.rows, first)
        first += len(chunk.rows)
    if not first:
        raise wrong("the table has no rows")


def _answers_to(
    table: "Table",
    request: Request,
    service: Service,
    served: Served,
    caller: Caller,
    loop: asyncio.AbstractEventLoop,
) -> "Iterator[Answered]":
    """Each part of a table with its answers; a thread iterates, while the event loop predicts."""
    from bakebook.serving.uploads import Answered

    state = request.state
    first = 0
    for chunk in table.chunks():
        rows = served.rows.check(chunk.rows, first)
        asked = service.predict(
            rows, served, caller, request_id=state.request_id, started=state.started
        )
        answers = asyncio.run_coroutine_threadsafe(asked, loop).result()
        yield Answered(chunk.sent, answers)
        first += len(rows)


async def _blocks(file: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        file.seek(0)
        while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
            yield block
    finally:
        file.close()
