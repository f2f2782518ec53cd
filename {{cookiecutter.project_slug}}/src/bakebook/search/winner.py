"""Writes the model that a search found into params.yaml: `nb winner`."""

from pathlib import Path

from ruamel.yaml.comments import CommentedMap

from bakebook.artifacts import read
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
