"""What the model has not seen is said, and a value means the same in JSON as in the table."""

from datetime import UTC, datetime

import pytest

from bakebook.contracts import Input, ModelFile, ReadOptions, Signature
from bakebook.serving.schemas import Rows
from bakebook.serving.unfamiliar import in_words

INPUTS = (
    Input(name="size", role="numeric", minimum=20, maximum=80),
    Input(name="job", role="categorical", levels=("cook", "nurse")),
    Input(name="when", role="datetime", minimum="2024-01-01T00:00:00", maximum="2024-12-31T00:00:00"),
    Input(name="read", role="numeric", only_read=True),
)
KNOWN = {"size": 50.0, "job": "cook", "when": datetime(2024, 6, 1, tzinfo=UTC), "read": 1.0}


@pytest.fixture
def rows() -> Rows:
    dtypes = {"size": "number", "job": "text", "when": "datetime", "read": "number"}
    signature = Signature(
        model=ModelFile(file="model.onnx", sha256="0" * 64, bytes=1),
        target="y",
        task="regression",
        inputs=INPUTS,
        reading=ReadOptions(missing=("", "?", "-999"), columns=dtypes),
    )
    return Rows(signature, most=10)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"size": 80.0}, []),
        ({"size": 1e6}, [{"input": "size", "reason": "outside the training range"}]),
        ({"job": "pilot"}, [{"input": "job", "reason": "not seen in training"}]),
        ({"job": None}, []),
        ({"when": datetime(2025, 1, 1)}, [{"input": "when", "reason": "outside the training range"}]),
        ({"read": 1e9}, []),
        (dict.fromkeys(KNOWN), [{"input": None, "reason": "all inputs are missing"}]),
    ],
)
def test_what_the_model_has_not_seen_is_said(
    rows: Rows, changed: dict[str, object], expected: list[dict[str, object]]
) -> None:
    assert rows.warnings(KNOWN | changed) == expected


def test_the_warnings_of_a_row_are_one_cell_of_a_file(rows: Rows) -> None:
    assert in_words(rows.warnings(KNOWN)) == ""
    strange = rows.warnings(KNOWN | {"size": 1e6, "job": "pilot"})
    assert in_words(strange) == "size: outside the training range; job: not seen in training"
    assert in_words(rows.warnings(dict.fromkeys(KNOWN))) == "all inputs are missing"


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [("job", " cook ", "cook"), ("job", "?", None), ("job", "", None), ("size", -999.0, None), ("size", 30.0, 30.0)],
)
def test_a_value_means_in_json_what_it_means_in_the_table(
    rows: Rows, name: str, value: object, meaning: object
) -> None:
    assert rows.columns([KNOWN | {name: value}])[name] == [meaning]
    assert rows.meant(KNOWN | {name: value})[name] == meaning
