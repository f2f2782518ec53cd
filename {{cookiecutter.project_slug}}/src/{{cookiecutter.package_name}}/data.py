"""Tables, models, figures and small results: how the notebooks read and write files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from .errors import BadInput, first_line
from .paths import waiting

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def overview(table: pd.DataFrame, kinds: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row per column: kind, missing and distinct values, least and greatest."""
    bounds = table.select_dtypes(["number", "datetime"])
    return pd.DataFrame(
        {
            "kind": pd.Series(kinds) if kinds else table.dtypes.astype(str),
            "missing": table.isna().sum(),
            "distinct": table.nunique(),
            "least": bounds.min().astype(object),
            "greatest": bounds.max().astype(object),
        }
    ).reindex(table.columns)


def missing(table: pd.DataFrame) -> pd.DataFrame:
    """The columns with missing values: how many, and their share of the rows."""
    counts = table.isna().sum()
    found = counts[counts > 0].sort_values(ascending=False)
    return pd.DataFrame({"missing": found, "share": (found / max(1, len(table))).round(4)})


def read_table(path: Path) -> pd.DataFrame:
    """A table that an earlier stage left."""
    return _read_parquet(_made(path))


def write_table(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Writes a Parquet file (the same rows give the same bytes) and returns the table."""
    with _written(path) as part:
        table.to_parquet(part, index=False)
    return table


def read_json(path: Path) -> Any:
    """A JSON file that an earlier stage or a person left. Raises BadInput when it is missing or broken."""
    try:
        return json.loads(_made(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path.name} is no valid JSON ({first_line(error)}) → mend it") from None


def write_json(content: Any, path: Path) -> Any:
    """Writes a JSON file for people to read and compare, and returns the content."""
    write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)
    return content


def write_bytes(content: bytes, path: Path) -> int:
    """Writes a binary file and returns its size."""
    with _written(path) as part:
        return part.write_bytes(content)


def write_csv(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Writes the small table behind a plot, for `dvc plots`, and returns it."""
    write_text(table.to_csv(index=False, lineterminator="\n"), path)
    return table


def write_text(text: str, path: Path) -> str:
    """Writes a text file, with `\\n` on every system, and returns the text."""
    with _written(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    return text


def read_model(path: Path) -> Any:
    """The fitted pipeline that `train` left. Open only what this project made: joblib can run code."""
    return joblib.load(_made(path))


def write_model(model: Any, path: Path) -> Any:
    """Writes the fitted pipeline and returns it."""
    with _written(path) as part:
        joblib.dump(model, part)
    return model


def write_figure(figure: "Figure", path: Path) -> "Figure":
    """Writes a PNG without date or version (the same figure gives the same bytes) and returns the figure."""
    with _written(path) as part:
        figure.savefig(part, dpi=110, metadata={"Software": None})
    return figure


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A file to fill: it takes the place of `path` once it is whole, under `nb run` when the stage has finished."""
    final = waiting(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".part-{final.name}")
    try:
        yield part
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)


def _made(path: Path) -> Path:
    """Where the file is to be read from: what this stage has just written comes first."""
    place = waiting(path) if waiting(path).is_file() else path
    if not place.is_file():
        raise BadInput(f"there is no file {path} → dvc repro makes what a stage leaves, git restores what people wrote")
    return place


def _read_parquet(path: Path) -> pd.DataFrame:
    """Opened by Python, so that `nb run` sees it, as Arrow's own reader would not be.

    Column by column and copied from Arrow, which gives memory back when it is asked to: a table takes little more than
    its own size while it is read, and nothing once it is no longer needed.
    """
    with path.open("rb") as file:
        stored = parquet.ParquetFile(file)
        columns = {name: stored.read([name]).to_pandas()[name].copy() for name in stored.schema_arrow.names}
    pa.default_memory_pool().release_unused()
    return pd.DataFrame(columns, copy=False)
