"""How a command ends when something goes wrong: one sentence on stderr and an exit code."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from bakebook.errors import BadInput, Failure, Interrupted, NoSpace, first_line, out_of_space

INTERRUPTED = 128 + signal.SIGINT  # as shells report it


@contextmanager
def reported() -> Iterator[None]:
    """Turns a Failure, an error of the system or an interrupt into
    one sentence and an exit code.
    """
    try:
        yield
    except (Failure, Interrupted) as error:
        end(error)
    except KeyboardInterrupt:
        _print("interrupted → run the command again")
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        what = first_line(error)
        if out_of_space(error):
            end(NoSpace(what, "free some space, then run the command again"))
        fix = "fix its permissions, then r" if isinstance(error, PermissionError) else "r"
        end(BadInput(what, f"{fix}un the command again"))


def end(failure: Failure | Interrupted) -> NoReturn:
    """Prints a failure and ends the command with its exit code."""
    _print(str(failure))
    raise typer.Exit(failure.exit_code)


def end_with(lines: list[str]) -> None:
    """Prints lines on stderr and ends with 1; nothing where there are none."""
    if lines:
        typer.echo("\n".join(lines), err=True)
        raise typer.Exit(1)


def _print(message: str) -> None:
    print(f"error: {message}", file=sys.stderr, flush=True)
