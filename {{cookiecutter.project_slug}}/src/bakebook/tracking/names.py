"""Names of MLflow runs that tell them apart: the estimator, what changed since the run before, the
score.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bakebook.contract.project import Project

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NAME_TAG = "nb_name"  # the name that a run was given here; another name is a person's, and stays
TEST_ROWS_TAG = "test_rows_sha256"
MOST_CHANGES = 3
ESTIMATOR = "train.estimator"
HYPERPARAMETERS = "train.hyperparameters."
# They say how a model was searched; its hyperparameters say what was found
OF_THE_SEARCH = (
    "train.search_space",
    "train.trials",
    "train.time_budget",
    "train.cv",
    "train.scoring",
)
MODEL = "model."  # the model's scores among the metrics


def rename(client: "MlflowClient", run_id: str, project: Project) -> None:
    """Names the run after what is known of it now, unless a person has renamed it."""
    run = client.get_run(run_id)
    given = run.data.tags.get(NAME_TAG)
    if given is None or run.info.run_name != given or ESTIMATOR not in run.data.params:
        return
    name = described(run, _before(client, run), _score(run, project))
    client.set_tag(run_id, NAME_TAG, name)
    client.update_run(run_id, name=name)


def described(run: "Run", before: "Run | None", score: str = "") -> str:
    """The name: `RandomForestClassifier n_estimators=300 · f1_macro 0.959`."""
    estimator = run.data.params[ESTIMATOR].rpartition(".")[2]
    changes = _changes(run, before) if before else []
    more = [f"+{len(changes) - MOST_CHANGES}"] if len(changes) > MOST_CHANGES else []
    words = " ".join([estimator, *changes[:MOST_CHANGES], *more])
    return f"{words} · {score}" if score else words


def _changes(run: "Run", before: "Run") -> list[str]:
    """What differs from the run before, hyperparameters first; other rows or columns where only
    they do.
    """
    changed = _changed_values(run.data.params, before.data.params)
    if changed or _digests(run) == _digests(before):
        return changed
    test_rows = {one.data.tags.get(TEST_ROWS_TAG) for one in (run, before)}
    return ["other columns" if len(test_rows) == 1 and None not in test_rows else "other rows"]


def _changed_values(values: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    names = [*values, *(name for name in before if name not in values)]
    changed = []
    for name in sorted(names, key=lambda name: (not name.startswith(HYPERPARAMETERS), name)):
        is_said = name == ESTIMATOR or name.startswith(OF_THE_SEARCH)
        if not is_said and values.get(name) != before.get(name):
            short = name.removeprefix(HYPERPARAMETERS).removeprefix("train.")
            changed.append(f"{short}={values.get(name, 'default')}")
    return changed


def _digests(run: "Run") -> set[str]:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return {one.dataset.digest for one in inputs}


def _before(client: "MlflowClient", run: "Run") -> "Run | None":
    """The finished training that started last before the run."""
    condition = (
        f"tags.{NAME_TAG} != '' and attributes.status = 'FINISHED' "
        f"and attributes.start_time < {run.info.start_time}"
    )
    found = client.search_runs(
        [run.info.experiment_id], condition, max_results=1, order_by=["attributes.start_time DESC"]
    )
    return found[0] if found else None


def _score(run: "Run", project: Project) -> str:
    """The score that decides: of the first success criterion, else the first one."""
    evaluate = project.params.get("evaluate") or {}
    names = (*(evaluate.get("criteria") or {}), *sorted(run.data.metrics))
    for name in names:
        value = run.data.metrics.get(f"{MODEL}{name.removeprefix(MODEL)}")
        if value is not None:
            return f"{name.removeprefix(MODEL)} {value:.3f}"
    return ""
