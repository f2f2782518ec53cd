"""The commands, thin: `nb --help`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from .errors import BadInput
from .paths import ROOT

app = typer.Typer(help="Notebooks that are pipeline stages.", no_args_is_help=True, add_completion=False)
Stage = Annotated[str, typer.Argument(help="The name of the stage, its notebook and its section in params.yaml.")]


@app.command()
def run(stage: Stage) -> None:
    """Run one stage's notebook with the parameters of params.yaml (`dvc repro` calls this)."""
    from .pipeline.run import run

    with _said():
        run(ROOT, stage)


@app.command()
def check() -> None:
    """Hold notebooks, params.yaml and dvc.yaml against each other; exit 1 with one line per fault."""
    from .pipeline.contract import check
    from .pipeline.project import load

    try:
        project = load(ROOT)
        faults = check(project)
    except BadInput as error:
        faults = [str(error)]
    if faults:
        typer.echo("\n".join(faults), err=True)
        raise typer.Exit(1)
    typer.echo(f"{len(project.stages)} stages keep their contract")


@app.command()
def sync() -> None:
    """Write what can be derived: dependencies, missing parameter lines, canonical notebooks."""
    from .pipeline.sync import sync

    with _said():
        typer.echo("\n".join(sync(ROOT)) or "nothing to do")


@app.command()
def new(name: Stage) -> None:
    """Add a notebook with its stage and its params section; what is already there is kept."""
    from .pipeline.sync import new

    with _said():
        typer.echo("\n".join(new(ROOT, name)) or f"'{name}' is complete")


@contextmanager
def _said() -> Iterator[None]:
    """Turns what can go wrong into one sentence on stderr and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        _end("interrupted by SIGINT → run the command again", 130)
    except BaseException as error:
        if not hasattr(error, "exit_code") or isinstance(error, typer.Exit):
            raise
        _end(str(error), error.exit_code)


def _end(message: str, exit_code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise typer.Exit(exit_code)
