"""Looks for a better model in the way that `train.search` of params.yaml names."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from bakebook.contracts import Schema
from bakebook.models.rows import Rows
from bakebook.search.cross_validation import frequent_classes
from bakebook.search.plan import Plan
from bakebook.search.trial import ranked

MakePipeline = Callable[[Schema, BaseEstimator], Pipeline]


def search(
    candidate: Pipeline,
    rows: Rows,
    schema: Schema,
    plan: Plan,
    make_pipeline: MakePipeline,
    journals: Path,
) -> tuple[Pipeline, pd.DataFrame]:
    """The best model found, unfitted, and one row per trial, the best first.

    `make_pipeline` adds the preprocessing to an estimator that AutoML chose. The folder `journals`
    keeps finished trials, so that a search that was interrupted continues.
    """
    if plan.search == "none":
        return candidate, ranked([])
    rows, plan = frequent_classes(rows, plan)
    if plan.search == "automl":
        from bakebook.search import flaml_search

        best, trials = flaml_search.search(candidate, rows, schema, plan, make_pipeline)
    else:
        from bakebook.search import optuna_search

        best, trials = optuna_search.search(candidate, rows, plan, journals)
    return best, ranked(trials)
