"""Estimators by name: any scikit-learn classifier or regressor, and its hyperparameters."""

import inspect
from collections.abc import Collection, Iterable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from bakebook.contracts import Trained
from bakebook.errors import BadInput, did_you_mean, first_line
from bakebook.models.deciding import DecidingPipeline
from bakebook.params import GROUPS, Search, Task

# What makes a family quiet, and its results the same on any number of threads
SETTINGS: dict[str, dict[str, object]] = {
    "lightgbm": {"verbose": -1, "deterministic": True, "force_row_wise": True},
    "xgboost": {"verbosity": 0, "n_jobs": 1},
}
CALIBRATION_FOLDS = 3
CHANGE_ESTIMATOR = "set train.estimator in params.yaml"


def build(
    estimator: str, hyperparameters: Mapping[str, Any], task: Task, random_state: int
) -> BaseEstimator:
    """An unfitted estimator from its dotted path, seeded where it takes a seed.

    A classifier without probabilities is wrapped in a calibration. Raises BadInput for an unknown
    path or name.
    """
    class_ = _class(estimator, task)
    check_names(class_(), hyperparameters, f"{class_.__name__} has no hyperparameter")
    family = class_.__module__.split(".")[0]
    values = dict(SETTINGS.get(family, {}))
    if "random_state" in class_().get_params(deep=False):
        values["random_state"] = random_state
    model = class_(**(values | dict(hyperparameters)))
    if task == "classification" and not hasattr(model, "predict_proba"):
        return CalibratedClassifierCV(model, cv=CALIBRATION_FOLDS)
    return model


def dotted(class_: type) -> str:
    """The public path of an estimator's class: sklearn.ensemble.RandomForestClassifier."""
    library = class_.__module__.split(".")[0]
    is_public = getattr(import_module(library), class_.__name__, None) is class_
    module = library if is_public else class_.__module__.split("._")[0]
    return f"{module}.{class_.__name__}"


def check_names(estimator: Any, names: Iterable[Any], problem: str) -> None:
    """Raises BadInput, beginning with `problem`, for a name that is not a hyperparameter.

    LightGBM takes more names than it lists: there, only a name that is almost the same as a listed
    one is an error.
    """
    known = estimator.get_params(deep=False)
    parameters = inspect.signature(type(estimator)).parameters.values()
    takes_more = any(one.kind is one.VAR_KEYWORD for one in parameters)
    for name in map(str, names):
        if name in known or (takes_more and not did_you_mean(name, known, cutoff=0.8)):
            continue
        remedy = did_you_mean(name, known) or f"choose from {', '.join(sorted(known))}"
        raise BadInput(f"{problem} '{name}'", remedy)


def hyperparameters(model: Pipeline) -> pd.DataFrame:
    """Every hyperparameter of the trained estimator: its value, and whether it differs from the
    library's default.
    """
    estimator = inner(model)
    parameters = inspect.signature(type(estimator)).parameters
    rows = {}
    for name, value in estimator.get_params(deep=False).items():
        default = parameters[name].default if name in parameters else None
        rows[name] = (repr(value), repr(value) != repr(default))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "changed"])
    return table.sort_values("changed", ascending=False, kind="stable")


def trained(model: Pipeline, search: Search, asked: Collection[str]) -> Trained:
    """What was trained, in the terms of params.yaml; a search may have chosen it.

    `asked` are the names of hyperparameters that are recorded also where they have the library's
    default.
    """
    estimator = inner(model)
    class_ = type(estimator)
    family = class_.__module__.split(".")[0]
    set_for_it = {"random_state", *SETTINGS.get(family, {})}
    parameters = inspect.signature(class_).parameters
    plain: dict[str, Any] = {}
    others = {}
    for name, value in estimator.get_params(deep=False).items():
        default = parameters[name].default if name in parameters else None
        is_default = repr(value) == repr(default) and name not in asked
        if is_default or name in set_for_it:
            continue
        single = value.item() if isinstance(value, np.generic) else value
        if single is None or isinstance(single, bool | int | float | str):
            plain[name] = single
        else:
            others[name] = repr(value)
    return Trained(
        search=search,
        estimator=dotted(class_),
        hyperparameters=plain,
        others=others,
        threshold=model.threshold if isinstance(model, DecidingPipeline) else None,
    )


def inner(model: Pipeline) -> BaseEstimator:
    """The estimator itself, also where its probabilities are calibrated."""
    estimator = model.named_steps["estimator"]
    return estimator.estimator if isinstance(estimator, CalibratedClassifierCV) else estimator


def prefix(model: Pipeline) -> str:
    """What `set_params` of the pipeline needs before the name of a
    hyperparameter of the estimator.
    """
    is_calibrated = isinstance(model.named_steps["estimator"], CalibratedClassifierCV)
    return "estimator__estimator__" if is_calibrated else "estimator__"


def _class(path: str, task: Task) -> type[BaseEstimator]:
    module, _, name = path.rpartition(".")
    unknown = BadInput(f"there is no estimator '{path}'", CHANGE_ESTIMATOR)
    try:
        class_ = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name in GROUPS:
            raise BadInput(
                f"{error.name} is not installed", f"uv sync --group {error.name}"
            ) from None
        raise unknown from None
    except ImportError as error:
        raise BadInput(f"'{path}' cannot be imported ({first_line(error)})", "nb doctor") from None
    except (AttributeError, ValueError):
        raise unknown from None
    if not _fits(class_, task):
        wanted = "classifier" if task == "classification" else "regressor"
        raise BadInput(f"'{path}' is not a scikit-learn {wanted}", CHANGE_ESTIMATOR)
    return class_


def _fits(class_: object, task: Task) -> bool:
    if not (inspect.isclass(class_) and issubclass(class_, BaseEstimator)):
        return False
    return is_classifier(class_()) if task == "classification" else is_regressor(class_())
