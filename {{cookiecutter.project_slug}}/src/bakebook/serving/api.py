"""The routes for programs."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import AfterValidator
from pydantic_core import to_json

from bakebook.database.queries import Filter
from bakebook.serving.dependencies import (
    PREDICT,
    Anyone,
    JsonBody,
    MayLabel,
    MayPredict,
    TheService,
    bearer,
    get_caller,
    get_json,
    get_service,
)
from bakebook.serving.messages import MOST_LABELS, Label, ModelInfo, Page, Recorded
from bakebook.serving.problems import (
    ASKED,
    SENT,
    NotFound,
    WrongRows,
    documented,
    of_one_row,
)
from bakebook.serving.schemas import OneOrMany, without_nul

router = APIRouter()
ROW = {"$ref": "#/components/schemas/Row"}
LABEL = {"$ref": "#/components/schemas/Label"}
ANSWER = {"$ref": "#/components/schemas/Answer"}


def _json_content(schema: Mapping[str, object], many: Mapping[str, object]) -> dict[str, object]:
    """One object or a list of them, as content of OpenAPI."""
    array = {"type": "array", "items": schema, "minItems": 1, **many}
    return {"application/json": {"schema": {"anyOf": [schema, array]}}}


async def predict(
    request: Request, caller: MayPredict, service: TheService, body: JsonBody
) -> Response:
    """One row as an object, or many as a list; the answer has the same form."""
    served = service.served
    rows, is_list = served.rows.read(body)
    state = request.state
    try:
        answers = await service.predict(
            rows, served, caller, request_id=state.request_id, started=state.started
        )
    except WrongRows as error:
        raise error if is_list else of_one_row(error) from None
    return Response(to_json(answers if is_list else answers[0]), media_type="application/json")


class DirectRoute(APIRoute):
    """`/predict` without FastAPI's resolution of dependencies, which takes a fifth of a request.

    It calls what `predict` declares; the declaration still describes the route.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            service = await get_service(request)
            caller = await get_caller(request, service, PREDICT, await bearer(request))
            return await predict(request, caller, service, await get_json(request))

        return handle


router.add_api_route(
    "/predict",
    predict,
    methods=["POST"],
    route_class_override=DirectRoute,
    response_class=Response,
    responses=documented(*SENT)
    | {200: {"description": "The predictions", "content": _json_content(ANSWER, {})}},
    openapi_extra={"requestBody": {"required": True, "content": _json_content(ROW, {})}},
)


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
    """The true label of one prediction as an object, or of many as a list: all are recorded, or
    none.
    """
    given, _ = _labels.read(body)
    try:
        new = await asyncio.to_thread(service.label, [(one.id, one.label) for one in given], caller)
    except KeyError as error:
        raise NotFound(f"there is no prediction {error.args[0]!r}") from None
    recorded = {"recorded": sum(new), "unchanged": len(new) - sum(new)}
    return Response(to_json(recorded), media_type="application/json")


_labels = OneOrMany(Label, "a label", tuple(Label.model_fields), MOST_LABELS)


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
    """Whether a prediction would be answered now: a model is loaded, the database answers, and it
    stored the last one.
    """
    service.check()
    return {"status": "ok", "model_version": service.served.version}


@router.get(
    "/metrics",
    response_class=Response,
    responses=documented(*ASKED)
    | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(caller: Anyone, service: TheService) -> Response:
    """Counters for Prometheus, and what nb monitor found last."""
    service.show_report()
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request, caller: Anyone) -> Response:
    """This description, with the inputs of the model that answers."""
    return Response(to_json(request.app.openapi()), media_type="application/json")
