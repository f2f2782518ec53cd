"""Commands about the service's database: nb db upgrade, backup, restore, export."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bakebook.cli.errors import reported
from bakebook.cli.stores import opened_store

app = typer.Typer(help="The service's database.", no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Bring the tables of the database up to date."""
    with reported(), opened_store() as store:
        from bakebook.database import backup

        typer.echo("upgraded" if backup.upgrade(store) else "up to date")


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="A new SQLite file for everything.")]) -> None:
    """Copy the whole database to one file while the service runs."""
    with reported(), opened_store() as store:
        from bakebook.database import backup

        typer.echo(f"{file}: {_counts(backup.back_up(store, file))}")


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="A file that nb db backup made.")]) -> None:
    """Copy a backup to an empty database, SQLite or PostgreSQL."""
    with reported(), opened_store() as store:
        from bakebook.database import backup

        typer.echo(f"restored {_counts(backup.restore(store, file))}")


@app.command()
def export(file: Annotated[Path, typer.Argument(help="A new Parquet file.")]) -> None:
    """Write every labelled prediction as a row of the table: review the file, then nb data
    feedback.
    """
    with reported(), opened_store() as store:
        from bakebook.artifacts import read
        from bakebook.contracts import Signature
        from bakebook.datasets.export import export
        from bakebook.paths import SIGNATURE

        exported = export(store, read(Signature, SIGNATURE), file)
        others = exported.of_another_table
        note = f"; excluded: {others} predictions by models of other tables" if others else ""
        typer.echo(f"{file}: {exported.rows} labelled predictions{note}")


def _counts(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in rows.items())
