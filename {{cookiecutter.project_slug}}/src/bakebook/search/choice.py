"""Writes into params.yaml which model to train: `nb winner`, `nb estimators --use`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ruamel.yaml.comments import CommentedMap

from bakebook.artifacts import read
from bakebook.contract.estimator import SEARCHES_OF_A_SPACE, check_path
from bakebook.contract.project import load, write_params
from bakebook.contract.yaml_files import set_all
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

    Hyperparameters and the search space are those of the estimator before, so they go, and a search
    of them is turned off. Raises BadInput for an estimator that does not exist or does not fit.
    """
    project = load(root)
    check_path(project, path)
    train = project.section("train", "estimator", "search")
    before = train["estimator"]
    train["estimator"] = path
    lines = [f"params.yaml: train.estimator is {path}, with its defaults"]
    for section in ("hyperparameters", "search_space"):
        values = train.get(section)
        if values:
            named = ", ".join(f"{name}={value}" for name, value in plain_values(values))
            lines.append(f"removed from {section}, which {before} had: {named}")
            train[section] = CommentedMap()
            train[section].fa.set_flow_style()
    if train["search"] in SEARCHES_OF_A_SPACE:
        lines.append(f"search: none (it was {train['search']}, and its space is empty now)")
        train["search"] = "none"
    write_params(project)
    return [*lines, "Next: dvc repro"]


def plain_values(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Names and values as Python writes them, without ruamel's own types."""
    for name, value in values.items():
        if isinstance(value, list):
            yield name, list(value)
        elif isinstance(value, dict):
            yield name, dict(value)
        else:
            yield name, value
