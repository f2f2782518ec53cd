"""Commands about the table: nb data use, nb data feedback."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakebook.cli.errors import reported
from bakebook.errors import BadInput
from bakebook.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    sheet: Annotated[
        str, typer.Option(help="Sheet of a workbook; '*': all, one below the other.")
    ] = "",
    skip_rows: Annotated[
        int | None, typer.Option(min=0, help="Rows above the header, if the guess is wrong.")
    ] = None,
    header: Annotated[
        int | None, typer.Option(min=1, help="Rows that the header takes, if the guess is wrong.")
    ] = None,
    footer: Annotated[
        int | None, typer.Option(min=0, help="Rows below the table, if the guess is wrong.")
    ] = None,
    decimal: Annotated[
        str, typer.Option(help="Decimal separator, '.' or ',', if the guess is wrong.")
    ] = "",
    thousands: Annotated[
        str, typer.Option(help="Thousands separator: '.' and ',' tell the decimal separator too.")
    ] = "",
    missing: Annotated[
        list[str] | None,
        typer.Option(
            help="A missing-value marker: -200, or age=-1 in one column; may be repeated."
        ),
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
    yes: Annotated[
        bool, typer.Option("--yes", help="Drop what is said of columns that are gone.")
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
        from bakebook.datasets.understanding import Request
        from bakebook.datasets.use import use

        request = Request(
            source=source,
            target=target,
            task=TASKS[task],
            query=query,
            encoding=encoding,
            sheet=sheet,
            skip_rows=skip_rows,
            header_rows=header,
            footer_rows=footer,
            decimal=_decimal(decimal, thousands),
            missing=tuple(missing or ()),
            dtypes=tuple(dtype or ()),
            license=license,
            reset=reset,
        )
        agree = partial(_agree, yes=yes)
        typer.echo("\n".join(use(ROOT, request, agree)))


def _decimal(decimal: str, thousands: str) -> str:
    """The decimal separator, as it is said or as that of the thousands implies it."""
    if decimal not in ("", ".", ","):
        raise BadInput(f"there is no decimal separator '{decimal}'", "--decimal . or --decimal ,")
    implied = {".": ",", ",": "."}.get(thousands, decimal)
    if decimal and implied != decimal:
        what = f"'{decimal}' cannot separate both decimals and thousands"
        raise BadInput(what, "give --decimal alone")
    return implied


def _agree(losses: "Sequence[str]", *, yes: bool) -> bool:
    """Whether something may be dropped: by the option, or as a person answers."""
    if yes or not sys.stdin.isatty():
        return yes
    typer.echo("The new table has no place for")
    for loss in losses:
        typer.echo(f"  {loss}")
    return typer.confirm("Drop it?")


@app.command()
def feedback(
    file: Annotated[Path, typer.Argument(help="A file that nb db export wrote, after a review.")],
) -> None:
    """Add labelled predictions to the rows that the project learns from, tracked by DVC."""
    with reported():
        from bakebook.datasets.feedback import take_feedback

        typer.echo("\n".join(take_feedback(ROOT, file)))
