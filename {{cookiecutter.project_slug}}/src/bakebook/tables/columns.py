"""A column before it is converted: text without markers, and the error for a value that does not
fit.
"""

import pyarrow as pa
import pyarrow.compute as pc

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput
from bakebook.tables.values import fold

LONGEST_SHOWN = 40  # characters of a value in a message
TEXT_TYPES = (
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_dictionary,
    pa.types.is_null,
)
PLAIN_TYPES = (
    pa.types.is_string,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_timestamp,
    pa.types.is_date,
)


class WrongValue(BadInput):
    """A value that does not have its column's dtype: its row, counted from 0, the problem without
    the value, and whether the value is written wrongly rather than too large.
    """

    def __init__(
        self, where: str, row: int, value: str, problem: str, *, is_malformed: bool = False
    ) -> None:
        shown = value if len(value) <= LONGEST_SHOWN else f"{value[:LONGEST_SHOWN]}…"
        super().__init__(
            f"{where}, row {row + 1}: '{shown}' {problem}",
            "fix the value, or declare it: nb data use --missing or --dtype, ingest in params.yaml",
        )
        self.row = row
        self.problem = problem
        self.is_malformed = is_malformed


def simplify(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with the one type for text, with seconds for a duration, and text for a time of
    the day. What no column of a table contains stays as it is: such a column can only be ignored.
    """
    type_ = column.type
    if any(is_type(type_) for is_type in TEXT_TYPES):
        return column.cast(pa.string())
    if pa.types.is_duration(type_):
        return pc.divide(column.cast(pa.duration("us")).cast(pa.int64()).cast(pa.float64()), 1e6)
    if pa.types.is_time(type_):
        return pc.replace_substring_regex(column.cast(pa.string()), r"\.0+$", "")
    return column


def is_plain(column: pa.ChunkedArray) -> bool:
    """Whether the values can be read: text, numbers, times, true and false."""
    type_ = column.type
    return pa.types.is_string(type_) or any(is_type(type_) for is_type in PLAIN_TYPES)


def is_text(column: pa.ChunkedArray) -> bool:
    """Whether the column contains text."""
    return pa.types.is_string(column.type)


def without_markers(column: pa.ChunkedArray, options: ReadOptions) -> pa.ChunkedArray:
    """The values as text without blanks around them; missing-value markers become null."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    is_missing = pc.is_in(text, value_set=pa.array(options.missing, pa.string()))
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), text)


def folded(column: pa.ChunkedArray, options: ReadOptions) -> pa.ChunkedArray:
    """The values as text without case, accents and superfluous blanks; a marker of missing values
    in any spelling becomes null.
    """
    distinct = without_markers(column, options).combine_chunks().dictionary_encode()
    texts = distinct.dictionary.to_pylist()
    markers = {fold(marker) for marker in options.missing}
    meant = [None if fold(text) in markers else fold(text) for text in texts]
    return pa.chunked_array([pa.array(meant, pa.string()).take(distinct.indices)])


def refuse(
    is_wrong: pa.ChunkedArray,
    text: pa.ChunkedArray,
    problem: str,
    where: str,
    *,
    is_malformed: bool = False,
) -> None:
    """Raises WrongValue with the first row for which `is_wrong` is True; null counts as right."""
    row = pc.index(is_wrong, True).as_py()
    if row >= 0:
        value = text.slice(row, 1).cast(pa.string())[0].as_py()
        raise WrongValue(where, row, value, problem, is_malformed=is_malformed)
