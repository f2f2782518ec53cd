"""What can go wrong through no fault of the code: said in one sentence, with what to do next."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(Exception):
    """A value, file or name that a person can mend; the message says what, where and what to run."""

    exit_code = 2


class GateClosed(Exception):
    """A check that was made to stop the pipeline has stopped it."""

    exit_code = 3


class Unreachable(Exception):
    """A server or store that is needed does not answer."""

    exit_code = 4


class Busy(Exception):
    """Another run is at work in this project."""

    exit_code = 5


class NoSpace(Exception):
    """The disk, a quota or a file-size limit is full."""

    exit_code = 6


LONGEST = 300  # letters of somebody else's error that are repeated
FULL = ("[Errno 28]", "[Errno 27]", "[Errno 122]", "No space left", "File too large", "disk is full", "uota exceeded")


def out_of_space(error: BaseException) -> bool:
    """Whether a disk, quota or file-size limit is full, in the words of Python, Arrow or SQLite."""
    return any(words in str(error) for words in FULL)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, not without end, or its name."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def did_you_mean(name: str, known: Iterable[object], near: float = 0.6) -> str:
    """ " → did you mean 'x'?" when one of the known names is near, between 0 and 1; else nothing."""
    close = get_close_matches(name, [str(one) for one in known], n=1, cutoff=near)
    return f" → did you mean '{close[0]}'?" if close else ""
