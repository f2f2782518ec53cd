"""Writes into params.yaml which model to train: `nb winner`, `nb estimators --use`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from bakebook.artifacts import read
from bakebook.contract.estimator import (
    SEARCHES_OF_A_SPACE,
    check_path,
    hyperparameters_of,
)
from bakebook.contract.project import load, write_params
from bakebook.contract.yaml_files import remove, set_all
from bakebook.contracts import Trained
from bakebook.errors import BadInput
from bakebook.paths import ROOT, TRAINED


def take_winner(root: Path) -> list[str]:
    """Sets estimator and hyperparameters to those of the trained model, turns the search off, and
    returns lines for the user. Raises BadInput where no search was run.
    """
    trained = read(Trained, root / TRAINED.relative_to(ROOT))
    if trained.search == "none":
        raise BadInput("the model was not found by a search", "set train.search, then dvc repro")
    project = load(root)
    train = project.section("train", "estimator", "search")
    known = train["hyperparameters"]
    if not isinstance(known, CommentedMap) or known.fa.flow_style():
        train["hyperparameters"] = CommentedMap(trained.hyperparameters)
    else:
        set_all(known, trained.hyperparameters)
    train["estimator"] = trained.estimator
    train["search"] = "none"
    write_params(project)
    values = ", ".join(f"{name}={value}" for name, value in trained.hyperparameters.items())
    return [
        f"params.yaml: {trained.estimator} with {values or 'its defaults'}; search: none",
        "Next: dvc repro",
    ]


def use_estimator(root: Path, path: str) -> list[str]:
    """Sets the estimator, with the library's defaults, and returns lines for the user.

    The hyperparameters belonged to the estimator before, so they go; of the search space, those
    stay that the new one has too. Raises BadInput for an estimator that does not exist or does not
    fit the task.
    """
    project = load(root)
    check_path(project, path)
    train = project.section("train", "estimator", "search")
    lines = [f"params.yaml: train.estimator is {path}, with its defaults"]
    train["estimator"] = path
    known = hyperparameters_of(project, path) or set()
    lines += _emptied(train, "hyperparameters", kept=set())
    lines += _emptied(train, "search_space", kept=known)
    if train["search"] in SEARCHES_OF_A_SPACE and not train["search_space"]:
        lines.append(f"search: none (it was {train['search']}, and its space is empty now)")
        train["search"] = "none"
    write_params(project)
    return [*lines, "Next: dvc repro"]


def _emptied(train: Any, section: str, kept: Collection[str]) -> list[str]:
    """Removes from a mapping what is not kept; a line that says what that was."""
    values = train.get(section) or CommentedMap()
    gone = {name: value for name, value in values.items() if name not in kept}
    if not gone:
        return []
    for name in gone:
        remove(values, name)
    if not values:
        train[section] = CommentedMap()
        train[section].fa.set_flow_style()
    shown = ", ".join(f"{name}={_plain(value)}" for name, value in gone.items())
    return [f"removed from {section}: {shown}"]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, list) else value
