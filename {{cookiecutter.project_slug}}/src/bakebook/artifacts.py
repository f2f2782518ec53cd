"""How notebooks read and write tables, contracts, models, figures and text."""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from bakebook import files
from bakebook.contracts import Contract, as_json
from bakebook.errors import BadInput, first_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

AnyContract = TypeVar("AnyContract", bound=Contract)
DPI = 110  # of a figure


def read_table(path: Path) -> "pd.DataFrame":
    """A table that an earlier stage wrote.

    Python opens the file, so that `nb run` sees which file is read. Each column is copied out of
    Arrow by itself: a table takes little more than its own size while it is read.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    columns = {}
    with _existing(path).open("rb") as file:
        stored = parquet.ParquetFile(file)
        for name in stored.schema_arrow.names:
            columns[name] = stored.read([name]).to_pandas()[name].copy()
    pa.default_memory_pool().release_unused()
    return pd.DataFrame(columns, copy=False)


def write_table(table: "pd.DataFrame", path: Path) -> "pd.DataFrame":
    """Writes a Parquet file (the same rows give the same bytes) and returns the table."""
    with files.atomic(files.staged(path)) as part:
        table.to_parquet(part, index=False)
    return table


def read(contract: type[AnyContract], path: Path) -> AnyContract:
    """A contract that an earlier stage wrote. Raises BadInput when the file is missing, broken or
    of another version.
    """
    try:
        return contract.model_validate_json(_existing(path).read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        what = f"{path.name} is not a valid {contract.__name__} ({where}: {fault['msg']})"
        raise BadInput(what, "dvc repro") from None


def read_json(path: Path) -> object:
    """A JSON file that a person wrote. Raises BadInput when it is missing or broken."""
    try:
        return json.loads(_existing(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path.name} is not valid JSON ({first_line(error)})", "fix it") from None


def write_json(content: object, path: Path) -> object:
    """Writes a contract or plain values as JSON for people to read and compare, and returns the
    content.
    """
    text = json.dumps(as_json(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(f"{text}\n", path)
    return content


def write_bytes(content: bytes, path: Path) -> int:
    """Writes a binary file and returns its size in bytes."""
    with files.atomic(files.staged(path)) as part:
        return part.write_bytes(content)


def write_csv(table: "pd.DataFrame", path: Path) -> "pd.DataFrame":
    """Writes the small table behind a plot, for `dvc plots`, and returns it."""
    write_text(table.to_csv(index=False, lineterminator="\n"), path)
    return table


def write_text(text: str, path: Path) -> str:
    """Writes a text file, with `\\n` on every system, and returns the text."""
    files.write_text(text, files.staged(path))
    return text


def read_model(path: Path) -> object:
    """The fitted pipeline that `train` wrote. Open only what this project made: joblib can run
    code.
    """
    import joblib

    return joblib.load(_existing(path))


def write_model(model: object, path: Path) -> object:
    """Writes the fitted pipeline and returns it."""
    import joblib

    with files.atomic(files.staged(path)) as part:
        joblib.dump(model, part)
    return model


class Picture:
    """A PNG that was written, as a notebook shows it; drawing the figure again would take as long
    as writing it.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content

    def __repr__(self) -> str:
        return f"<Picture {self.name}>"

    def _repr_png_(self) -> bytes:
        return self.content


def write_figure(figure: "Figure", path: Path) -> Picture:
    """Writes a PNG without date or version (the same figure gives the same bytes), and returns it
    to be shown.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    with files.atomic(files.staged(path)) as part:
        part.write_bytes(drawn.getvalue())
    return Picture(path.name, drawn.getvalue())


def _existing(path: Path) -> Path:
    found = files.newest(path)
    if not found.is_file():
        raise BadInput(
            f"there is no file {path}",
            "dvc repro writes the outputs of stages, git restores what people wrote",
        )
    return found
