"""A search over the hyperparameters of one estimator: a grid, at random, or by Optuna, which learns from its trials."""

import math
import sys
import warnings
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.pipeline import Pipeline

from . import estimators, folds
from .errors import BadInput, first_line
from .folds import Plan, Progress
from .paths import PACKAGE

BLIND = 5  # trials before Optuna draws conclusions: what to try next, and what to give up
MOST = 10_000  # combinations of lists that are drawn when only time ends the search
LIBRARIES = ("sklearn", "numpy", "scipy", "pandas", "optuna", "lightgbm", "xgboost", "torch")
LOCK = 3  # seconds after which the lock of a process that was killed counts no longer


def search(
    model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan, journals: Path
) -> tuple[Pipeline, list[dict[str, Any]]]:
    """The best model found, unfitted, and what each trial tried: {state, score, spread, its values}.

    Each finished trial stands in a journal of Optuna in the folder `journals`, so that a search that was cut short, or
    gets more trials, goes on where it was. Other rows, parameters, libraries or code of ours have another journal.
    A value of a list stands there by its place, since JSON does not know all that YAML does.
    """
    distributions = _distributions(model, plan)
    study = _study(journals / f"{_fingerprint(model, X, y, plan)}.log")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the notebook is to say the same when trials come from the journal
        _try(study, model, X, y, plan, distributions)
    trials = _finished(study)[: plan.trials if plan.search != "grid" and plan.trials else None]
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not completed:
        cause = trials[0].user_attrs["cause"]
        raise BadInput(f"no trial of the search came to an end ({cause}) → mend train.search_space")
    best = max(completed, key=lambda trial: float(trial.value or 0))
    return _with(model, _values(best, plan)), [_row(trial, plan) for trial in trials]


def _try(
    study: optuna.Study,
    model: Pipeline,
    X: pd.DataFrame,
    y: pd.Series,
    plan: Plan,
    distributions: dict[str, BaseDistribution],
) -> None:
    """Tries what has not been tried, and shows how far it has come."""
    listed, number = _listed(plan), len(_finished(study))
    progress = Progress(len(listed) if listed else plan.trials, plan.time_budget)
    while progress.may_go_on(number):
        study.sampler = _sampler(plan, number, listed)
        trial = study.ask(distributions)
        try:
            study.tell(trial, _score(study, trial, model, X, y, plan))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except (BadInput, OSError, MemoryError, BrokenProcessPool):  # no fault of the combination
            raise
        except Exception as error:
            trial.set_user_attr("cause", first_line(error))
            study.tell(trial, state=TrialState.FAIL)
        number += 1
    progress.finish()


def _sampler(plan: Plan, number: int, listed: Any) -> optuna.samplers.BaseSampler:
    """What proposes one trial. Each has a seed of its own, so that a search in two goes is the same as in one."""
    seed = int(np.random.SeedSequence([plan.random_state, number]).generate_state(1)[0])
    if plan.search == "optuna":
        return optuna.samplers.TPESampler(n_startup_trials=BLIND, seed=seed)
    random = optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.PartialFixedSampler(listed[number], random) if listed else random


def _score(
    study: optuna.Study, trial: optuna.Trial, model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan
) -> float:
    """The mean over the folds; what was tried before is not computed again.

    Optuna gives up a trial that is behind the median of the others after the same folds.
    """
    for earlier in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if earlier.params == trial.params:
            trial.set_user_attr("spread", earlier.user_attrs["spread"])
            return float(earlier.value or 0)
    found: list[float] = []
    for score in folds.scores(_with(model, _values(trial, plan)), X, y, plan):
        found.append(score)
        trial.report(float(np.mean(found)), len(found))
        if plan.search == "optuna" and len(found) < plan.cv and trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("spread", float(np.std(found)))
    return float(np.mean(found))


def _with(model: Pipeline, values: Mapping[str, Any]) -> Pipeline:
    """The model with other hyperparameters, unfitted."""
    prefix = estimators.prefix(model)
    return clone(model).set_params(**{prefix + name: value for name, value in values.items()})


def _values(trial: Any, plan: Plan) -> dict[str, Any]:
    """The hyperparameters of a trial."""
    listed = {name: values for name, values in plan.space.items() if isinstance(values, list)}
    return {name: listed[name][value] if name in listed else value for name, value in trial.params.items()}


def _listed(plan: Plan) -> Any:
    """What to try, where it can be said before: every combination, or some of them without repetition. Else nothing."""
    places = {name: range(len(values)) for name, values in plan.space.items() if isinstance(values, list)}
    if plan.search == "grid":
        return ParameterGrid({name: [*place] for name, place in places.items()})
    if plan.search == "random" and len(places) == len(plan.space):
        most = min(plan.trials or MOST, math.prod(map(len, places.values())))
        lists = {name: [*place] for name, place in places.items()}
        return list(ParameterSampler(lists, most, random_state=plan.random_state))
    return []


def _distributions(model: Pipeline, plan: Plan) -> dict[str, BaseDistribution]:
    if not plan.space:
        raise BadInput("train.search_space is empty → list the values to try, or set train.search: none")
    estimators.check_names(estimators.inner(model), plan.space, "train.search_space has an unknown hyperparameter")
    return {name: _distribution(name, values, plan.search) for name, values in plan.space.items()}


def _distribution(name: str, values: Any, method: str) -> BaseDistribution:
    if isinstance(values, list) and values:
        return CategoricalDistribution(range(len(values)))
    if not isinstance(values, dict) or not {"low", "high"} <= set(values) <= {"low", "high", "log"}:
        what = "is neither a list of values nor a range"
        raise BadInput(f"train.search_space.{name} {what} → write [1, 2, 3] or {{low: 1, high: 9}} in params.yaml")
    if method == "grid":
        raise BadInput(f"train.search_space.{name} is a range, and a grid needs values → list them, or search: random")
    ends, log = (values["low"], values["high"]), values.get("log", False)
    kind = IntDistribution if all(type(end) is int for end in ends) else FloatDistribution
    try:
        if not isinstance(log, bool):
            raise ValueError(f"log is '{log}', and has to be true or false")
        return kind(*ends, log=log)
    except (TypeError, ValueError) as error:
        raise BadInput(f"train.search_space.{name} is no range: {first_line(error)} → mend params.yaml") from None


def _study(journal: Path) -> optuna.Study:
    """The study of a journal. What was cut short is put aside: half a line, and a trial without its end."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.touch()
    with journal.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
    lock = JournalFileOpenLock(str(journal), grace_period=LOCK)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal), lock)),
        study_name="search",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=BLIND, n_warmup_steps=1),
        load_if_exists=True,
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that came to an end, which one that was cut short did not."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return [trial for trial in ended if trial.state != TrialState.FAIL or "cause" in trial.user_attrs]


def _row(trial: FrozenTrial, plan: Plan) -> dict[str, Any]:
    """What was pruned saw too few folds to have a score."""
    cause = trial.user_attrs.get("cause")
    score = trial.value if trial.state == TrialState.COMPLETE else None
    state = f"failed: {cause}" if cause else trial.state.name.lower()
    values = {name: "null" if value is None else value for name, value in _values(trial, plan).items()}
    return {"state": state, "score": score, "spread": trial.user_attrs.get("spread"), **values}


def _fingerprint(model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan) -> str:
    """What the score of a trial depends on, and nothing that only says how many there are."""
    code = [path.read_bytes() for path in sorted(PACKAGE.glob("*.py"))]
    libraries = [getattr(sys.modules.get(name), "__version__", "") for name in LIBRARIES]
    ours = [plan.search, dict(plan.space), plan.cv, plan.scoring, plan.random_state]
    trials = plan.trials if plan.search == "random" and _listed(plan) else None  # which are drawn depends on how many
    return str(joblib.hash([model, X, y, ours, trials, code, libraries]))
