"""One version of a project's model, as a commit, a DVC experiment, an MLflow run or the workspace
knows it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bakebook.contracts import Interval, Metrics, SplitReport, Trained
from bakebook.errors import BadInput, did_you_mean
from bakebook.git import git
from bakebook.paths import METRICS, PARAMS, ROOT, SPLIT, TRAINED
from bakebook.tracking.log import PER_COLUMN, TRAINED_PARAMS, flat
from bakebook.tracking.names import ESTIMATOR, HYPERPARAMETERS, MODEL, NAME_TAG, TEST_ROWS_TAG
from bakebook.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

WORKSPACE = "workspace"
AFTERWARDS = {"describe"}  # which writes about a model, and changes nothing
JUDGED = ("export.", "evaluate.")  # tags of a run: parameters of what judges a model
INTERVALS = "intervals."
FOLDS = "cross_validation.mean"
SHORT = 8  # characters of a hash
RUN_ID = re.compile(r"[0-9a-f]{6,32}")


@dataclass(frozen=True)
class Version:
    """What can be compared: parameters by their dotted names, scores with their intervals, and the
    hashes of files by their paths.
    """

    name: str
    params: Mapping[str, str]
    scores: Mapping[str, float]
    intervals: Mapping[str, Interval]
    cross_validated: Mapping[str, str] = field(default_factory=dict)  # mean ± spread of a score
    files: Mapping[str, str] = field(default_factory=dict)
    test_rows: str = ""  # the hash of the rows that tested the model


def find(root: Path, name: str) -> Version:
    """The version with this name. Raises BadInput where there is none, or where it has no results
    yet.
    """
    if name == WORKSPACE:
        return _from_files(name, lambda path: _on_disk(root / path))
    revision = _commit(root, name) or _experiments(root).get(name)
    if revision:
        return _from_files(name, lambda path: _committed(root, revision, path))
    run = _run(root, name)
    if run:
        return _from_run(name, run)
    known = [WORKSPACE, *_experiments(root), *_branches(root)]
    remedy = did_you_mean(name, known) or "dvc exp show, nb runs or git log lists them"
    raise BadInput(f"there is no commit, experiment or run '{name}'", remedy)


def _from_files(name: str, read: Callable[[str], str | None]) -> Version:
    """The version that files describe; `read` returns the content of one, None where there is none.

    Its parameters are those of its results, in dvc.lock: params.yaml may have changed since.
    """
    lock = read("dvc.lock")
    metrics = read(METRICS.relative_to(ROOT).as_posix())
    if lock is None or metrics is None:
        raise BadInput(f"'{name}' has no results", "dvc repro, then git commit")
    found = Metrics.model_validate_json(metrics)
    stages = _stages(name, lock)
    values = _values(stages)
    trained = read(TRAINED.relative_to(ROOT).as_posix())
    if trained:
        values = _as_trained(values, Trained.model_validate_json(trained))
    folds = found.cross_validation
    measured = {folds.scoring: str(folds)} if folds else {}
    split = read(SPLIT.relative_to(ROOT).as_posix())
    test_rows = SplitReport.model_validate_json(split).test_sha256 if split else ""
    return Version(name, values, found.model, found.intervals, measured, _hashes(stages), test_rows)


def _stages(name: str, lock: str) -> Mapping[str, Any]:
    try:
        return YAML(typ="safe").load(lock)["stages"]
    except (YAMLError, KeyError, TypeError):
        raise BadInput(f"dvc.lock of '{name}' cannot be read", "nb doctor") from None


def _values(stages: Mapping[str, Any]) -> dict[str, str]:
    """The parameters with which a model was made and judged."""
    found: dict[str, str] = {}
    for name in sorted(set(stages) - AFTERWARDS):
        params = stages[name].get("params", {}).get(PARAMS.name, {})
        found |= {path: str(value) for path, value in flat(params)}
    return {path: value for path, value in found.items() if not path.startswith(PER_COLUMN)}


def _as_trained(values: Mapping[str, str], trained: Trained) -> dict[str, str]:
    """The values with the estimator and the hyperparameters that were trained."""
    kept = {path: one for path, one in values.items() if not path.startswith(TRAINED_PARAMS)}
    chosen = {**trained.hyperparameters, **trained.others}
    found = {f"{HYPERPARAMETERS}{path}": str(value) for path, value in chosen.items()}
    return {**kept, ESTIMATOR: trained.estimator, **found}


def _hashes(stages: Mapping[str, Any]) -> dict[str, str]:
    """The hash of each file that a stage read."""
    entries = [entry for stage in stages.values() for entry in stage.get("deps", [])]
    return {entry["path"]: str(entry.get("md5", ""))[:SHORT] for entry in entries}


def _from_run(name: str, run: "Run") -> Version:
    metrics = run.data.metrics
    scores = {path: value for path, value in metrics.items() if path.startswith(MODEL)}
    lows = [path for path in metrics if path.startswith(INTERVALS) and path.endswith(".low")]
    intervals = {}
    for path in lows:
        bare = path.removesuffix(".low")
        bounds = Interval(low=metrics[path], high=metrics[f"{bare}.high"])
        intervals[bare.removeprefix(INTERVALS)] = bounds
    inputs = run.inputs.dataset_inputs if run.inputs else []
    files = {one.dataset.name: one.dataset.digest[:SHORT] for one in inputs}
    plain = {path.removeprefix(MODEL): value for path, value in scores.items()}
    tags = {path: one for path, one in run.data.tags.items() if path.startswith(JUDGED)}
    values = {**run.data.params, **tags}
    test_rows = run.data.tags.get(TEST_ROWS_TAG, "")
    return Version(name, values, plain, intervals, _cross_validated(run), files, test_rows)


def _cross_validated(run: "Run") -> dict[str, str]:
    metrics = run.data.metrics
    if FOLDS not in metrics:
        return {}
    spread = metrics[FOLDS.replace("mean", "spread")]
    scoring = run.data.params.get("train.scoring", "score")
    return {scoring: f"{metrics[FOLDS]:.4f} ± {spread:.4f}"}


def _on_disk(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _committed(root: Path, revision: str, path: str) -> str | None:
    return git(root, "show", f"{revision}:./{path}")


def _commit(root: Path, name: str) -> str | None:
    if name.startswith("-"):
        return None
    found = git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return found.strip() if found else None


def _experiments(root: Path) -> dict[str, str]:
    """The commits of DVC's experiments by their names."""
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or ""
    found = {}
    for line in listed.splitlines():
        revision, _, name = line.partition(" ")
        found[name.rpartition("/")[2]] = revision
    return found


def _branches(root: Path) -> list[str]:
    listed = git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
    return (listed or "").split("\n")


def _run(root: Path, name: str) -> "Run | None":
    """The newest training with this name, or the one whose id begins so."""
    store = Store(root)
    if store.is_empty:
        return None
    store.reach()
    with store.answering("compare"):
        experiment = store.client.get_experiment_by_name(store.experiment)
        if experiment is None:
            return None
        trainings = store.client.search_runs(
            [experiment.experiment_id],
            f"tags.{NAME_TAG} != ''",
            order_by=["attributes.start_time DESC"],
        )
    for run in trainings:
        is_id = RUN_ID.fullmatch(name) and run.info.run_id.startswith(name)
        if is_id or run.info.run_name == name:
            return run
    return None
