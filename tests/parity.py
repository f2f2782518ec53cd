"""Fits estimators on tables of the corpus and compares them with their ONNX, row by row.

    python tests/parity.py PROJECT RESULTS DOTTED [DOTTED ...]

It is run by the Python of the project's environment; the test rows get gaps and categories that were never seen. Writes
{estimator: {table: "same", or what went wrong}} as JSON.
"""

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tables import TABLES

CHOSEN = {
    "classification": ["passengers", "dates_and_times", "whole_numbers_that_are_classes", "signal_in_a_text"],
    "regression": ["numbers_with_gaps", "excel", "numbers_stored_as_text"],
}


def parts(name: str, folder: Path) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """The schema, the train rows, and test rows with gaps and unseen categories."""
    from wine_quality import features, sources, splitting, understanding

    table = TABLES[name](folder)
    found = understanding.look(Path(table.source), table.target, task=table.options.get("task", "auto"))
    rows = sources.read(Path(table.source), found.reading)
    roles = {column: role for column, (role, _) in found.roles.items()}
    schema = features.describe_inputs(rows, table.target, found.task, roles)
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
        served = Model(onnx, export.signature(onnx, schema, train))
        prediction = served.predict({name: test[name].to_numpy() for name in test})
        rows = export.compare(model, features.inputs(test, schema), prediction, schema)
        export.stop_if_different(rows, 1e-4)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "same"


def main() -> None:
    warnings.filterwarnings("ignore")
    project, results, *asked = sys.argv[1:]
    os.chdir(project)
    sys.path.insert(0, f"{project}/src")
    from wine_quality import catalogue

    found: dict[str, dict[str, str]] = {}
    for task, names in CHOSEN.items():
        wanted = [dotted for dotted, _ in catalogue.listed(task) if dotted in asked or asked == ["all"]]
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                table = parts(name, Path(folder))
            for dotted in wanted:
                found.setdefault(dotted, {})[name] = outcome(dotted, *table)
    known = [name.split(".")[-1] for name in found if name.split(".")[-1] in catalogue.NOT_EXPORTED]
    Path(results).write_text(json.dumps({"found": found, "not_exported": known}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
