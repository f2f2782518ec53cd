"""Inputs of predictions as columns, from the JSON that the database has."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import pyarrow as pa
from pyarrow import json as arrow_json
from pydantic_core import from_json

from bakebook.contracts import Signature
from bakebook.models.meanings import meanings_of
from bakebook.tables.values import as_text

BLOCK_BYTES = 64 * 1024 * 1024  # of JSON that Arrow parses at a time; a row is never longer
ARROW_TYPES = {
    "numeric": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.string(),
    "categorical": pa.string(),
    "text": pa.string(),
}


def _schema_of(signature: Signature) -> pa.Schema:
    """A column for each input."""
    return pa.schema([(one.name, ARROW_TYPES[one.role]) for one in signature.inputs])


def parsed(texts: Sequence[str], schema: pa.Schema) -> pa.Table:
    """JSON objects as columns; what a column cannot hold is missing."""
    options = arrow_json.ParseOptions(
        explicit_schema=schema, unexpected_field_behavior="ignore", newlines_in_values=False
    )
    if not texts:
        return schema.empty_table()
    lines = BytesIO("\n".join(texts).encode())
    try:
        found = arrow_json.read_json(lines, arrow_json.ReadOptions(block_size=BLOCK_BYTES), options)
        return found.select(schema.names).combine_chunks()
    except pa.ArrowInvalid:  # a value of another type, or names that occur twice
        return _columns([from_json(text) for text in texts], schema)


def as_table(inputs: Sequence[Mapping[str, object]], signature: Signature) -> pa.Table:
    """The inputs of n predictions as the model sees them; what a column cannot hold is missing."""
    return _meant(_columns(inputs, _schema_of(signature)), signature)


def read_inputs(texts: Sequence[str], signature: Signature) -> pa.Table:
    """The same of JSON objects."""
    return _meant(parsed(texts, _schema_of(signature)), signature)


def _meant(table: pa.Table, signature: Signature) -> pa.Table:
    for name, meaning in meanings_of(signature).items():
        place = table.schema.get_field_index(name)
        values = [meaning(value) for value in table[name].to_pylist()]
        table = table.set_column(
            place, table.schema.field(place), pa.array(values, table[name].type)
        )
    return table


def _columns(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    columns = [[_fitting(row.get(one.name), one.type) for row in rows] for one in schema]
    return pa.table(columns, schema=schema)


def _fitting(value: object, type_: pa.DataType) -> object:
    """The value, where the column can hold it."""
    if value is not None and type_ == pa.string():
        return as_text(value)
    try:
        return pa.scalar(value, type_).as_py()
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None
