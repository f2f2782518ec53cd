"""Every path of the project, from its root, so that a notebook finds its files from any folder."""

from pathlib import Path

LIBRARY = Path(__file__).resolve().parent


def project_root(start: Path) -> Path:
    """The project that contains `start`, else the one that this library was installed from."""
    for folder in (start, *start.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "src" / LIBRARY.name).is_dir():
            return folder
    return LIBRARY.parents[1]


ROOT = project_root(Path.cwd())
PARAMS = ROOT / "params.yaml"
# Relative to a project's root: what `nb run` remembers; safe to delete
STATE = Path(".dvc") / "tmp" / "nb"
SEARCHES = ROOT / STATE / "searches"
# The files of the champion's version, which nb monitor fetches
CHAMPION = ROOT / STATE / "champion"
REFERENCE = "training/reference.parquet"  # in the files of a version: the rows that tested it
PROMOTION = STATE / "promotion"  # the number of the process that promotes, while it does
# The folders in which nb retrain and nb simulate work, and in them the number of their process
RETRAINING = STATE / "retrain"
SIMULATION = STATE / "simulate"
PID = "pid"

TABLE = ROOT / "data" / "interim" / "table.parquet"
FEEDBACK_ROWS = ROOT / "data" / "interim" / "feedback.json"
READING = ROOT / "data" / "interim" / "reading.json"
TRAIN = ROOT / "data" / "processed" / "train.parquet"
TEST = ROOT / "data" / "processed" / "test.parquet"
SCHEMA = ROOT / "data" / "processed" / "schema.json"

SUITE = ROOT / "expectations" / "suite.json"
OWN_SUITE = ROOT / "expectations" / "columns.json"
SUITE_DRAFT = ROOT / "expectations" / "draft.json"

MODEL = ROOT / "models" / "model.joblib"
ONNX = ROOT / "models" / "model.onnx"
SIGNATURE = ROOT / "models" / "signature.json"
COLUMNS = ROOT / "models" / "columns.py"  # the copy of the project's columns.py that goes with it

REPORTS = ROOT / "reports"
VALIDATION = REPORTS / "validation.json"
VALIDATION_PAGE = REPORTS / "validation.html"
SPLIT = REPORTS / "split.json"
TRAINED = REPORTS / "trained.json"
CROSS_VALIDATION = REPORTS / "cross_validation.json"
TRIALS = REPORTS / "trials.csv"
METRICS = REPORTS / "metrics.json"
PLOTS = REPORTS / "plots"
MONITOR = REPORTS / "monitor.json"
MONITOR_PAGE = REPORTS / "monitor.html"
SIMULATED = REPORTS / "simulation.json"
SIMULATION_CHART = REPORTS / "simulation.png"
MODEL_CARD = REPORTS / "MODEL_CARD.md"
