"""Commands about estimators: nb estimators, nb winner."""

from typing import Annotated, Any, get_args

import typer

from bakebook.cli.errors import reported
from bakebook.errors import BadInput
from bakebook.paths import ROOT


def list_estimators(
    task: Annotated[
        str, typer.Argument(help="classification or regression; empty: that of params.yaml.")
    ] = "",
    use: Annotated[
        str,
        typer.Option(help="Write this estimator to params.yaml, with its default hyperparameters."),
    ] = "",
) -> None:
    """List what `train: estimator` can be, and which estimators export to ONNX; or choose one."""
    with reported():
        if use:
            from bakebook.search.choice import use_estimator

            typer.echo("\n".join(use_estimator(ROOT, use)))
            return
        from bakebook.contract.project import load, package_name
        from bakebook.models.onnx_support import listed
        from bakebook.params import Task

        chosen: Any = task or load(ROOT).section("prepare", "task")["task"]
        if chosen not in get_args(Task):
            raise BadInput(
                f"there is no task '{chosen}'", f"nb estimators {' or '.join(get_args(Task))}"
            )
        rows = list(listed(chosen, package_name(ROOT)))
        width = max(len(name) for name, _ in rows)
        for name, support in rows:
            typer.echo(f"{name:<{width}}  {support}")


def winner() -> None:
    """Write the model that the last search found to params.yaml, and turn the search off."""
    with reported():
        from bakebook.search.choice import take_winner

        typer.echo("\n".join(take_winner(ROOT)))
