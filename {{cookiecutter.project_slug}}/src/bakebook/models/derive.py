"""Adds the columns of `columns.py` to the tables of the pipeline."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa

from bakebook.errors import BadInput, did_you_mean
from bakebook.models.columns import Column, Columns

ARROW_TYPES: Mapping[type, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    str: pa.string(),
    datetime: pa.timestamp("us"),
}
COMPARED_ROWS = 20  # that are computed once more, each by itself

Learned = dict[str, object]  # what columns learned from the training rows, by their names


def columns_of(module: ModuleType) -> Columns:
    """The columns that the project's module `columns` defines."""
    return Columns(module, Path(str(module.__file__)).read_bytes())


def add(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The table, and after its columns those that need nothing of other rows.

    Raises BadInput for a column that the table has already, or that reads one that does not exist.
    """
    _check_names(table, columns)
    found = table.copy(deep=False)
    for column in columns.by_name.values():
        if not needs_training_rows(column, columns):
            found[column.name] = _computed(found, column)
    return found


def add_learned(
    train: pd.DataFrame, test: pd.DataFrame, columns: Columns
) -> tuple[pd.DataFrame, pd.DataFrame, Learned]:
    """Training and test rows with the columns that `add` left out, and what these learned from the
    training rows.
    """
    train = train.copy(deep=False)
    test = test.copy(deep=False)
    learned: Learned = {}
    for column in columns.by_name.values():
        if not needs_training_rows(column, columns):
            continue
        if column.learning:
            learned[column.name] = column.learn(_arrays(train, column.needs))
        for part in (train, test):
            part[column.name] = _computed(part, column, learned.get(column.name))
    return train, test, learned


def needs_training_rows(column: Column, columns: Columns) -> bool:
    """Whether a column, or one that it reads, learns from the training rows."""
    if column.learning:
        return True
    read = [columns.by_name[name] for name in column.reads if name in columns.by_name]
    return any(needs_training_rows(one, columns) for one in read)


def shown(columns: Columns) -> pd.DataFrame | str:
    """One row per column of the project's own, or a sentence that there are none."""
    if not columns.by_name:
        return "columns.py defines no column yet."
    rows = []
    for one in columns.by_name.values():
        says = (one.function.__doc__ or "").strip().partition("\n")[0]
        rows.append((one.name, one.type.__name__, ", ".join(one.reads), says))
    return pd.DataFrame(rows, columns=["column", "type", "reads", "what it is"])


def _check_names(table: pd.DataFrame, columns: Columns) -> None:
    known = [str(name) for name in table.columns]
    for column in columns.by_name.values():
        where = f"columns.py: {column.name}"
        if column.name in table.columns:
            raise BadInput(f"{where} is already a column of the table", "give it another name")
        for name in column.needs:
            if name not in known:
                remedy = did_you_mean(name, known) or "read a column of the table, or one above it"
                raise BadInput(f"{where} reads '{name}', which does not exist", remedy)
        known.append(column.name)


def _computed(table: pd.DataFrame, column: Column, learned: object = None) -> pd.Series:
    """A column as a table has it that was read from Parquet."""
    values = column.compute(_arrays(table, column.reads), learned)
    places = np.unique(np.linspace(0, len(table) - 1, COMPARED_ROWS).astype(int))[::-1]
    for place in places[places >= 0]:
        row = table.iloc[[place]]
        if column.compute(_arrays(row, column.reads), learned) != [values[place]]:
            what = f"columns.py: {column.name} gives row {place} another value when it is alone"
            remedy = "use neither chance, nor the clock, nor anything kept between rows"
            raise BadInput(what, remedy)
    stored = pa.array(values, ARROW_TYPES[column.type])
    return pd.Series(stored.to_pandas().to_numpy(), index=table.index)


def _arrays(table: pd.DataFrame, names: tuple[str, ...]) -> Mapping[str, np.ndarray]:
    return {name: table[name].to_numpy() for name in names}
