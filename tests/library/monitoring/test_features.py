"""Every kind of input becomes a number, and what cannot is missing."""

import numpy as np
import pyarrow as pa
import pytest

from bakebook.contracts import Input, Signature
from bakebook.monitoring.features import features

DAY_S = 86_400


@pytest.mark.parametrize(
    ("role", "values", "numbers"),
    [
        ("numeric", [1.5, None, 1e300], [1.5, np.nan, 1e300]),
        ("boolean", [True, None, False], [1, np.nan, 0]),
        ("categorical", ["y", None, "new"], [1, np.nan, 2]),
        ("text", ["two words", None, ""], [9, np.nan, 0]),
        ("datetime", ["1970-01-02", None, "1970-01-02T00:00:01.5Z"], [DAY_S, np.nan, DAY_S + 1.5]),
        ("datetime", ["1970-01-02T01:00:00+01:00", "no time", "9999-12-31"], [DAY_S, np.nan, 253_402_214_400]),
    ],
)
def test_a_column_of_numbers(role: str, values: list[object], numbers: list[float]) -> None:
    levels = ("x", "y") if role == "categorical" else None
    signature = Signature.model_construct(inputs=(Input(name="one", role=role, levels=levels),))
    found = features(pa.table({"one": pa.array(values)}), signature)
    np.testing.assert_allclose(found, np.array([numbers]).T)


def test_a_model_that_only_computes_its_inputs_has_no_column() -> None:
    assert features(pa.table({"one": [1, 2]}), Signature.model_construct(inputs=())).shape == (2, 0)
