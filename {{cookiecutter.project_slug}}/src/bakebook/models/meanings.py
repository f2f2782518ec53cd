"""What a value that somebody sends means to the model: as a text of the table, it may stand for a
missing one, and blanks, or case and accents, may mean nothing.
"""

from collections.abc import Callable
from functools import partial

from bakebook.contracts import Signature
from bakebook.tables.values import NUMERIC_MARKER, fold

FOLDED = "folded"  # the dtype of texts whose case, accents and blanks mean nothing
Meaning = Callable[[object], object]


def meanings_of(signature: Signature) -> dict[str, Meaning]:
    """What a value of an input means where it may be text, or a number that stands for a missing
    one.
    """
    found: dict[str, Meaning] = {}
    for column in signature.inputs:
        markers = frozenset(signature.reading.of(column.name).missing)
        numbers = frozenset(float(one) for one in markers if NUMERIC_MARKER.fullmatch(one))
        if signature.reading.columns.get(column.name) == FOLDED:
            found[column.name] = partial(_of_folded, frozenset(map(fold, markers)))
        elif column.role in ("categorical", "text"):
            found[column.name] = partial(_of_text, markers)
        elif column.role == "numeric" and numbers:
            found[column.name] = partial(_of_number, numbers)
    return found


def _of_text(markers: frozenset[str], value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.strip()
    return None if text in markers else text


def _of_folded(markers: frozenset[str], value: object) -> object:
    if not isinstance(value, str):
        return value
    text = fold(value)
    return None if text in markers else text


def _of_number(markers: frozenset[float], value: object) -> object:
    return None if value in markers else value
