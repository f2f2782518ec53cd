"""What a stage leaves, written to its MLflow run: parameters, metrics, datasets, files, the served model."""

import csv
import json
import tempfile
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from ..paths import MODEL, ONNX, PACKAGE, ROOT, SIGNATURE, TRIALS, dvc_hash
from .project import Project

MOST_PARAMS, MOST_METRICS = 100, 1000  # that MLflow takes at once
LOGGED = ("models/", "reports/")
MODEL_TAG, FAILED_TAG = "model_md5", "failed_stage"
MODEL_FILE = MODEL.relative_to(ROOT).as_posix()
ONNX_FILE = ONNX.relative_to(ROOT).as_posix()
TRIALS_FILE = TRIALS.relative_to(ROOT).as_posix()


def makes_model(project: Project, stage: str) -> bool:
    return MODEL_FILE in project.files(stage, "outs")


def takes_model(project: Project, stage: str) -> bool:
    return MODEL_FILE in project.files(stage, "deps")


def log_start(client: Any, run_id: str, project: Project, stages: list[str]) -> None:
    """The values with which stages run: what makes the model are parameters of the run.

    What later stages do with it may change, and is a tag; their texts stand in the model card.
    """
    from mlflow.entities import Param, RunTag

    params: dict[str, str] = {}
    tags = []
    for stage in stages:
        values = list(_flat(project.params.get(stage) or {}, stage))
        if takes_model(project, stage):
            tags += [RunTag(name, str(value)) for name, value in values if isinstance(value, int | float)]
        else:
            params |= {_allowed(name): str(value) for name, value in values}
    client.log_batch(run_id, tags=tags)
    listed = [Param(name, value) for name, value in params.items()]
    for first in range(0, len(listed), MOST_PARAMS):
        client.log_batch(run_id, params=listed[first : first + MOST_PARAMS])


def log_results(client: Any, run_id: str, project: Project, stages: list[str]) -> None:
    """What finished stages left: metrics, datasets, files, and the model in the form that MLflow loads."""
    for stage in stages:
        _log_metrics(client, run_id, project, stage)
        _log_files(client, run_id, project, stage)
        if ONNX_FILE in project.files(stage, "outs"):
            _log_model(client, run_id)
        if TRIALS_FILE in project.files(stage, "outs"):
            _log_trials(client, run_id, project.root / TRIALS_FILE)
    _log_datasets(client, run_id, project, stages[-1])


def log_notebook(client: Any, run_id: str, executed: Path | None) -> None:
    """The executed notebook, also of a stage that failed."""
    if executed and executed.exists():
        client.log_artifact(run_id, str(executed), "reports/notebooks")


def inherit(client: Any, earlier: Any, run: Any) -> None:
    """Copies to `run` what an earlier run of the same model holds: metrics, datasets, tags that it lacks, files."""
    kept = {*run.data.tags, MODEL_TAG, FAILED_TAG}
    from mlflow.artifacts import download_artifacts
    from mlflow.entities import Metric, RunTag

    metrics = [Metric(name, value, run.info.start_time, 0) for name, value in earlier.data.metrics.items()]
    tags = [RunTag(name, value) for name, value in earlier.data.tags.items() if name not in kept]
    client.log_batch(run.info.run_id, metrics=metrics, tags=tags)
    client.log_inputs(run.info.run_id, earlier.inputs.dataset_inputs)
    if client.list_artifacts(earlier.info.run_id):  # the folder of artifacts may have been cleared
        with tempfile.TemporaryDirectory() as folder:
            client.log_artifacts(run.info.run_id, download_artifacts(earlier.info.artifact_uri, dst_path=folder))


def _log_metrics(client: Any, run_id: str, project: Project, stage: str) -> None:
    from mlflow.entities import Metric

    for path in project.files(stage, "metrics"):
        content = json.loads((project.root / path).read_text(encoding="utf-8")) if path.endswith(".json") else None
        values = _flat(content if isinstance(content, dict) else {})
        numbers = [(_allowed(name), float(value)) for name, value in values if isinstance(value, int | float)]
        now = time.time_ns() // 1_000_000
        metrics = [Metric(name, value, now, 0) for name, value in numbers]
        for first in range(0, len(metrics), MOST_METRICS):
            client.log_batch(run_id, metrics=metrics[first : first + MOST_METRICS])


def _log_datasets(client: Any, run_id: str, project: Project, stage: str) -> None:
    """The tables that the stage read, with DVC's hash as their digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from pyarrow import parquet

    inputs = []
    for path in project.files(stage, "deps"):
        if path.startswith("data/") and path.endswith(".parquet"):
            table = parquet.ParquetFile(project.root / path)
            columns = [{"name": f.name, "type": _mlflow_type(f.type), "required": True} for f in table.schema_arrow]
            dataset = Dataset(
                name=path,
                digest=dvc_hash(project.root / path),
                source_type="local",
                source=json.dumps({"uri": path}),
                schema=json.dumps({"mlflow_colspec": columns}),
                profile=json.dumps({"num_rows": table.metadata.num_rows, "num_elements": table.metadata.num_columns}),
            )
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", stage)]))
    if inputs:
        client.log_inputs(run_id, inputs)


def _log_trials(client: Any, run_id: str, path: Path) -> None:
    """Each trial of a search as a run within the run, so that MLflow compares them."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    experiment = client.get_run(run_id).info.experiment_id
    with path.open(encoding="utf-8", newline="") as file:
        for trial in csv.DictReader(file):
            name, state = f"trial {trial.pop('trial')}", trial.pop("state")
            measured = {one: trial.pop(one) for one in ("score", "spread")}
            params = [Param(_allowed(one), value) for one, value in trial.items() if value]
            run, status = client.create_run(experiment, run_name=name, tags={MLFLOW_PARENT_RUN_ID: run_id}), "KILLED"
            now = run.info.start_time
            metrics = [Metric(one, float(value), now, 0) for one, value in measured.items() if value]
            try:
                client.log_batch(run.info.run_id, metrics=metrics, params=params, tags=[RunTag("state", state)])
                status = "FAILED" if state.startswith("failed") else "FINISHED"
            finally:
                client.set_terminated(run.info.run_id, status)


def _log_files(client: Any, run_id: str, project: Project, stage: str) -> None:
    for path in project.made(stage):
        place = project.root / path
        if path.startswith(LOGGED) and place.is_dir():
            client.log_artifacts(run_id, str(place), path)
        elif path.startswith(LOGGED) and place.is_file():
            client.log_artifact(run_id, str(place), str(PurePosixPath(path).parent))


def _log_model(client: Any, run_id: str) -> None:
    """The ONNX model as an MLflow model: `mlflow.pyfunc.load_model(f"runs:/{run_id}/model")` loads and predicts."""
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    content = json.loads(SIGNATURE.read_text(encoding="utf-8"))
    types = {"number": "double", "boolean": "boolean", "datetime": "datetime"}
    specs = [ColSpec(types.get(c["type"], "string"), c["name"], required=False) for c in content["inputs"]]
    classes = content["classes"] or []
    predicted = ColSpec("string" if classes else "double", "predicted")
    inputs, outputs = Schema([*specs]), Schema([predicted, *(ColSpec("double", name) for name in classes)])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*An input example was not provided", category=UserWarning)
        pyfunc.save_model(
            f"{folder}/model",
            python_model=str(PACKAGE / "pipeline" / "mlflow_model.py"),
            code_paths=[str(PACKAGE / "inference.py"), str(PACKAGE / "encoding.py")],
            artifacts={"onnx": str(ONNX), "signature": str(SIGNATURE)},
            signature=ModelSignature(inputs, outputs),
            pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow", "onnxruntime", "pandas")],
        )
        client.log_artifacts(run_id, f"{folder}/model", "model")


def _flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        path = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, dict) and value:
            yield from _flat(value, path)
        else:
            yield path, value


def _allowed(name: str) -> str:
    """MLflow's names hold letters, digits and _-./ and blanks."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


def _mlflow_type(type_: Any) -> str:
    from pyarrow import types

    return "double" if types.is_floating(type_) else "long" if types.is_integer(type_) else "string"
