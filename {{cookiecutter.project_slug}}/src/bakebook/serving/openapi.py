"""The OpenAPI description, with the columns of the table that the model was trained on."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from bakebook.serving.messages import Answer, Label
from bakebook.serving.problems import Problem
from bakebook.serving.service import Service

Operation = dict[str, Any]
REF = "#/components/schemas/{model}"


def describe(app: FastAPI, service: Service) -> dict[str, object]:
    """The description of the service as it is now: FastAPI's own, and the schemas that depend on
    the model.
    """
    served = service.served
    signature = served.signature
    content = get_openapi(
        title=f"Predicts {signature.target}",
        version=served.version,
        routes=app.routes,
        summary=signature.task,
    )
    row = served.rows.schema()
    row["title"] = "Row"
    row["examples"] = [example.inputs for example in signature.examples]
    schemas = content["components"]["schemas"]
    schemas |= row.pop("$defs", {})
    schemas["Row"] = row
    for model in (Answer, Label, Problem):
        schemas |= _schemas(model)
    rows = content["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]["anyOf"][1]
    rows["maxItems"] = service.settings.max_rows
    for operation in _operations(content["paths"]):
        if "security" in operation:
            operation["security"].append({})  # without tokens, this machine may call
    return content


def _operations(paths: dict[str, dict[str, Operation]]) -> Iterator[Operation]:
    for methods in paths.values():
        yield from methods.values()


def _schemas(model: type[BaseModel]) -> dict[str, object]:
    schema = model.model_json_schema(ref_template=REF)
    return {**schema.pop("$defs", {}), model.__name__: schema}
