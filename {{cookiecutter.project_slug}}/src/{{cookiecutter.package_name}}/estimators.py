"""Estimators by name: any scikit-learn classifier or regressor, and its hyperparameters."""

import inspect
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from .errors import BadInput, did_you_mean, first_line

GROUPS = ("lightgbm", "xgboost", "torch")  # dependency groups of pyproject.toml, named like what they bring
SETTINGS: dict[str, dict[str, Any]] = {  # so that a family is quiet, and gives the same on any number of threads
    "lightgbm": {"verbose": -1, "deterministic": True, "force_row_wise": True},
    "xgboost": {"verbosity": 0, "n_jobs": 1},
}


def build(estimator: str, hyperparameters: dict[str, Any], task: str, random_state: int) -> BaseEstimator:
    """An unfitted estimator from its dotted path, seeded where it takes a seed."""
    kind = _class(estimator, task)
    known = kind().get_params(deep=False)
    check_names(kind(), hyperparameters, f"{kind.__name__} has no hyperparameter")
    seed = {"random_state": random_state} if "random_state" in known else {}
    model = kind(**{**SETTINGS.get(kind.__module__.split(".")[0], {}), **seed, **hyperparameters})
    if task == "classification" and not hasattr(model, "predict_proba"):
        return CalibratedClassifierCV(model, cv=3)  # for those that know a side, but no probability
    return model


def dotted(kind: type) -> str:
    """The public path of an estimator's class: sklearn.ensemble.RandomForestClassifier."""
    library = kind.__module__.split(".")[0]
    public = getattr(import_module(library), kind.__name__, None) is kind
    return f"{library if public else kind.__module__.split('._')[0]}.{kind.__name__}"


def check_names(estimator: Any, names: Iterable[Any], problem: str) -> None:
    """Raises BadInput with the problem and a name that is no hyperparameter.

    LightGBM takes more names than it lists: there, only what is all but the same as one of those is a misspelling.
    """
    known = estimator.get_params(deep=False)
    takes_more = any(one.kind is one.VAR_KEYWORD for one in inspect.signature(type(estimator)).parameters.values())
    for name in map(str, names):
        if name not in known and (not takes_more or did_you_mean(name, known, near=0.8)):
            raise BadInput(
                f"{problem} '{name}'" + (did_you_mean(name, known) or f" → choose from {', '.join(sorted(known))}")
            )


def hyperparameters(model: Pipeline) -> pd.DataFrame:
    """Every hyperparameter of the estimator as it was trained, and whether it is the library's default."""
    estimator = inner(model)
    defaults = {name: p.default for name, p in inspect.signature(type(estimator)).parameters.items()}
    values = estimator.get_params(deep=False)
    rows = {name: (repr(value), repr(value) != repr(defaults.get(name))) for name, value in values.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "changed"]).sort_values(
        "changed", ascending=False, kind="stable"
    )


def summary(model: Pipeline) -> dict[str, str]:
    """What a model card says of the training: estimator, preprocessing of numbers, every hyperparameter."""
    estimator = inner(model)
    steps = {name: step for name, step, _ in model.named_steps["preprocessor"].transformers_ if name != "remainder"}
    chains = {
        name: [one for _, one in step.steps] if isinstance(step, Pipeline) else [step] for name, step in steps.items()
    }
    found = {"estimator": dotted(type(estimator))}
    found |= {name: ", ".join(type(one).__name__ for one in chain) for name, chain in chains.items()}
    return found | {str(name): value for name, value in hyperparameters(model)["value"].items()}


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
    except ImportError as error:
        raise BadInput(f"'{dotted}' cannot be imported ({first_line(error)}) → nb doctor") from None
    except (AttributeError, ValueError):
        raise BadInput(f"there is no estimator '{dotted}' → set train.estimator in params.yaml") from None
    fits = is_classifier if task == "classification" else is_regressor
    if not (inspect.isclass(kind) and issubclass(kind, BaseEstimator) and fits(kind())):
        wanted = "classifier" if task == "classification" else "regressor"
        raise BadInput(f"'{dotted}' is no scikit-learn {wanted} → set train.estimator in params.yaml")
    return kind


def inner(model: Pipeline) -> Any:
    """The estimator itself, also where its probabilities are calibrated."""
    estimator = model.named_steps["estimator"]
    return estimator.estimator if isinstance(estimator, CalibratedClassifierCV) else estimator


def prefix(model: Pipeline) -> str:
    """What stands before the name of a hyperparameter of the estimator."""
    calibrated = isinstance(model.named_steps["estimator"], CalibratedClassifierCV)
    return "estimator__estimator__" if calibrated else "estimator__"
