"""The OpenAPI description, with the columns of the very table that the model learned from."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from . import api
from .problems import TITLES, Problem
from .service import Service

REF = "#/components/schemas/{model}"
JSON = "application/json"
POSSIBLE = {  # what a route answers beside 200
    "/predict": (401, 403, 408, 413, 415, 422, 429, 503),
    "/predict/file": (401, 403, 408, 413, 415, 422, 429, 503),
    "/feedback": (401, 403, 404, 408, 413, 415, 422, 429, 503),
    "/predictions": (401, 403, 422, 429, 503),
    "/model": (401, 403, 429),
    "/metrics": (401, 403, 429),
    "/health/live": (),
    "/health/ready": (503,),
}


def described(app: FastAPI, service: Service) -> dict[str, Any]:
    """The description of the service as it is now."""
    served = service.served
    signature = served.model.signature
    content = get_openapi(
        title=f"Predicts {signature['target']}", version=served.version, routes=app.routes, summary=signature["task"]
    )
    schemas = content["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template=REF)
    schemas |= problem.pop("$defs") | {"Problem": problem}
    row = served.rows.schema()
    schemas |= row.pop("$defs", {}) | {"Row": row | {"title": "Row", "examples": _inputs(signature)}}
    paths = content["paths"]
    paths["/predict"] = {"post": _predict(schemas)}
    rows = {"type": "array", "items": {"$ref": REF.format(model="Row")}, "minItems": 1}
    rows["maxItems"] = service.settings.max_rows
    labels = {"type": "array", "items": {"$ref": REF.format(model="Label")}, "minItems": 1, "maxItems": 10_000}
    schemas["Label"] = api.Label.model_json_schema(ref_template=REF)
    paths["/predict"]["post"]["requestBody"] = _body({JSON: {"anyOf": [{"$ref": REF.format(model="Row")}, rows]}})
    paths["/feedback"]["post"]["requestBody"] = _body({JSON: {"anyOf": [{"$ref": REF.format(model="Label")}, labels]}})
    table: dict[str, Any] = {"type": "string", "format": "binary"}
    media = {"text/csv": table, "application/vnd.apache.parquet": table}
    paths["/predict/file"]["post"]["requestBody"] = _body(media)
    paths["/predict/file"]["post"]["responses"]["200"]["content"] = {kind: {"schema": table} for kind in media}
    paths["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    for path, statuses in POSSIBLE.items():
        for operation in paths[path].values():
            _add_problems(operation, statuses)
    content["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    content["security"] = [{"token": []}, {}]
    return content


def _inputs(signature: dict[str, Any]) -> list[dict[str, Any]]:
    return [example["inputs"] for example in signature["examples"]]


def _predict(schemas: dict[str, Any]) -> dict[str, Any]:
    """The one route that FastAPI does not know."""
    schemas["Answer"] = api.Answer.model_json_schema(ref_template=REF)
    one = {"$ref": REF.format(model="Answer")}
    content = {JSON: {"schema": {"anyOf": [one, {"type": "array", "items": one}]}}}
    return {
        "summary": "Predict",
        "description": api.predict.__doc__,
        "operationId": "predict",
        "responses": {"200": {"description": "What the model says", "content": content}},
    }


def _body(media: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"required": True, "content": {kind: {"schema": schema} for kind, schema in media.items()}}


def _add_problems(operation: dict[str, Any], statuses: tuple[int, ...]) -> None:
    operation["responses"].pop("422", None)
    schema = {"schema": {"$ref": REF.format(model="Problem")}}
    for status in statuses:
        operation["responses"][str(status)] = {
            "description": TITLES[status],
            "content": {"application/problem+json": schema},
        }
