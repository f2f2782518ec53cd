"""A search over the hyperparameters of one estimator: a grid, at random, or by Optuna, which learns
from its trials.
"""

import warnings
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
)
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from bakebook.errors import BadInput, first_line
from bakebook.models import estimators
from bakebook.models.rows import Rows
from bakebook.search import cross_validation
from bakebook.search.journal import journal_name
from bakebook.search.plan import Plan
from bakebook.search.progress import Progress
from bakebook.search.space import combinations, distributions_of
from bakebook.search.trial import Trial

STARTUP_TRIALS = 5  # before Optuna draws conclusions: what to try next, and what to prune
LOCK_EXPIRES_S = 3  # after which the lock of a killed process no longer counts
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Problem:
    """What a trial is measured on."""

    model: Pipeline
    rows: Rows
    plan: Plan


def search(model: Pipeline, rows: Rows, plan: Plan, journals: Path) -> tuple[Pipeline, list[Trial]]:
    """The best model found, unfitted, and every trial.

    Optuna's journal in the folder `journals` keeps each finished trial, so that a search that was
    interrupted, or gets more trials, continues. Other rows, parameters, libraries or code have
    another journal. Values of a list stand there by their place, since JSON does not have every
    value that YAML has.
    """
    problem = Problem(model, rows, plan)
    distributions = distributions_of(model, plan)
    listed = combinations(plan)
    drawn = plan.trials if plan.search == "random" and listed else None
    study = _study(journals / f"{journal_name(model, rows, plan, drawn)}.log")
    with warnings.catch_warnings():
        # The notebook shows the same when trials come from the journal
        warnings.simplefilter("ignore")
        _try_all(study, problem, distributions, listed)
    trials = _finished(study)
    if plan.search != "grid" and plan.trials:
        trials = trials[: plan.trials]
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not completed:
        cause = trials[0].user_attrs["cause"]
        raise BadInput(f"no trial of the search was completed ({cause})", "fix train.search_space")
    best = max(completed, key=lambda trial: float(trial.value or 0))
    return _with(model, _values(best, plan)), [_as_trial(trial, plan) for trial in trials]


def _try_all(
    study: optuna.Study,
    problem: Problem,
    distributions: Mapping[str, BaseDistribution],
    listed: list[dict[str, int]],
) -> None:
    """Tries what has not been tried, and shows the progress."""
    plan = problem.plan
    number = len(_finished(study))
    progress = Progress(len(listed) or plan.trials, plan.time_budget)
    while progress.may_continue(number):
        study.sampler = _sampler(plan, number, listed)
        trial = study.ask(dict(distributions))
        try:
            study.tell(trial, _score(study, trial, problem))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except (BadInput, OSError, MemoryError, BrokenProcessPool):
            raise  # not the fault of this combination
        except Exception as error:
            trial.set_user_attr("cause", first_line(error))
            study.tell(trial, state=TrialState.FAIL)
        number += 1
    progress.finish()


def _sampler(plan: Plan, number: int, listed: list[dict[str, int]]) -> optuna.samplers.BaseSampler:
    """What proposes one trial. Each has a seed of its own, so that a search in two runs equals one
    in a single run.
    """
    sequence = np.random.SeedSequence([plan.random_state, number])
    seed = int(sequence.generate_state(1)[0])
    if plan.search == "optuna":
        return optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)
    random = optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.PartialFixedSampler(listed[number], random) if listed else random


def _score(study: optuna.Study, trial: optuna.Trial, problem: Problem) -> float:
    """The mean over the folds; a combination that was tried before is not computed again.

    Optuna prunes a trial whose mean is below the median of the others after the same folds.
    """
    for earlier in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if earlier.params == trial.params:
            trial.set_user_attr("spread", earlier.user_attrs["spread"])
            return float(earlier.value or 0)
    plan = problem.plan
    model = _with(problem.model, _values(trial, plan))
    found: list[float] = []
    for score in cross_validation.scores(model, problem.rows, plan):
        found.append(score)
        trial.report(float(np.mean(found)), len(found))
        is_last = len(found) == plan.cv
        if plan.search == "optuna" and not is_last and trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("spread", float(np.std(found)))
    return float(np.mean(found))


def _with(model: Pipeline, values: Mapping[str, object]) -> Pipeline:
    """The model with other hyperparameters, unfitted."""
    prefix = estimators.prefix(model)
    return clone(model).set_params(**{prefix + name: value for name, value in values.items()})


def _values(trial: optuna.Trial | FrozenTrial, plan: Plan) -> dict[str, object]:
    """The hyperparameters of a trial."""
    values = {}
    for name, value in trial.params.items():
        choices = plan.space[name]
        values[name] = choices[value] if isinstance(choices, list) else value
    return values


def _study(journal: Path) -> optuna.Study:
    """The study of a journal, without half a line at its end and with interrupted trials marked as
    failed.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.touch()
    with journal.open("r+b") as file:
        end_of_last_line = file.read().rfind(b"\n") + 1
        file.truncate(end_of_last_line)
    lock = JournalFileOpenLock(str(journal), grace_period=LOCK_EXPIRES_S)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal), lock)),
        study_name="search",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1),
        load_if_exists=True,
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ended by themselves: a failed one without a cause was interrupted."""
    ended = study.get_trials(deepcopy=False, states=ENDED)
    return [
        trial for trial in ended if trial.state != TrialState.FAIL or "cause" in trial.user_attrs
    ]


def _as_trial(trial: FrozenTrial, plan: Plan) -> Trial:
    """A pruned trial has no score, since it saw too few folds."""
    cause = trial.user_attrs.get("cause")
    values = {}
    for name, value in _values(trial, plan).items():
        values[name] = "null" if value is None else value
    return Trial(
        state=f"failed: {cause}" if cause else trial.state.name.lower(),
        score=trial.value if trial.state == TrialState.COMPLETE else None,
        spread=trial.user_attrs.get("spread"),
        values=values,
    )
