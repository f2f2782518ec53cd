"""Runs the seven notebooks of a project on each table of the corpus, in forked processes that share their imports.

    python tests/template/one_process.py PROJECT FOLDER RESULTS [NAME ...]

It is run by the Python of the project's environment, and writes {table: {error, misunderstood, score, by_hand}} as
JSON.
"""

import json
import os
import shutil
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tables import TABLES, Table

STAGES = ["ingest", "validate", "prepare", "train", "export", "evaluate", "describe"]
HEAVY = (
    "great_expectations",
    "joblib",
    "skl2onnx",
    "onnxruntime",
    "fastapi",
    "huggingface_hub.repocard_data",
    "IPython.display",
    "matplotlib.pyplot",
    "PIL.JpegImagePlugin",
    "pyarrow.dataset",
    "pydantic.main",
    "sklearn.calibration",
    "sklearn.feature_selection",
    "sklearn.inspection",
    "sqlalchemy",
    "typer",
    "yaml",
)
TREES, FEWER_TREES = "n_estimators: 60", "n_estimators: 5"  # the second is enough to be served


def run(project: Path, table: Table) -> dict[str, Any]:
    """Uses the table, runs the notebooks as they stand, and returns what came of it."""
    os.chdir(project)
    sys.path.insert(0, str(project / "src"))
    from bakebook import params as parameters
    from bakebook import paths
    from bakebook.datasets.understanding import Request
    from bakebook.datasets.use import use

    use(project, Request(table.source, table.target, **table.options))
    params = project / "params.yaml"
    text = params.read_text("utf-8").replace("cv: 5", "cv: 2").replace("repeats: 10", "repeats: 1")
    params.write_text(text.replace("n_estimators: 100", TREES), "utf-8")
    for stage in STAGES:
        run_notebook(project, stage)
    if {"datetime", "text"} & set(table.roles.values()):
        with warnings.catch_warnings(action="error"):
            run_notebook(project, "exploratory/explore")
    metrics = json.loads(paths.METRICS.read_text("utf-8"))
    schema = json.loads(paths.SCHEMA.read_text("utf-8"))
    score = metrics["model"]["accuracy" if schema["task"] == "classification" else "r2"]
    train, test = pd.read_parquet(paths.TRAIN), pd.read_parquet(paths.TEST)
    found = {
        "misunderstood": misunderstood(table, parameters.read()),
        "score": score,
        "by_hand": by_hand(train, test, schema["target"], schema["task"]),
        "metrics": metrics,
        "card": paths.MODEL_CARD.read_text("utf-8"),
        "readme": (project / "README.md").read_text("utf-8"),
        "read_otherwise": read_otherwise(Path(table.source)),
    }
    return found | {"derived_otherwise": derived_otherwise(project, Path(table.source), parameters.read())}


def run_notebook(project: Path, stage: str) -> None:
    """Runs the cells of a stage in this process."""
    cells = json.loads((project / f"notebooks/{stage}.ipynb").read_text("utf-8"))["cells"]
    names: dict[str, Any] = {"__name__": stage}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{stage}:{cell['id']}", "exec"), names)  # noqa: S102


OWN = {
    "number": ("float", "float", "return value / 3"),
    "integer": ("int", "int", "return value + 1"),
    "amount": ("float", "float", "return value * 2"),
    "boolean": ("bool", "str", "return 'so' if value else 'not so'"),
    "datetime": ("datetime", "datetime", "return value.replace(day=1)"),
    "text": ("str", "int", "return len(value)"),
}


def write_own_columns(project: Path, params: dict[str, Any]) -> None:
    """One column of each column that is not the target, and a mean by the first."""
    dtypes = {name: dtype.split()[0] for name, dtype in params["ingest"]["columns"].items()}
    del dtypes[params["prepare"]["target"]]
    lines = ["from datetime import datetime", "from bakebook.models.columns import column, mean_by"]
    for number, (name, dtype) in enumerate(dtypes.items()):
        given, returned, body = OWN[dtype]
        lines += [
            f'@column("own {number}", reads=[{name!r}])',
            f"def own_{number}(value: {given}) -> {returned}:",
            body,
        ]
    first, *_ = dtypes
    numbers = [name for name, dtype in dtypes.items() if dtype in ("number", "integer", "amount")]
    for name in numbers[:1]:
        lines += [f'@column("own mean", reads=[{first!r}], learn=(mean_by, {name!r}, {first!r}))']
        lines += ["def own_mean(group: str, *, learned: dict) -> float | None:", "return learned.get(group)"]
    text = "\n".join(f"    {line}" if line.startswith("return") else line for line in lines)
    (project / "src" / "wine_cultivars" / "columns.py").write_text(f"{text}\n", "utf-8")


def derived_otherwise(project: Path, source: Path, params: dict[str, Any]) -> list[str]:
    """The columns of the project's own that the service, sent the very source as a file or as JSON, computes otherwise
    than training did; and what keeps the contract from being kept.
    """
    import wine_cultivars
    from pydantic_core import to_json

    from bakebook import paths
    from bakebook.contract.own_columns import check_own_columns
    from bakebook.contract.project import load
    from bakebook.models import derive
    from bakebook.models.runtime import Model
    from bakebook.serving import schemas

    write_own_columns(project, params)
    del wine_cultivars.columns, sys.modules["wine_cultivars.columns"]
    own_params = project / "params.yaml"
    own_params.write_text(own_params.read_text("utf-8").replace(TREES, FEWER_TREES), "utf-8")
    for stage in ("prepare", "train", "export"):
        run_notebook(project, stage)
    model = Model.load(paths.ONNX, paths.SIGNATURE)
    table = pd.read_parquet(paths.TABLE)
    learned = {one.name: one.learned for one in model.signature.derived}
    own = derive.columns_of(wine_cultivars.columns)
    expected = derive.add(table, own)
    for column in own.by_name.values():
        if column.learning:
            arrays = {name: table[name].to_numpy() for name in column.reads}
            expected[column.name] = column.compute(arrays, learned.get(column.name))
    checked = schemas.Rows(model.signature, most=len(table))
    examples = [example.inputs for example in model.signature.examples]
    sent = sent_rows(source, model, checked)
    rows = {"parquet": sent_rows(paths.TABLE, model, checked), "the source": sent_rows(source, model, checked)}
    rows["json"] = checked.read(to_json(rows["parquet"]))[0]
    model.derive(checked.columns(checked.read(to_json(examples))[0]))
    faults = [str(fault) for fault in check_own_columns(load(project))]
    for way, sent in rows.items():
        if not sent and way == "the source":
            continue  # a workbook, a database: not what the service reads
        for name, values in model.derive(checked.columns(sent)).items():
            wanted = [None if pd.isna(value) else value for value in expected[name].astype(object)]
            if [plain(value) for value in wanted] != values:
                faults.append(f"{way}: {name}")
    return faults


def plain(value: Any) -> Any:
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def sent_rows(source: Path, model: Any, checked: Any) -> list[dict[str, Any]]:
    """The rows of the source as the service reads a file; none for what is not such a file."""
    from bakebook.serving.upload_formats import open_table

    media = {".csv": "text/csv", ".parquet": "application/vnd.apache.parquet"}.get(source.suffix)
    if not media or not source.is_file():
        return []
    with source.open("rb") as file:
        chunks = open_table(file, media, "", model.signature).chunks()
        return [row for chunk in chunks for row in checked.check(chunk.rows)]


def read_otherwise(source: Path) -> int | None:
    """The rows of which the service, sent the very source, would say something else than of the pipeline's table."""
    from bakebook import paths
    from bakebook.models.runtime import Model
    from bakebook.serving import schemas

    model = Model.load(paths.ONNX, paths.SIGNATURE)
    checked = schemas.Rows(model.signature, most=1)
    sent = sent_rows(source, model, checked)
    if not sent:
        return None
    table = pd.read_parquet(paths.TABLE)
    said = [model.predict(one) for one in (checked.columns(sent), {name: table[name].to_numpy() for name in table})]
    one, other = (found.values if found.probabilities is None else found.probabilities for found in said)
    return int((one != other).reshape(len(table), -1).any(axis=1).sum())


def misunderstood(table: Table, params: dict[str, Any]) -> list[str]:
    """What params.yaml says otherwise than it should."""
    found = {f"ingest.{name}": params["ingest"][name] for name in table.reading}
    found |= {f"dtype of {name}": params["ingest"]["columns"][name] for name in table.dtypes}
    found |= {f"role of {name}": params["prepare"]["roles"][name] for name in table.roles}
    wanted = {f"ingest.{name}": value for name, value in table.reading.items()}
    wanted |= {f"dtype of {name}": value for name, value in table.dtypes.items()}
    wanted |= {f"role of {name}": value for name, value in table.roles.items()}
    found["task"], wanted["task"] = params["prepare"]["task"], table.task
    return [f"{name} is {found[name]!r}, not {wanted[name]!r}" for name in wanted if found[name] != wanted[name]]


def by_hand(train: pd.DataFrame, test: pd.DataFrame, target: str, task: str) -> float:
    """What a person would write on an afternoon, on the same rows: accuracy or R²."""
    X_train, X_test = (expanded(part.drop(columns=target)) for part in (train, test))
    numbers = list(X_train.select_dtypes(["number", "bool"]).columns)
    words = [name for name in X_train if name not in numbers]
    long = [name for name in words if X_train[name].str.count(r"\S+").mean() >= 3]
    few = [name for name in words if name not in long and X_train[name].nunique() <= 60]
    prepared = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), numbers),
            ("few", OneHotEncoder(handle_unknown="ignore"), few),
            *((name, TfidfVectorizer(), name) for name in long),
        ]
    )
    kinds = {"classification": RandomForestClassifier, "regression": RandomForestRegressor}
    y_train, y_test = train[target], test[target]
    if task == "classification":
        y_train, y_test = y_train.astype(str), y_test.astype(str)
    model = make_pipeline(prepared, kinds[task](n_estimators=60, random_state=0)).fit(X_train, y_train)
    measure = accuracy_score if task == "classification" else r2_score
    return float(measure(y_test, model.predict(X_test)))


def expanded(X: pd.DataFrame) -> pd.DataFrame:
    """Times as numbers, words without gaps."""
    found: dict[str, Any] = {}
    for name, column in X.items():
        if pd.api.types.is_datetime64_any_dtype(column):
            found |= {f"{name} {part}": getattr(column.dt, part) for part in ("weekday", "hour", "dayofyear")}
        elif pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            found[str(name)] = column.astype(float)
        else:
            found[str(name)] = column.astype(object).fillna("none").astype(str)
    return pd.DataFrame(found).dropna(axis="columns", how="all")


def forked(project: Path, place: Path, name: str) -> dict[str, Any]:
    copy, given = place / name / project.name, place / name / "given"
    shutil.copytree(project, copy)
    given.mkdir()
    answer = place / name / "answer.json"
    if (child := os.fork()) == 0:
        with (place / name / "said.txt").open("w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        try:
            found = run(copy, TABLES[name](given))
        except BaseException:
            found = {"error": traceback.format_exc()}
        answer.write_text(json.dumps(found, default=str), "utf-8")
        os._exit(0)
    os.waitpid(child, 0)
    return json.loads(answer.read_text("utf-8"))


def main() -> None:
    matplotlib.use("Agg")
    for module in HEAVY:
        __import__(module)
    project, place, results, *chosen = sys.argv[1:]
    found = {name: forked(Path(project), Path(place), name) for name in chosen or TABLES}
    Path(results).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
