"""The served model in the form that MLflow loads."""

import shutil
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bakebook.contracts import Signature
from bakebook.paths import COLUMNS, LIBRARY, ONNX, SIGNATURE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature


# The library's files without which the served model cannot be loaded
RUNTIME_FILES = (
    "__init__.py",
    "contracts.py",
    "errors.py",
    "params.py",
    "paths.py",
    "models/__init__.py",
    "models/column_values.py",
    "models/columns.py",
    "models/encoding.py",
    "models/runtime.py",
    "tables/__init__.py",
    "tables/values.py",
)
RUNTIME_REQUIREMENTS = ("mlflow", "onnxruntime", "pandas")
COLUMN_TYPES = {"numeric": "double", "boolean": "boolean", "datetime": "datetime"}


def log_model(client: "MlflowClient", run_id: str) -> None:
    """The ONNX model as an MLflow model: `mlflow.pyfunc.load_model(f"runs:/{run_id}/model")` loads
    and predicts.
    """
    from mlflow import pyfunc

    signature = Signature.model_validate_json(SIGNATURE.read_bytes())
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*An input example was not provided", category=UserWarning
        )
        pyfunc.save_model(
            f"{folder}/model",
            python_model=str(LIBRARY / "tracking" / "pyfunc.py"),
            code_paths=[str(_copy_runtime(Path(folder)))],
            artifacts=_artifacts(signature),
            signature=_mlflow_signature(signature),
            pip_requirements=[f"{name}=={version(name)}" for name in RUNTIME_REQUIREMENTS],
        )
        _forget_sources(f"{folder}/model")
        client.log_artifacts(run_id, f"{folder}/model", "model")


def _forget_sources(path: str) -> None:
    """Removes where the model's files came from, which MLflow notes as paths of this machine."""
    from mlflow.models import Model
    from mlflow.models.model import MLMODEL_FILE_NAME

    model = Model.load(path)
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    model.save(f"{path}/{MLMODEL_FILE_NAME}")


def _artifacts(signature: Signature) -> dict[str, str]:
    """The files of the model, which MLflow puts into one folder."""
    files = {"onnx": str(ONNX), "signature": str(SIGNATURE)}
    return files | {"columns": str(COLUMNS)} if signature.columns_sha256 else files


def _copy_runtime(folder: Path) -> Path:
    """The part of the library that loads the model, as a package in the folder."""
    copy = folder / LIBRARY.name
    for name in RUNTIME_FILES:
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(LIBRARY / name, target)
    return copy


def _mlflow_signature(signature: Signature) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = []
    for column in signature.inputs:
        inputs.append(ColSpec(COLUMN_TYPES.get(column.role, "string"), column.name, required=False))
    predicted = ColSpec("double" if signature.classes is None else "string", "predicted")
    probabilities = [ColSpec("double", name) for name in signature.classes or ()]
    return ModelSignature(Schema([*inputs]), Schema([predicted, *probabilities]))
