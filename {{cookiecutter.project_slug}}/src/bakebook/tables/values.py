"""How single values are written: text, times, and the words for true and false."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

import numpy as np

LONGEST_VALUE = 100_000  # letters: a longer value is a sign of a broken file
GREATEST_FLOAT32 = 3.4028234663852886e38  # the model computes with 32 bits
NUMERIC_MARKER = re.compile(r"[+-]?\d+(\.\d+)?")  # of a missing value, such as -999
ACCENTED = ("LATIN", "GREEK")  # scripts in which an accent rarely makes another word
# Of missing values, as tables usually write them
MARKERS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "Null", "null", "?", "-", "--")
# True and false as tables write them, in several languages
BOOLEAN_PAIRS = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("on", "off"),
    ("ja", "nein"),
    ("oui", "non"),
    ("si", "no"),
    ("sí", "no"),
    ("wahr", "falsch"),
    ("是", "否"),
)
BOOLEANS = {word: False for _, word in BOOLEAN_PAIRS} | {word: True for word, _ in BOOLEAN_PAIRS}


def as_text(value: Any) -> str:
    """A category as text: empty for a missing value, "3" for 3.0."""
    if value is None or value != value:
        return ""
    is_float = isinstance(value, float | np.floating)
    return str(int(value)) if is_float and value.is_integer() else str(value)


def fold(text: str) -> str:
    """The text without case, superfluous blanks and the accents of Latin and Greek letters: what a
    column of dtype folded holds. In other scripts a mark makes another letter.
    """
    letters: list[str] = []
    base = ""
    for letter in unicodedata.normalize("NFKD", text):
        if not unicodedata.combining(letter):
            base = letter
        elif unicodedata.name(base or " ").startswith(ACCENTED):
            continue
        letters.append(letter)
    return " ".join(unicodedata.normalize("NFC", "".join(letters).casefold()).split())


def as_time(text: str, format_: str = "") -> datetime:
    """A time in UTC, without a zone, from ISO 8601 (a year or a month is its first day) or a format
    of strptime.

    Raises ValueError on anything else, OverflowError on a time that does not exist in UTC.
    """
    if format_:
        return in_utc(datetime.strptime(text, format_))
    if len(text) == len("2026"):
        text += "-01-01"
    elif len(text) == len("2026-11"):
        text += "-01"
    return in_utc(datetime.fromisoformat(text))


def in_utc(time: datetime) -> datetime:
    """The time in UTC without a zone; a time without a zone is taken as UTC."""
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
