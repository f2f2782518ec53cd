"""Commands about the table: nb data use, nb data feedback."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakebook.cli.errors import reported
from bakebook.errors import BadInput
from bakebook.paths import ROOT

if TYPE_CHECKING:
    from bakebook.params import Task

app = typer.Typer(help="The table that the project learns from.", no_args_is_help=True)
TASKS: "dict[str, Task | None]" = {
    "auto": None,
    "classification": "classification",
    "regression": "regression",
}


@app.command()
def use(
    source: Annotated[
        str,
        typer.Argument(
            help="File, folder, pattern, URL or database; empty: inspect the current table again."
        ),
    ] = "",
    target: Annotated[str, typer.Option(help="The column to predict; empty: as before.")] = "",
    task: Annotated[
        str, typer.Option(help="classification, regression, or auto: infer it from the target.")
    ] = "auto",
    query: Annotated[str, typer.Option(help="SQL query for a database: SELECT …")] = "",
    encoding: Annotated[
        str, typer.Option(help="Encoding of a text file, if the guess is wrong.")
    ] = "",
    missing: Annotated[
        list[str] | None,
        typer.Option(help="A missing-value marker, such as -200; may be repeated."),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=DTYPE if the guess is wrong; may be repeated."),
    ] = None,
    license: Annotated[  # noqa: A002 - the name of the option
        str, typer.Option(help="Licence of the data; the model card repeats it.")
    ] = "",
    reset: Annotated[
        bool, typer.Option("--reset", help="Start over: new roles, split, criteria, contract.")
    ] = False,
) -> None:
    """Take a table into the project, and write to params.yaml how it is read and what its columns
    are.
    """
    with reported():
        if task not in TASKS:
            raise BadInput(
                f"there is no task '{task}'", "--task classification, regression or auto"
            )
        from bakebook.datasets.use import Request, use

        request = Request(
            source=source,
            target=target,
            task=TASKS[task],
            query=query,
            encoding=encoding,
            missing=tuple(missing or ()),
            dtypes=tuple(dtype or ()),
            license=license,
            reset=reset,
        )
        typer.echo("\n".join(use(ROOT, request)))


@app.command()
def feedback(
    file: Annotated[Path, typer.Argument(help="A file that nb db export wrote, after a review.")],
) -> None:
    """Add labelled predictions to the rows that the project learns from, tracked by DVC."""
    with reported():
        from bakebook.datasets.feedback import take_feedback

        typer.echo("\n".join(take_feedback(ROOT, file)))
