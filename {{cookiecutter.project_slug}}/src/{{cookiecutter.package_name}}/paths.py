"""Every path of the project, from its root, so that a notebook finds its files from any folder."""

import hashlib
import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def project_root(start: Path) -> Path:
    """The project that holds `start`, else the one that this package was installed from."""
    for folder in (start, *start.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "src" / PACKAGE.name).is_dir():
            return folder
    return PACKAGE.parents[1]


ROOT = project_root(Path.cwd())
PARAMS = ROOT / "params.yaml"
STATE = Path(".dvc") / "tmp" / "nb"  # from a project's root: what `nb run` knows of itself; safe to delete
SEARCHES = ROOT / STATE / "searches"

TABLE = ROOT / "data" / "raw" / "table.parquet"
READING = ROOT / "data" / "processed" / "reading.json"
TRAIN = ROOT / "data" / "processed" / "train.parquet"
TEST = ROOT / "data" / "processed" / "test.parquet"
SCHEMA = ROOT / "data" / "processed" / "schema.json"

SUITE = ROOT / "expectations" / "suite.json"
SUITE_DRAFT = ROOT / "expectations" / "draft.json"

MODEL = ROOT / "models" / "model.joblib"
ONNX = ROOT / "models" / "model.onnx"
SIGNATURE = ROOT / "models" / "signature.json"

REPORTS = ROOT / "reports"
VALIDATION = REPORTS / "validation.json"
VALIDATION_PAGE = REPORTS / "validation.html"
TRIALS = REPORTS / "trials.csv"
METRICS = REPORTS / "metrics.json"
PLOTS = REPORTS / "plots"
MODEL_CARD = REPORTS / "MODEL_CARD.md"


def waiting(path: Path) -> Path:
    """Where an output waits until its stage has finished: `nb run` says so in NB_OUTPUTS. By hand, the path itself."""
    folder = os.environ.get("NB_OUTPUTS")
    return Path(folder) / path.relative_to(ROOT) if folder and path.is_relative_to(ROOT) else path


def dvc_hash(path: Path) -> str:
    """The md5 by which DVC knows the file; what this stage has just written comes first."""
    with (waiting(path) if waiting(path).is_file() else path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
