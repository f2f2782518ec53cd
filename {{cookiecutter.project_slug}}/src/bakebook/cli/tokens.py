"""Commands about who may call the service: nb token new, list, revoke."""

from typing import TYPE_CHECKING, Annotated

import typer

from bakebook.cli.errors import reported
from bakebook.cli.stores import opened_store

if TYPE_CHECKING:
    from bakebook.database.store import Store

app = typer.Typer(help="Who may call the service.", no_args_is_help=True)


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(help="Name of the person or program; shown next to their labels.")
    ],
    scope: Annotated[
        list[str], typer.Option(help="predict, feedback or admin (all); may be repeated.")
    ],
) -> None:
    """Create a token and show it once."""
    with reported(), opened_store() as store:
        from bakebook.serving.auth import make_token

        _upgrade(store)
        typer.echo(make_token(store, name, scope))


@app.command("list")
def list_tokens() -> None:
    """Show all tokens and their scopes."""
    with reported(), opened_store() as store:
        _upgrade(store)
        rows = store.list_tokens()
        for row in rows:
            typer.echo(f"{row['name']}  {row['scopes']}  {row['made_at']:%Y-%m-%d}")
        if not rows:
            typer.echo("no tokens")


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Name of the token.")]) -> None:
    """Revoke a token; the service refuses it within seconds."""
    with reported(), opened_store() as store:
        _upgrade(store)
        store.revoke_token(name)
        typer.echo(f"the token of '{name}' is revoked")


def _upgrade(store: "Store") -> None:
    from bakebook.database.backup import upgrade

    upgrade(store)
