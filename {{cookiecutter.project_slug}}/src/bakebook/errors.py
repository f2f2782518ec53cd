"""Everything that can go wrong through no fault of the code, as one family of exceptions."""

import signal
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

LONGEST_QUOTE = 300  # characters of somebody else's error message that are repeated
FULL_DISK = (
    "[Errno 28]",
    "[Errno 27]",
    "[Errno 122]",
    "No space left",
    "File too large",
    "disk is full",
    "uota exceeded",
    "Out of diskspace",  # git
    "disk I/O error",  # SQLite, where it cannot even begin
)


class Failure(Exception):
    """What went wrong, and what the user can do about it.

    `what` says what is wrong and where; `remedy` is a command or an edit, and may be empty where
    there is none. Commands print both in one line and end with `exit_code`.
    """

    exit_code = 1

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} → {self.remedy}" if self.remedy else self.what


class BadInput(Failure):
    """A value, file or name that a person can fix."""

    exit_code = 2


class CheckFailed(Failure):
    """A check that exists to stop the pipeline has stopped it."""

    exit_code = 3


class Unreachable(Failure):
    """A server or store that is needed does not answer."""

    exit_code = 4


class Busy(Failure):
    """Another run is active in this project."""

    exit_code = 5


class NoSpace(Failure):
    """The disk, a quota or a file-size limit is full."""

    exit_code = 6


class Interrupted(KeyboardInterrupt):
    """A signal stopped the run; the exit code names the signal, as shells do.

    It has the fields of a Failure but is only a KeyboardInterrupt: asyncio lets no other exception
    of a signal handler through, and no library may catch it as an Exception.
    """

    def __init__(self, number: int) -> None:
        self.what = f"interrupted by {signal.Signals(number).name}"
        self.remedy = "dvc repro continues after the last complete stage"
        self.exit_code = 128 + number
        super().__init__(number)

    def __str__(self) -> str:
        return f"{self.what} → {self.remedy}"


def out_of_space(error: BaseException | str) -> bool:
    """Whether a disk, quota or file-size limit is full, by the messages of Python, Arrow and
    SQLite.
    """
    message = str(error)
    return any(words in message for words in FULL_DISK)


def first_line(error: BaseException | str) -> str:
    """The first line of a message or of an error's message, shortened; the name of the error's type
    where it is empty.
    """
    lines = str(error).strip().splitlines()
    line = lines[0] if lines else type(error).__name__
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}…"


def first_few(names: Sequence[str], most: int) -> str:
    """The first `most` names, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def did_you_mean(name: object, known: Iterable[object], cutoff: float = 0.6) -> str:
    """The remedy "did you mean 'x'?" when a known name is similar (`cutoff` between 0 and 1), else
    nothing.
    """
    candidates = [str(one) for one in known]
    close = get_close_matches(str(name), candidates, n=1, cutoff=cutoff)
    return f"did you mean '{close[0]}'?" if close else ""
