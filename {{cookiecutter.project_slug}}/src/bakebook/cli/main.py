"""The command `nb`: one file per group of commands, which only parse, call and print."""

import sys

import typer

from bakebook.cli import (
    data,
    database,
    estimators,
    lifecycle,
    runs,
    schedule,
    service,
    stages,
    tokens,
)
from bakebook.errors import BadInput

app = typer.Typer(
    help="Notebooks that are pipeline stages.", no_args_is_help=True, add_completion=False
)
app.command()(stages.run)
app.command()(stages.check)
app.command()(stages.sync)
app.command()(stages.new)
app.command()(stages.doctor)
app.command("estimators")(estimators.list_estimators)
app.command()(estimators.winner)
app.command()(runs.runs)
app.command()(runs.compare)
app.command()(service.serve)
app.command()(lifecycle.promote)
app.command()(lifecycle.rollback)
app.command()(lifecycle.monitor)
app.command()(lifecycle.retrain)
app.command()(schedule.schedule)
app.command()(lifecycle.simulate)
app.command()(lifecycle.audit)
app.add_typer(data.app, name="data")
app.add_typer(database.app, name="db")
app.add_typer(tokens.app, name="token")


def main() -> None:
    """Runs a command; wrong usage is reported in one sentence, like everything else."""
    try:
        sys.exit(app(standalone_mode=False))
    except Exception as error:
        format_message = getattr(error, "format_message", None)
        if format_message is None:  # Typer's usage errors have this method, and no public name
            raise
        _report_usage(format_message().rstrip("."), getattr(error, "ctx", None))
        sys.exit(BadInput.exit_code)


def _report_usage(message: str, context: typer.Context | None) -> None:
    """One sentence; nothing where the help was printed instead."""
    if message:
        command = context.command_path if context else "nb"
        sentence = message[0].lower() + message[1:]
        print(f"error: {sentence} → {command} --help", file=sys.stderr)
