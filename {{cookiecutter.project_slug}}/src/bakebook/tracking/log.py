"""What a stage wrote, logged to its MLflow run: parameters, metrics, datasets, files, trials, the
served model.
"""

import csv
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bakebook.contract.project import Project
from bakebook.contracts import SplitReport, Trained
from bakebook.files import dvc_hash
from bakebook.paths import MODEL, ONNX, ROOT, SPLIT, TRAINED, TRIALS
from bakebook.tracking.log_model import log_model
from bakebook.tracking.names import TEST_ROWS_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run
    from pyarrow import DataType

MOST_PARAMS = 100  # that MLflow accepts in one request
MOST_METRICS = 1000
RACE_S = 0.1  # until another run has recorded its dataset
LOGGED_FOLDERS = ("models/", "reports/")
MODEL_TAG = "model_md5"
FAILED_TAG = "failed_stage"
MODEL_FILE = MODEL.relative_to(ROOT).as_posix()
ONNX_FILE = ONNX.relative_to(ROOT).as_posix()
TRIALS_FILE = TRIALS.relative_to(ROOT).as_posix()
TRAINED_FILE = TRAINED.relative_to(ROOT).as_posix()
SPLIT_FILE = SPLIT.relative_to(ROOT).as_posix()
# What is known only once the model is trained
TRAINED_PARAMS = ("train.estimator", "train.hyperparameters")
# A parameter for each column would hide the others; datasets have the columns, and the signature
PER_COLUMN = ("ingest.columns.", "prepare.roles.")


def makes_model(project: Project, stage: str) -> bool:
    """Whether the stage trains the model."""
    return MODEL_FILE in project.files(stage, "outs")


def takes_model(project: Project, stage: str) -> bool:
    """Whether the stage reads the trained model."""
    return MODEL_FILE in project.files(stage, "deps")


def log_start(client: "MlflowClient", run_id: str, project: Project, stages: Sequence[str]) -> None:
    """The values with which stages run: parameters of the run for what makes the model, tags for
    later stages.

    What later stages do with a model may change; their texts are in the model card. Estimator and
    hyperparameters are tags too: a search may train others.
    """
    from mlflow.entities import Param, RunTag

    params: dict[str, str] = {}
    tags = []
    for stage in stages:
        values = _values(project, stage)
        if TRAINED_FILE in project.files(stage, "outs"):
            asked = [name for name in values if name.startswith(TRAINED_PARAMS)]
            found = {name: values.pop(name) for name in asked}
            if values.get("train.search") != "none":
                tags += [RunTag(f"asked.{name}", str(value)) for name, value in found.items()]
        if takes_model(project, stage):
            tags += [
                RunTag(name, str(value))
                for name, value in values.items()
                if isinstance(value, int | float)
            ]
        else:
            params |= {_allowed(name): str(value) for name, value in values.items()}
    if test_rows := _test_rows(project.root):
        tags.append(RunTag(TEST_ROWS_TAG, test_rows))
    client.log_batch(run_id, tags=tags)
    listed = [Param(name, value) for name, value in params.items()]
    for first in range(0, len(listed), MOST_PARAMS):
        client.log_batch(run_id, params=listed[first : first + MOST_PARAMS])


def log_results(
    client: "MlflowClient", run_id: str, project: Project, stages: Sequence[str]
) -> None:
    """What finished stages wrote: metrics, datasets, files, trials, and the model in the form that
    MLflow loads.
    """
    for stage in stages:
        _log_metrics(client, run_id, project, stage)
        _log_files(client, run_id, project, stage)
        outs = project.files(stage, "outs")
        if ONNX_FILE in outs:
            log_model(client, run_id)
        if TRAINED_FILE in outs:
            _log_trained(client, run_id, project.root / TRAINED_FILE)
        if TRIALS_FILE in outs:
            _log_trials(client, run_id, project.root / TRIALS_FILE)
    _log_datasets(client, run_id, project, stages[-1])


def log_notebook(client: "MlflowClient", run_id: str, executed: Path | None) -> None:
    """The executed notebook, also of a stage that failed."""
    if executed and executed.exists():
        client.log_artifact(run_id, str(executed), "reports/notebooks")


def inherit(client: "MlflowClient", earlier: "Run", run: "Run") -> None:
    """Copies what an earlier run of the same model has and `run` does not: metrics, datasets, tags,
    files.
    """
    from mlflow.entities import Metric, RunTag

    run_id = run.info.run_id
    own_tags = {*run.data.tags, MODEL_TAG, FAILED_TAG}
    started = run.info.start_time
    metrics = [Metric(name, value, started, 0) for name, value in earlier.data.metrics.items()]
    tags = [
        RunTag(name, value) for name, value in earlier.data.tags.items() if name not in own_tags
    ]
    client.log_batch(run_id, metrics=metrics, tags=tags)
    if earlier.inputs:
        _log_inputs(client, run_id, earlier.inputs.dataset_inputs)
    if client.list_artifacts(earlier.info.run_id):  # the folder of artifacts may have been emptied
        with tempfile.TemporaryDirectory() as folder:
            copied = client.download_artifacts(earlier.info.run_id, "", folder)
            client.log_artifacts(run_id, copied)


def flat(content: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Names and values of nested mappings, the names joined by points."""
    for name, value in content.items():
        path = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, dict) and value:
            yield from flat(value, path)
        else:
            yield path, value


def _values(project: Project, stage: str) -> dict[str, object]:
    """The values of a stage by their dotted names, but one for each column."""
    values = flat(project.params.get(stage) or {}, stage)
    return {name: value for name, value in values if not name.startswith(PER_COLUMN)}


def _test_rows(root: Path) -> str:
    """The hash of the rows that test the model; empty where they are not known."""
    path = root / SPLIT_FILE
    return SplitReport.model_validate_json(path.read_bytes()).test_sha256 if path.is_file() else ""


def _log_trained(client: "MlflowClient", run_id: str, path: Path) -> None:
    """The estimator and the hyperparameters that the model has."""
    from mlflow.entities import Param

    trained = Trained.model_validate_json(path.read_bytes())
    values = {**trained.hyperparameters, **trained.others}
    params = [Param("train.estimator", trained.estimator)]
    for name, value in values.items():
        params.append(Param(_allowed(f"train.hyperparameters.{name}"), str(value)))
    client.log_batch(run_id, params=params)


def _log_metrics(client: "MlflowClient", run_id: str, project: Project, stage: str) -> None:
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    metrics = []
    for path in project.files(stage, "metrics"):
        for name, value in flat(_json_object(project.root / path)):
            if isinstance(value, int | float):
                metrics.append(Metric(_allowed(name), float(value), now, 0))
    for first in range(0, len(metrics), MOST_METRICS):
        client.log_batch(run_id, metrics=metrics[first : first + MOST_METRICS])


def _json_object(path: Path) -> Mapping[str, object]:
    """The object in a JSON file; empty for any other file."""
    if path.suffix != ".json":
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _log_datasets(client: "MlflowClient", run_id: str, project: Project, stage: str) -> None:
    """The tables that the stage read, with DVC's hash as their digest."""
    inputs = []
    for path in project.files(stage, "deps"):
        if path.startswith("data/") and path.endswith(".parquet"):
            inputs.append(_dataset(project.root, path, stage))
    if inputs:
        _log_inputs(client, run_id, inputs)


def _log_inputs(
    client: "MlflowClient", run_id: str, inputs: "list[DatasetInput]", tries: int = 5
) -> None:
    """Logs datasets; again where another run records the same one in this very moment, which a
    database refuses and MLflow does not expect.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.log_inputs(run_id, inputs)
    except MlflowException as error:
        if tries == 1 or "unique constraint" not in str(error).lower():
            raise
        time.sleep(RACE_S)
        _log_inputs(client, run_id, inputs, tries - 1)


def _dataset(root: Path, path: str, stage: str) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from pyarrow import parquet

    table = parquet.ParquetFile(root / path)
    columns = []
    for field in table.schema_arrow:
        columns.append({"name": field.name, "type": _mlflow_type(field.type), "required": True})
    size = {"num_rows": table.metadata.num_rows, "num_elements": table.metadata.num_columns}
    dataset = Dataset(
        name=path,
        digest=dvc_hash(root / path),
        source_type="local",
        source=json.dumps({"uri": path}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(size),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", stage)])


def _log_trials(client: "MlflowClient", run_id: str, path: Path) -> None:
    """Each trial of a search as a run within the run, so that MLflow compares them."""
    experiment = client.get_run(run_id).info.experiment_id
    with path.open(encoding="utf-8", newline="") as file:
        for trial in csv.DictReader(file):
            _log_trial(client, run_id, experiment, trial)


def _log_trial(client: "MlflowClient", parent: str, experiment: str, trial: dict[str, str]) -> None:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    name = f"trial {trial.pop('trial')}"
    state = trial.pop("state")
    measured = {measure: trial.pop(measure) for measure in ("score", "spread")}
    params = [Param(_allowed(name), value) for name, value in trial.items() if value]
    run = client.create_run(experiment, run_name=name, tags={MLFLOW_PARENT_RUN_ID: parent})
    started = run.info.start_time
    metrics = [
        Metric(measure, float(value), started, 0) for measure, value in measured.items() if value
    ]
    status = "KILLED"
    try:
        client.log_batch(
            run.info.run_id, metrics=metrics, params=params, tags=[RunTag("state", state)]
        )
        status = "FAILED" if state.startswith("failed") else "FINISHED"
    finally:
        client.set_terminated(run.info.run_id, status)


def _log_files(client: "MlflowClient", run_id: str, project: Project, stage: str) -> None:
    for path in project.made(stage):
        place = project.root / path
        if not path.startswith(LOGGED_FOLDERS):
            continue
        if place.is_dir():
            client.log_artifacts(run_id, str(place), path)
        elif place.is_file():
            client.log_artifact(run_id, str(place), str(PurePosixPath(path).parent))


def _allowed(name: str) -> str:
    """The name with the signs that MLflow accepts: letters, digits, _ - . / and blanks."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


def _mlflow_type(type_: "DataType") -> str:
    from pyarrow import types

    if types.is_floating(type_):
        return "double"
    return "long" if types.is_integer(type_) else "string"
