"""From bytes to typed columns: what is proposed for a table reads it, and a wrong value is named with its row."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput
from bakebook.tables import readers
from bakebook.tables.detection import detect
from bakebook.tables.dtype_inference import infer_dtypes
from bakebook.tables.profile import missing, overview
from bakebook.tables.roles import propose_roles, propose_task
from bakebook.tables.values import BOOLEANS, as_text


@dataclass(frozen=True)
class Understood:
    table: pd.DataFrame
    options: ReadOptions
    task: str
    roles: dict[str, str]


def understand(path: Path, target: str) -> Understood:
    """What `nb data use` would propose."""
    detected, _ = detect(path)
    written = readers.read_untyped(path, detected)
    options = infer_dtypes(written, detected, target)
    table = readers.typed(written, options, path.name)
    task = propose_task(table[target], options.columns[target], None).choice
    roles = {name: role.choice for name, role in propose_roles(table, target, options.columns).items()}
    return Understood(table, options, task, roles)


def test_a_source_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"set ingest\.source"):
        readers.read(tmp_path / "absent.csv", ReadOptions())


def test_a_value_of_another_dtype_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a;b\n1,5;x\n2 apples;y\n", encoding="utf-8")
    options = ReadOptions(delimiter=";", decimal=",", columns={"a": "number", "b": "text"})
    with pytest.raises(BadInput, match="column 'a', row 2: '2 apples' is not a number"):
        readers.read(path, options)


def test_what_is_proposed_for_a_table_reads_it(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "table.csv", index=False, sep=";", decimal=",")
    found = understand(tmp_path / "table.csv", "kind")
    assert (found.task, found.options.delimiter, found.options.decimal) == ("classification", ";", ",")
    assert found.roles == {"size": "numeric", "noise": "numeric", "colour": "categorical"}
    pd.testing.assert_frame_equal(found.table, table, check_dtype=False)


@pytest.mark.parametrize(
    ("written", "decimal", "dtype", "value"),
    [
        ("(1,200)", ".", "amount", -1200),
        ("100 EUR", ".", "amount", 100),
        ("€ 1.234,50", ",", "amount", 1234.5),
        ("1 234 567 kr", ".", "amount", 1234567),
        ("10.2.1.7", ",", "text", "10.2.1.7"),
        ("12.11.2020", ",", "datetime %d.%m.%Y", pd.Timestamp("2020-11-12")),
    ],
)
def test_an_amount_is_converted_or_stays_text(
    tmp_path: Path, written: str, decimal: str, dtype: str, value: object
) -> None:
    certain = {".": "0.5", ",": "0,5"}[decimal]
    lines = [f'"{written}";{certain};{"yes" if n % 2 else "no"}' for n in range(30)]
    (tmp_path / "t.csv").write_text("a;b;y\n" + "\n".join(lines), "utf-8")
    found = understand(tmp_path / "t.csv", "y")
    assert (found.options.decimal, found.options.columns["a"]) == (decimal, dtype)
    assert found.table["a"].iloc[0] == value


def test_a_gap_among_booleans_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\ntrue,1\n,2\nfalse,3\n", "utf-8")
    options = ReadOptions(columns={"a": "boolean", "b": "integer"})
    assert readers.read(tmp_path / "t.csv", options)["a"].tolist() == [True, None, False]


def test_text_of_a_parquet_file_is_read_like_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"day": ["04/01/2021", "25/12/2021", "NA"], "n": ["1,5", "2,5", "3,5"]})
    frame.to_parquet(tmp_path / "t.parquet")
    columns = {"day": "datetime %d/%m/%Y", "n": "number"}
    options = ReadOptions(file_format="parquet", decimal=",", missing=("NA",), columns=columns)
    table = readers.read(tmp_path / "t.parquet", options)
    assert table["day"].iloc[0] == pd.Timestamp("2021-01-04")
    assert table["day"].isna().sum() == 1
    assert table["n"].sum() == 7.5


def test_each_word_for_true_and_false_has_one_meaning() -> None:
    assert BOOLEANS["si"] is BOOLEANS["ja"] is True
    assert BOOLEANS["no"] is BOOLEANS["nein"] is False


@pytest.mark.parametrize(
    ("value", "text"), [(3.0, "3"), (np.float32(3), "3"), (3.5, "3.5"), (None, ""), (np.nan, ""), (True, "True")]
)
def test_a_category_is_written_alike_whatever_its_type(value: object, text: str) -> None:
    assert as_text(value) == text


def test_empty_results_are_words(table: pd.DataFrame) -> None:
    assert missing(table.drop(columns="colour")) == "No value is missing."
    assert overview(table).loc["colour", "missing"] == 20
