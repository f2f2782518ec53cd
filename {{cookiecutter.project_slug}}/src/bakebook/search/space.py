"""The search space of params.yaml: combinations and distributions."""

import math

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.pipeline import Pipeline

from bakebook.errors import BadInput, first_line
from bakebook.models import estimators
from bakebook.search.plan import Plan

MOST_DRAWN = 10_000  # combinations of lists that are drawn when only time ends the search


def combinations(plan: Plan) -> list[dict[str, int]]:
    """The combinations where they are known in advance, as places in the lists; otherwise nothing.

    A grid has every combination; a random search over lists draws without repetition.
    """
    lists = {
        name: list(range(len(values)))
        for name, values in plan.space.items()
        if isinstance(values, list)
    }
    if plan.search == "grid":
        return list(ParameterGrid(lists))
    if plan.search == "random" and len(lists) == len(plan.space):
        possible = math.prod(len(places) for places in lists.values())
        drawn = min(plan.trials or MOST_DRAWN, possible)
        return list(ParameterSampler(lists, drawn, random_state=plan.random_state))
    return []


def distributions_of(model: Pipeline, plan: Plan) -> dict[str, BaseDistribution]:
    if not plan.space:
        raise BadInput(
            "train.search_space is empty", "list the values to try, or set train.search: none"
        )
    problem = "train.search_space has an unknown hyperparameter"
    estimators.check_names(estimators.inner(model), plan.space, problem)
    return {name: _distribution(name, values, plan.search) for name, values in plan.space.items()}


def _distribution(name: str, values: object, method: str) -> BaseDistribution:
    where = f"train.search_space.{name}"
    if isinstance(values, list) and values:
        return CategoricalDistribution(range(len(values)))
    if not isinstance(values, dict) or not {"low", "high"} <= set(values) <= {"low", "high", "log"}:
        remedy = "write [1, 2, 3] or {low: 1, high: 9} in params.yaml"
        raise BadInput(f"{where} is neither a list of values nor a range", remedy)
    if method == "grid":
        raise BadInput(
            f"{where} is a range, and a grid needs values", "list them, or set train.search: random"
        )
    ends = (values["low"], values["high"])
    log = values.get("log", False)
    is_whole = all(type(end) is int for end in ends)
    class_ = IntDistribution if is_whole else FloatDistribution
    try:
        if not isinstance(log, bool):
            raise ValueError(f"log is '{log}', and has to be true or false")
        return class_(*ends, log=log)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{where} is not a range: {first_line(error)}", "fix params.yaml") from None
