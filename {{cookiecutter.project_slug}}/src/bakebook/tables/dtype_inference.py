"""Proposes the dtype of each column of a table that nobody described yet: missing-value markers,
decimal separator, dates.
"""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput, did_you_mean
from bakebook.params import IGNORE
from bakebook.tables.columns import is_plain
from bakebook.tables.dtypes import EXACT, convert, is_text, without_markers
from bakebook.tables.notations import digits_of, plain
from bakebook.tables.values import BOOLEANS, MARKERS

NUMERIC_MARKERS = ("-", "--")  # in a column of words, these may be words
DATES = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%Y-%m-%d",
    "%Y.%m.%d",
    "%d-%m-%Y",
    "%Y%m%d",
    "%d %b %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%m-%d-%Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b-%Y",
    "%b %Y",
    "%B %Y",
)
OTHER_ORDER = {"%d/%m": "%m/%d", "%d-%m": "%m-%d"}  # in which some countries write the same date
CLOCKS = ("", " %H:%M", " %H:%M:%S")
SAMPLE = 1_000  # distinct values by which notations are recognised
MOSTLY = 0.8  # of the values are numbers in a column that looks like numbers
FEW_WRONG = 3  # distinct values that are no numbers, among many that are
MANY_NUMBERS = 20
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
WHOLE_NUMBER = r"^[+-]?\d+$"
CODE = r"^[+-]?0\d"  # 00123 is a code, not a number
LONG_NUMBER = r"^\d{16,}$"  # a float cannot hold it
# A comma, or a point, that can only stand before decimals: 1,5 or 0,125 or 1.234,50, but not 1,234
DECISIVE = {
    ",": r"^[+-]?((\d+|\d{1,3}(\.\d{3})+),(\d{1,2}|\d{4,})|0,\d+|\d{1,3}(\.\d{3})+,\d+)$",
    ".": r"^[+-]?((\d+|\d{1,3}(,\d{3})+)\.(\d{1,2}|\d{4,})|0\.\d+|\d{1,3}(,\d{3})+\.\d+)$",
}


def infer_dtypes(
    table: pa.Table,
    options: ReadOptions,
    target: str,
    markers: Iterable[str] = (),
    known: Mapping[str, str] | None = None,
    decimal: str = "",
) -> ReadOptions:
    """The options with missing-value markers, decimal separator and the dtype of each column of an
    untyped table.

    `markers` are further missing-value markers, `known` the dtypes of columns that a person knows
    better, `decimal` the separator where a person says it.
    """
    known = known or {}
    for name in known:
        if name not in table.column_names:
            raise BadInput(
                f"the table has no column '{name}'",
                did_you_mean(name, table.column_names) or "fix --dtype",
            )
    markers = list(markers)
    _check_markers(markers, table.column_names)
    distinct = {name: _distinct(table[name]) for name in table.column_names if is_text(table[name])}
    options = options.model_copy(update={"missing": _markers(distinct, markers)})
    options = options.model_copy(update={"decimal": decimal or _decimal(distinct, options)})
    columns = {}
    for name in table.column_names:
        if name in known:
            columns[name] = known[name]
        elif name in distinct:
            own = options.of(name)
            dtype = _dtype_of_texts(distinct[name], own, is_target=name == target)
            _refuse_two_orders(name, distinct[name], dtype, own)
            columns[name] = dtype
        else:
            columns[name] = _dtype_of_values(table[name])
    return options.model_copy(update={"columns": columns})


def _distinct(column: pa.ChunkedArray) -> pa.Array:
    return pc.utf8_trim_whitespace(pc.unique(column).cast(pa.string())).drop_null()


def _markers(distinct: Mapping[str, pa.Array], given: Iterable[str]) -> tuple[str, ...]:
    """The usual missing-value markers that occur in the table, and the given ones."""
    found = {""}
    for values in distinct.values():
        is_marker = pc.is_in(values, value_set=pa.array(MARKERS))
        here = set(values.filter(is_marker).to_pylist())
        others = values.filter(pc.invert(is_marker))
        is_numeric = _share(others, NUMBER) > 0.5
        found |= here if is_numeric else here - set(NUMERIC_MARKERS)
    given = list(given)
    usual = [marker for marker in MARKERS if marker in found or marker in given]
    return (*usual, *(marker for marker in given if marker not in MARKERS))


def _check_markers(markers: Iterable[str], names: Sequence[str]) -> None:
    """Raises BadInput for the marker of a column whose name is misspelt."""
    for marker in markers:
        name, is_own, _ = marker.rpartition("=")
        remedy = did_you_mean(name, names) if is_own and name not in names else ""
        if remedy:
            what = f"the table has no column '{name}', of which '{marker}' is a marker"
            raise BadInput(what, remedy)


def _share(values: pa.Array, pattern: str) -> float:
    matches = pc.match_substring_regex(values, pattern)
    return (pc.sum(matches).as_py() or 0) / max(1, len(values))


def _decimal(distinct: Mapping[str, pa.Array], options: ReadOptions) -> str:
    """The decimal separator that more columns require; in doubt a comma where semicolons separate
    the values.
    """
    counts = {}
    written = [digits_of(pa.chunked_array([_some(values)])) for values in distinct.values()]
    for sign, pattern in DECISIVE.items():
        counts[sign] = sum(_share(values, pattern) > 0.1 for values in written)
    if counts[","] != counts["."]:
        return "," if counts[","] > counts["."] else "."
    is_doubtful = any(_share(values, r"^[+-]?\d+,\d+$") > 0.5 for values in distinct.values())
    return "," if is_doubtful and options.delimiter == ";" and not counts["."] else "."


def notes_on(table: pa.Table, options: ReadOptions) -> list[str]:
    """What a person should know of how an untyped table is read."""
    found = []
    for name, dtype in options.columns.items():
        type_ = table[name].type
        if dtype == IGNORE:
            holds = "lists or objects" if pa.types.is_binary(type_) else str(type_)
            found.append(f"ignored: '{name}', which holds {holds}")
        elif pa.types.is_timestamp(type_) and type_.tz not in (None, "UTC"):
            found.append(f"the times of '{name}' are of the zone {type_.tz}, and become UTC")
    return found


def _some(values: pa.Array) -> pa.Array:
    """At most SAMPLE values, from everywhere."""
    step = -(-len(values) // SAMPLE) or 1
    return values.take(pa.array(range(0, len(values), step)))


def unread_numbers(table: pa.Table, options: ReadOptions) -> dict[str, str]:
    """The text columns that look like numbers and cannot be read as such: what is in the way."""
    found = {}
    for name, dtype in options.columns.items():
        if dtype != "text" or not is_text(table[name]):
            continue
        distinct = pa.chunked_array([_some(_distinct(table[name]))])
        values = without_markers(distinct, options.of(name))
        values = values.drop_null()
        numbers, units = plain(values, options.decimal)
        is_code = _share(values, CODE) > 0 or _share(values, LONG_NUMBER) > 0
        if not len(values) or is_code or numbers.null_count > len(values) * (1 - MOSTLY):
            continue
        wrong = values.filter(pc.is_null(numbers)).to_pylist()
        kinds = sorted(set(units.drop_null().to_pylist()))
        if wrong:
            found[name] = f"such as '{wrong[0]}' is no number"
        elif len(kinds) > 1:
            named = [f"'{unit}'" if unit else "no unit" for unit in kinds[:3]]
            found[name] = f"its values are in {' and '.join(named)}"
    return found


def _dtype_of_texts(distinct: pa.Array, options: ReadOptions, is_target: bool) -> str:
    values = without_markers(pa.chunked_array([distinct]), options).drop_null()
    if not len(values) or _share(values, LONG_NUMBER) > 0.5:
        return "text"
    may_be_number = not _share(values, CODE)
    if may_be_number and _share(values, WHOLE_NUMBER) == 1:
        return "integer"  # whole numbers that do not fit: reading refuses them and names the row
    if may_be_number and _fits(values, "number", options):
        return "number"
    if not is_target and _is_boolean(values, options):
        return "boolean"
    if datetime := _datetime(values, options):
        return datetime
    if may_be_number and _fits(values, "amount", options):
        return "amount"
    return "number" if may_be_number and _is_almost_numeric(values) else "text"


def _dtype_of_values(column: pa.ChunkedArray) -> str:
    """The dtype of a column that its file format types."""
    type_ = column.type
    if not is_plain(column):
        return IGNORE
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_temporal(type_):
        return "datetime"
    if pa.types.is_integer(type_):
        return "integer" if _greatest(column.cast(pa.float64(), safe=False)) < EXACT else "text"
    if pa.types.is_floating(type_) and _is_whole(column) and _greatest(column) < EXACT:
        return "integer"
    return "number" if pa.types.is_floating(type_) or pa.types.is_decimal(type_) else "text"


def _greatest(column: pa.ChunkedArray) -> float:
    """The greatest absolute value; 0 where every value is missing."""
    return pc.max(pc.abs(column)).as_py() or 0


def _is_whole(column: pa.ChunkedArray) -> bool:
    has_values = column.null_count < len(column)
    return has_values and bool(pc.all(pc.equal(column, pc.floor(column))).as_py())


def _is_boolean(values: pa.ChunkedArray, options: ReadOptions) -> bool:
    first = pc.utf8_lower(values).to_pylist()[:3]
    return set(first) <= set(BOOLEANS) and _fits(values, "boolean", options)


def _is_almost_numeric(values: pa.ChunkedArray) -> bool:
    """Whether a few wrong values are among many numbers: reading then names the first, instead of
    taking all as text.
    """
    numbers = round(_share(values, NUMBER) * len(values))
    return numbers > MANY_NUMBERS and len(values) - numbers <= FEW_WRONG


def _fits(values: pa.ChunkedArray, dtype: str, options: ReadOptions) -> bool:
    try:
        convert(values, dtype, options, "")
    except BadInput:
        return False
    return True


def _refuse_two_orders(name: str, distinct: pa.Array, dtype: str, options: ReadOptions) -> None:
    """Raises BadInput where day and month could be exchanged in every value."""
    for one, other in OTHER_ORDER.items():
        if one not in dtype:
            continue
        values = pa.chunked_array([distinct])
        exchanged = dtype.replace(one, other)
        if not _fits(values, exchanged, options):
            continue
        first, second = (convert(values, order, options, name) for order in (dtype, exchanged))
        if not first.equals(second):
            raise BadInput(
                f"column '{name}': day or month may come first in every value, such as"
                f" '{distinct[0].as_py()}'",
                f"--dtype '{name}={dtype}' or --dtype '{name}={exchanged}'",
            )


def _datetime(values: pa.ChunkedArray, options: ReadOptions) -> str:
    """`datetime` for ISO 8601, else with the first format that fits all values, else nothing."""
    if _share(values, r"\d") < 1 or _share(values, r"^.{6,35}$") < 1:
        return ""
    formats = [date + clock for date in DATES for clock in CLOCKS]
    for dtype in ("datetime", *(f"datetime {format_}" for format_ in formats)):
        if _fits(values, dtype, options):
            return dtype
    return ""
