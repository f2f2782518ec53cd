"""Estimators by name: any scikit-learn classifier or regressor, its hyperparameters, and a search over them."""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import Pipeline

from .errors import BadInput, did_you_mean

GROUPS = ("lightgbm", "xgboost", "torch")  # dependency groups of pyproject.toml, named like what they bring
SETTINGS: dict[str, dict[str, Any]] = {  # so that a family is quiet, and gives the same on any number of threads
    "lightgbm": {"verbose": -1, "deterministic": True, "force_row_wise": True},
    "xgboost": {"verbosity": 0, "n_jobs": 1},
}


def build(estimator: str, hyperparameters: dict[str, Any], task: str, random_state: int) -> BaseEstimator:
    """An unfitted estimator from its dotted path, seeded where it takes a seed."""
    kind = _class(estimator, task)
    known = kind().get_params(deep=False)
    for name in hyperparameters:
        if name not in known:
            raise BadInput(f"{kind.__name__} has no hyperparameter '{name}'{_suggest(name, known)}")
    seed = {"random_state": random_state} if "random_state" in known else {}
    model = kind(**{**SETTINGS.get(kind.__module__.split(".")[0], {}), **seed, **hyperparameters})
    if task == "classification" and not hasattr(model, "predict_proba"):
        return CalibratedClassifierCV(model, cv=3)  # for those that know a side, but no probability
    return model


def cross_validate(model: Pipeline, X: pd.DataFrame, y: pd.Series, cv: int, scoring: str) -> pd.DataFrame:
    """The score of each fold, before the final fit: how far the result depends on the rows."""
    often = _often(y, cv)
    with _scored(scoring):
        scores = cross_val_score(model, X[often], y[often], cv=cv, scoring=scoring, error_score="raise")
    return pd.DataFrame({scoring: scores}, index=pd.Index(range(1, cv + 1), name="fold"))


def search(
    model: Pipeline,
    X: pd.DataFrame,
    y: pd.Series,
    *,
    method: str,
    space: dict[str, list[Any]],
    trials: int,
    cv: int,
    scoring: str,
    random_state: int,
) -> tuple[Pipeline, pd.DataFrame]:
    """The model with the best hyperparameters of `space`, unfitted, and a row per trial, the best first.

    `method` is none (the model as it is), grid (every combination) or random (`trials` of them, seeded).
    """
    if method == "none":
        return model, pd.DataFrame(columns=["score", "spread"])
    grid = {_prefix(model) + name: values for name, values in _checked(model, space).items()}
    shared = {"cv": cv, "scoring": scoring, "refit": False, "error_score": "raise"}
    if method == "grid":
        searcher = GridSearchCV(model, grid, **shared)
    else:
        searcher = RandomizedSearchCV(model, grid, n_iter=_bounded(trials, space), random_state=random_state, **shared)
    often = _often(y, cv)
    with _scored(scoring):
        searcher.fit(X[often], y[often])
    return model.set_params(**searcher.best_params_), _trials(searcher.cv_results_, _prefix(model))


def hyperparameters(model: Pipeline) -> pd.DataFrame:
    """Every hyperparameter of the estimator as it was trained, and whether it is the library's default."""
    estimator = _inner(model)
    defaults = {name: p.default for name, p in inspect.signature(type(estimator)).parameters.items()}
    values = estimator.get_params(deep=False)
    rows = {name: (repr(value), repr(value) != repr(defaults.get(name))) for name, value in values.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "changed"]).sort_values(
        "changed", ascending=False, kind="stable"
    )


def summary(model: Pipeline) -> dict[str, str]:
    """What a model card says of the training: estimator, preprocessing of numbers, every hyperparameter."""
    estimator = _inner(model)
    steps = {name: step for name, step, _ in model.named_steps["preprocessor"].transformers_ if name != "remainder"}
    chains = {name: [one for _, one in step.steps] if name == "number" else [step] for name, step in steps.items()}
    found = {"estimator": f"{type(estimator).__module__}.{type(estimator).__name__}"}
    found |= {name: ", ".join(type(one).__name__ for one in chain) for name, chain in chains.items()}
    return found | {str(name): value for name, value in hyperparameters(model)["value"].items()}


def _often(y: pd.Series, cv: int) -> pd.Series:
    """Which rows are of a class that has a row for every fold; all, where y is a number."""
    counts = y.map(y.value_counts())
    return counts >= cv if pd.api.types.is_integer_dtype(y) and (counts >= cv).any() else counts > 0


@contextmanager
def _scored(scoring: str) -> Iterator[None]:
    """Tells a wrong name of a score from what else may go wrong in a fold."""
    if scoring not in get_scorer_names():
        near = did_you_mean(scoring, get_scorer_names())
        raise BadInput(f"train.scoring '{scoring}' is unknown to scikit-learn{near or ' → f1_macro, r2, …'}")
    yield


def _class(dotted: str, task: str) -> Any:
    module, _, name = dotted.rpartition(".")
    try:
        if module == "networks":
            from . import networks

            kind = getattr(networks, name)
        else:
            kind = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name in GROUPS:
            raise BadInput(f"{error.name} is not installed → uv sync --group {error.name}") from None
        raise BadInput(f"there is no estimator '{dotted}' → set train.estimator in params.yaml") from None
    except (ImportError, AttributeError, ValueError):
        raise BadInput(f"there is no estimator '{dotted}' → set train.estimator in params.yaml") from None
    fits = is_classifier if task == "classification" else is_regressor
    if not (inspect.isclass(kind) and issubclass(kind, BaseEstimator) and fits(kind())):
        wanted = "classifier" if task == "classification" else "regressor"
        raise BadInput(f"'{dotted}' is no scikit-learn {wanted} → set train.estimator in params.yaml")
    return kind


def _inner(model: Pipeline) -> Any:
    """The estimator itself, also where its probabilities are calibrated."""
    estimator = model.named_steps["estimator"]
    return estimator.estimator if isinstance(estimator, CalibratedClassifierCV) else estimator


def _prefix(model: Pipeline) -> str:
    """What stands before the name of a hyperparameter of the estimator."""
    calibrated = isinstance(model.named_steps["estimator"], CalibratedClassifierCV)
    return "estimator__estimator__" if calibrated else "estimator__"


def _checked(model: Pipeline, space: dict[str, list[Any]]) -> dict[str, list[Any]]:
    known = _inner(model).get_params(deep=False)
    for name, values in space.items():
        if name not in known:
            raise BadInput(f"train.search_space has an unknown hyperparameter '{name}'{_suggest(name, known)}")
        if not isinstance(values, list) or not values:
            raise BadInput(f"train.search_space.{name} is no list of values → write [1, 2, 3] in params.yaml")
    if not space:
        raise BadInput("train.search_space is empty → list the values to try, or set train.search: none")
    return space


def _bounded(trials: int, space: dict[str, list[Any]]) -> int:
    combinations = 1
    for values in space.values():
        combinations *= len(values)
    return min(trials, combinations)


def _suggest(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name, known) or f" → choose from {', '.join(sorted(known))}"


def _trials(results: dict[str, Any], prefix: str) -> pd.DataFrame:
    table = pd.DataFrame(list(results["params"])).rename(columns=lambda name: name.removeprefix(prefix))
    table["score"], table["spread"] = results["mean_test_score"], results["std_test_score"]
    return table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
