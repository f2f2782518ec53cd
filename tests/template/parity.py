"""Fits estimators on tables of the corpus and compares them with their ONNX, row by row.

    python tests/template/parity.py PROJECT RESULTS few|every DOTTED [DOTTED ...]

It is run by the Python of the project's environment, on a few tables or every one; `all` stands for every estimator.
The test rows get gaps and categories that were never seen. Writes {estimator: {table: "same", or what went wrong}} as
JSON.
"""

import json
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tables import TABLES

FEW = (
    *("passengers", "dates_and_times", "whole_numbers_that_are_classes", "signal_in_a_text"),
    *("numbers_with_gaps", "excel", "numbers_stored_as_text"),
)


def parts(name: str, project: Path, folder: Path) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """The schema, the train rows, and test rows with gaps and unseen categories."""
    from wine_cultivars import splitting

    from bakebook import params as parameters
    from bakebook.contracts import ReadOptions
    from bakebook.datasets.understanding import Request
    from bakebook.datasets.use import use
    from bakebook.models.schema import describe_inputs, learn_inputs
    from bakebook.tables import readers

    (folder / "given").mkdir()
    table, copy = TABLES[name](folder / "given"), Path(shutil.copytree(project, folder / project.name))
    use(copy, Request(table.source, table.target, **table.options))
    params = parameters.read(copy / "params.yaml")
    del params["ingest"]["feedback"]
    place, options = copy / params["ingest"].pop("source"), ReadOptions(**params["ingest"])
    rows, prepare = readers.read(place, options), params["prepare"]
    schema = describe_inputs(rows, table.target, prepare["task"], prepare["roles"], split="stratified")
    train, test = splitting.split(rows, schema, test_size=0.3, random_state=0)
    for column in schema.inputs:
        if column.role == "categorical":
            test.loc[test.index % 7 == 0, column.name] = "never seen"
        if column.role == "numeric":
            test[column.name] = test[column.name].astype(float)
            test.loc[test.index % 5 == 0, column.name] = np.nan
    return learn_inputs(schema, train), train, test


def outcome(dotted: str, schema: Any, train: pd.DataFrame, test: pd.DataFrame) -> str:
    from wine_cultivars import features

    from bakebook.contracts import ReadOptions
    from bakebook.models import estimators, export
    from bakebook.models.runtime import Model
    from bakebook.models.schema import to_X, to_y

    try:
        model = features.pipeline(schema, estimators.build(dotted, {}, schema.task, random_state=0))
        model.fit(to_X(train, schema), to_y(train, schema))
        onnx = export.convert(model, schema)
        columns = {column.name: "text" for column in schema.inputs}  # no file is read
        served = Model(onnx, export.signature(onnx, schema, ReadOptions(columns=columns)))
        prediction = served.predict({name: test[name].to_numpy() for name in test})
        rows = export.compare(model, to_X(test, schema), prediction, schema)
        export.stop_if_different(rows, 1e-4)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "same"


def main() -> None:
    warnings.filterwarnings("ignore")
    project, results, which, *asked = sys.argv[1:]
    os.chdir(project)
    sys.path.insert(0, f"{project}/src")
    from bakebook.models import onnx_support

    found: dict[str, dict[str, str]] = {}
    for name in FEW if which == "few" else TABLES:
        with tempfile.TemporaryDirectory() as folder:
            table = parts(name, Path(project), Path(folder))
        for dotted, _ in onnx_support.listed(table[0].task, "wine_cultivars"):
            if dotted in asked or asked == ["all"]:
                found.setdefault(dotted, {})[name] = outcome(dotted, *table)
    known = [name.split(".")[-1] for name in found if name.split(".")[-1] in onnx_support.NOT_EXPORTED]
    Path(results).write_text(json.dumps({"found": found, "not_exported": known}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
