"""Columns that no model learns from as they are: lists, objects, bytes, durations, times of the day, zoned times."""

import gzip
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput
from bakebook.tables import readers
from bakebook.tables.detection import detect
from bakebook.tables.dtype_inference import infer_dtypes, notes_on

ROWS = 40


def odd(folder: Path) -> Path:
    moments = pd.date_range("2024-01-01", periods=ROWS, freq="h", tz="Europe/Berlin")
    columns = {
        "size": pa.array(np.arange(ROWS) / 2),
        "tags": pa.array([["a"], ["b", "c"]] * (ROWS // 2)),
        "place": pa.array([{"x": 1, "y": 2}] * ROWS),
        "picture": pa.array([b"\x00\x01"] * ROWS),
        "took": pa.array([1_500_000_000] * ROWS, pa.duration("ns")),
        "opens": pa.array([8 * 3600] * ROWS, pa.time32("s")),
        "when": pa.array(moments),
        "price": pa.array([Decimal("1.00")] * ROWS),
        "kind": pa.array(["p", "q"] * (ROWS // 2)),
    }
    parquet.write_table(pa.table(columns), folder / "odd.parquet")
    return folder / "odd.parquet"


def test_what_cannot_be_read_is_ignored_and_all_else_is_read(tmp_path: Path) -> None:
    path = odd(tmp_path)
    detected, _ = detect(path)
    written = readers.read_untyped(path, detected)
    options = infer_dtypes(written, detected, "kind")
    ignored = [name for name, dtype in options.columns.items() if dtype == "ignore"]
    assert ignored == ["tags", "place", "picture"]
    table = readers.read(path, options)
    assert list(table.columns) == ["size", "took", "opens", "when", "price", "kind"]
    assert (table["took"] == 1.5).all() and (table["opens"] == "08:00:00").all() and (table["price"] == 1).all()
    assert table["when"].iloc[0] == pd.Timestamp("2023-12-31 23:00")
    notes = notes_on(written, options)
    assert notes[0] == "ignored: 'tags', which holds list<element: string>"
    assert notes[-1] == "the times of 'when' are of the zone Europe/Berlin, and become UTC"


def test_a_column_that_is_not_ignored_and_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = odd(tmp_path)
    written = readers.read_untyped(path, detect(path)[0])
    with pytest.raises(BadInput, match=r"contains list.* or set its dtype to ignore"):
        infer = infer_dtypes(written, detect(path)[0], "kind", known={"tags": "text"})
        readers.typed(written, infer, path.name)


def test_nested_json_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"a": n, "b": {"c": [n]}, "d": [1, 2], "kind": "pq"[n % 2]} for n in range(ROWS)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    detected, _ = detect(path)
    written = readers.read_untyped(path, detected)
    options = infer_dtypes(written, detected, "kind")
    assert options.columns == {"a": "integer", "kind": "text", "b": "ignore", "d": "ignore"}
    assert list(readers.read(path, options).columns) == ["a", "kind"]
    assert "ignored: 'b', which holds lists or objects" in notes_on(written, options)


def test_any_column_may_be_ignored_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,notes,kind\n1,x,p\n2,y,q\n", "utf-8")
    options = ReadOptions(columns={"a": "integer", "notes": "ignore", "kind": "text"})
    assert list(readers.read(path, options).columns) == ["a", "kind"]


@pytest.mark.parametrize("suffix", ["gz", "zip"])
def test_a_small_file_that_unpacks_to_very_much_is_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"a,b\n" + b"1,2\n" * 500_000
    path = tmp_path / f"table.csv.{suffix}"
    if suffix == "gz":
        path.write_bytes(gzip.compress(content))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("table.csv", content)
    monkeypatch.setenv("NB_MAX_UNPACKED", "1000000")
    with pytest.raises(BadInput, match=r"unpacks to more than 1 MB → unpack it, or set the variable NB_MAX_UNPACKED"):
        readers.read_untyped(path, ReadOptions())
    monkeypatch.delenv("NB_MAX_UNPACKED")
    assert readers.read_untyped(path, ReadOptions()).num_rows == 500_000


def test_a_table_of_very_many_columns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wide.csv"
    names = [f"c{number}" for number in range(25_000)]
    path.write_text(",".join(names) + "\n" + ",".join("1" * 25_000) + "\n", "utf-8")
    with pytest.raises(BadInput, match=r"25,000 columns.*NB_MAX_COLUMNS"):
        readers.read_untyped(path, ReadOptions())
    monkeypatch.setenv("NB_MAX_COLUMNS", "30000")
    assert readers.read_untyped(path, ReadOptions()).num_columns == 25_000
