"""Values that may not mean what they say: markers of missing values that nobody declared, and words
that differ in their spelling alone.
"""

from collections.abc import Iterator

import pandas as pd

from bakebook.errors import first_few
from bakebook.tables.values import fold

REPEATED = 0.01  # the share of the rows from which a value far from all others is a marker
FAR = 0.5  # of the range of all other values
MOST_WORDS = 1_000  # distinct texts of a column that are compared
MOST_SHOWN = 4
MARKERS = ("unknown", "none", "missing", "n.a.", "not available", "not applicable", "nil", "?", ".")


def oddities(table: pd.DataFrame) -> Iterator[str]:
    """One sentence for each column with such values."""
    for name, column in table.items():
        values = column.dropna()
        if values.empty or pd.api.types.is_bool_dtype(column):
            continue
        if pd.api.types.is_numeric_dtype(column):
            yield from _far_from_the_rest(str(name), values)
        elif pd.api.types.is_string_dtype(column):
            yield from _words(str(name), values)


def _far_from_the_rest(name: str, values: pd.Series) -> Iterator[str]:
    for value in (values.min(), values.max()):
        is_value = values == value
        share = float(is_value.mean())
        if not REPEATED < share < 1:
            continue
        rest = values[~is_value]
        width = float(rest.max()) - float(rest.min())
        distance = min(abs(float(rest.min()) - value), abs(float(rest.max()) - value))
        if width > 0 and distance > FAR * width:
            what = f"{share:.0%} of '{name}' are {value:g}, far from all other values"
            yield f"look at '{name}': {what} (--missing '{name}={value:g}', if they are gaps)"


def _words(name: str, values: pd.Series) -> Iterator[str]:
    distinct = [str(value) for value in values.unique()]
    if len(distinct) > MOST_WORDS:
        return
    by_folded: dict[str, list[str]] = {}
    for word in distinct:
        by_folded.setdefault(fold(word), []).append(word)
    for words in by_folded.values():
        if len(words) > 1:
            shown = first_few([f"'{word}'" for word in sorted(words)], MOST_SHOWN)
            what = f"{shown} differ only in case, blanks or accents"
            yield f"look at '{name}': {what} (--dtype '{name}=folded', if they are the same)"
            break
    for marker in MARKERS:
        if marker in by_folded and len(by_folded) > 2:
            word = by_folded[marker][0]
            question = f"does '{word}' mean that the value is missing?"
            yield f"look at '{name}': {question} (--missing '{name}={word}')"
            break
