"""Fits estimators on tables of the corpus and compares them with their ONNX, row by row.

    python tests/parity.py PROJECT RESULTS few|every DOTTED [DOTTED ...]

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


def parts(name: str, project: Path, folder: Path) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """The schema, the train rows, and test rows with gaps and unseen categories."""
    from wine_quality import features, intake, parameters, sources, splitting

    (folder / "given").mkdir()
    table, copy = TABLES[name](folder / "given"), Path(shutil.copytree(project, folder / project.name))
    intake.use(copy, intake.Wish(table.source, table.target, **table.options))
    params = parameters.read(copy / "params.yaml")
    del params["ingest"]["feedback"]
    place, reading = copy / params["ingest"].pop("source"), sources.Reading(**params["ingest"])
    rows, prepare = sources.read(place, reading), params["prepare"]
    schema = features.describe_inputs(rows, table.target, prepare["task"], prepare["roles"])
    train, test = splitting.split(rows, schema, method="stratified", by="", test_size=0.3, random_state=0)
    for column in schema["inputs"]:
        if column["type"] == "category":
            test.loc[test.index % 7 == 0, column["name"]] = "never seen"
        if column["type"] == "number":
            test[column["name"]] = test[column["name"]].astype(float)
            test.loc[test.index % 5 == 0, column["name"]] = np.nan
    return features.learn_inputs(schema, train), train, test


def outcome(dotted: str, schema: dict[str, Any], train: pd.DataFrame, test: pd.DataFrame) -> str:
    from wine_quality import estimators, export, features
    from wine_quality.inference import Model

    try:
        model = features.pipeline(schema, estimators.build(dotted, {}, schema["task"], random_state=0))
        model.fit(features.inputs(train, schema), features.labels(train, schema))
        onnx = export.convert(model, schema)
        columns = {column["name"]: "text" for column in schema["inputs"]}  # no file is read
        served = Model(onnx, export.signature(onnx, schema, {"columns": columns}))
        prediction = served.predict({name: test[name].to_numpy() for name in test})
        rows = export.compare(model, features.inputs(test, schema), prediction, schema)
        export.stop_if_different(rows, 1e-4)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "same"


def main() -> None:
    warnings.filterwarnings("ignore")
    project, results, which, *asked = sys.argv[1:]
    os.chdir(project)
    sys.path.insert(0, f"{project}/src")
    from wine_quality import catalogue

    found: dict[str, dict[str, str]] = {}
    for name in FEW if which == "few" else TABLES:
        with tempfile.TemporaryDirectory() as folder:
            table = parts(name, Path(project), Path(folder))
        for dotted, _ in catalogue.listed(table[0]["task"]):
            if dotted in asked or asked == ["all"]:
                found.setdefault(dotted, {})[name] = outcome(dotted, *table)
    known = [name.split(".")[-1] for name in found if name.split(".")[-1] in catalogue.NOT_EXPORTED]
    Path(results).write_text(json.dumps({"found": found, "not_exported": known}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
