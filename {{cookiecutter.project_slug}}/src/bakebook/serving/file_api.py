"""The route for tables: a file comes back with predictions as further columns."""

import asyncio
import codecs
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from email.message import Message
from typing import IO, TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from bakebook.contracts import Signature
from bakebook.models.columns import NotComputed
from bakebook.serving.auth import Caller, Forbidden
from bakebook.serving.dependencies import MayPredict, TheService
from bakebook.serving.deployments import Served
from bakebook.serving.problems import SENT, WrongMedia, documented, not_computed, wrong
from bakebook.serving.service import Service

if TYPE_CHECKING:
    from bakebook.serving.uploads import Answered, Table


router = APIRouter()
FEEDBACK_SCOPE = "feedback"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
BINARY = "application/octet-stream"  # is taken as Parquet
BLOCK_BYTES = 1 << 16  # of a file that are sent together
MEMORY_BYTES = 1 << 20  # of a file that need no disk
TABLE: dict[str, object] = {"schema": {"type": "string", "format": "binary"}}
FILE = {CSV: TABLE, PARQUET: TABLE}


@router.post(
    "/predict/file",
    response_class=Response,
    responses=documented(*SENT)
    | {200: {"description": "The file with predictions", "content": FILE}},
    openapi_extra={"requestBody": {"required": True, "content": FILE}},
)
async def predict_file(
    request: Request,
    caller: MayPredict,
    service: TheService,
    labels: Annotated[
        bool, Query(description="whether the column of the target has labels")
    ] = False,
) -> Response:
    """A CSV or Parquet file as the body; it comes back with ids, predictions, probabilities and
    warnings as further columns. With `labels=true`, the column of the target is stored as the
    labels of its rows, for which the token needs the scope `feedback` too.

    Values are read as the pipeline reads the table: its decimal separator, its dates, its
    missing-value markers.
    """
    if labels and not caller.may(FEEDBACK_SCOPE):
        raise Forbidden(f"the token of '{caller.name}' does not have the scope '{FEEDBACK_SCOPE}'")
    served = service.served
    media, charset = _media_type(request)
    answered = _spool()
    try:
        with closing(_spool()) as sent:
            async for block in request.stream():
                await asyncio.to_thread(sent.write, block)
            opened = asyncio.to_thread(
                _open_table, sent, media, charset, served.signature, has_labels=labels
            )
            table = await opened
            loop = asyncio.get_running_loop()
            answers = _answers_to(table, request, service, served, caller, loop)
            async with service.files:
                await asyncio.to_thread(_check_all, table, served, service)
                await asyncio.to_thread(table.write, answers, answered)
    except BaseException:
        answered.close()
        raise
    return StreamingResponse(_blocks(answered), media_type=table.media)


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


def _open_table(
    file: IO[bytes], media: str, charset: str, signature: Signature, *, has_labels: bool
) -> "Table":
    from bakebook.serving.upload_formats import (
        open_table,  # imports Arrow, which the start does not need
    )

    return open_table(file, media, charset, signature, has_labels=has_labels)


def _check_all(table: "Table", served: Served, service: Service) -> None:
    """Raises WrongRows before the first row is predicted."""
    first = 0
    for chunk in table.chunks():
        rows = served.rows.check(chunk.rows, first)
        try:
            served.model.derive(served.rows.columns(rows))
        except NotComputed as error:
            raise not_computed(error, first) from None
        service.check_labels(chunk.labels, served, first)
        first += len(rows)
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
        pairs = zip(answers, chunk.labels, strict=bool(chunk.labels))
        given = [(answer["id"], label) for answer, label in pairs if label is not None]
        if given:
            service.label(given, caller)
        yield Answered(chunk.sent, answers)
        first += len(rows)


async def _blocks(file: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        file.seek(0)
        while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
            yield block
    finally:
        file.close()
