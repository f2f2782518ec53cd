"""Numbers as people write them: with currency signs, units, groups of digits, k and M, brackets for
minus.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

CURRENCY_SIGN = re.compile(r"[$€£¥₹₽₺₩]|[A-Z]{3}")
# Also those that never break a line, and thin ones
BLANKS = "[\\s\N{NO-BREAK SPACE}\N{FIGURE SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}]"
MINUS = "[\N{MINUS SIGN}\N{FIGURE DASH}\N{EN DASH}]"
# Before a number stand currencies only: A12 is a code
CURRENCIES = r"\p{Sc}|[A-Z]{2}\p{Sc}|R\p{Sc}|[A-Z]{3}|Rs\.?|kr\.?|Fr\.?|zł|Kč|Ft|лв|руб"
# Directly after a number stand known units only: 12A is a code
UNITS = (
    r"%|‰|°[CFK]?|\p{Sc}|mm|cm|dm|km/h|km|mph|mg|kg|ml|cl|dl|mi\.?|min\.?|ms|ft|in|lbs?|oz|kWh|kW|MW|Wh"
    r"|[mg][²³]|m/s|hPa|Pa|bar|rpm|Hz|kHz|MHz|GHz|GB|MB|TB|kB|cc|hp|[gmlhsWV]|kr\.?|zł|Kč|Ft|[A-Z]{3}"
)
TIMES = {
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "Mio": 1e6,
    "mn": 1e6,
    "B": 1e9,
    "bn": 1e9,
    "Mrd": 1e9,
}
LONG_TIMES = ("Mio", "mn", "bn", "Mrd")  # which may stand after a blank; 300 K are kelvins
NUMBER = r"\d(?:[\d.,'’ ]*[\d.,])?|[.,]\d+"
WRITTEN = (
    rf"^(?P<open>\(?) ?(?P<sign>[+-]?) ?(?P<before>(?:{CURRENCIES})?) ?(?P<inner>[+-]?) ?"
    rf"(?P<number>{NUMBER})"
    rf"(?:(?P<times>{'|'.join(TIMES)}| (?:{'|'.join(LONG_TIMES)}))\.?"
    rf"(?P<of>(?: ?(?:{CURRENCIES}))?)"
    rf"|(?P<after>(?: ?(?:{UNITS})| [\p{{L}}/.²³°]{{1,12}})?)) ?(?P<end>[-)]?)$"
)


def plain(text: pa.ChunkedArray, decimal: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Each number in Python's notation (null where it is none), and its unit, empty where it has
    none.
    """
    found = pc.extract_regex(_with_plain_signs(text), WRITTEN)
    digits = _digits(pc.struct_field(found, "number"), decimal)
    is_open = pc.equal(pc.struct_field(found, "open"), "(")
    end = pc.struct_field(found, "end")
    signs = pc.binary_join_element_wise(
        pc.struct_field(found, "sign"), pc.struct_field(found, "inner"), ""
    )
    is_balanced = pc.equal(is_open, pc.equal(end, ")"))
    is_signed_once = pc.less_equal(pc.utf8_length(signs), 1)
    is_negative = pc.or_(pc.or_(is_open, pc.equal(end, "-")), pc.equal(signs, "-"))
    values = pc.multiply(digits, _multipliers(pc.struct_field(found, "times")))
    values = pc.if_else(is_negative, pc.negate(values), values)
    is_number = pc.and_(is_balanced, is_signed_once)
    values = pc.if_else(is_number, values, pa.scalar(None, pa.float64()))
    before = pc.struct_field(found, "before")
    after = pc.utf8_trim_whitespace(pc.struct_field(found, "after"))
    of = pc.utf8_trim_whitespace(pc.struct_field(found, "of"))
    return values, pc.binary_join_element_wise(before, of, after, "")


def digits_of(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """The digits of each number, with the signs between; null where it is none."""
    number = pc.struct_field(pc.extract_regex(_with_plain_signs(text), WRITTEN), "number")
    return pc.replace_substring_regex(number, "[ '’]", "")


def are_of_one_unit(units: pa.ChunkedArray) -> bool:
    """Whether the values may stand in one column: only a currency sign may be missing from some."""
    found = set(pc.unique(units).drop_null().to_pylist())
    named = found - {""}
    if len(named) > 1:
        return False
    is_currency = all(CURRENCY_SIGN.fullmatch(unit) for unit in named)
    return not named or "" not in found or is_currency


def _with_plain_signs(text: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.replace_substring_regex(text, f"{BLANKS}+", " ")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(text, MINUS, "-"))


def _digits(number: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    """The digits as a float, null where groups and decimals are written in no usual way."""
    point = re.escape(decimal)
    other = r"\." if decimal == "," else ","
    groups = [rf"\d{{1,3}}(?:{sign}\d{{3}})+" for sign in (other, " ", "['’]")]
    indian = rf"\d{{1,2}}(?:{other}\d{{2}})+{other}\d{{3}}"
    usual = rf"^ ?(?:(?:\d+|{'|'.join(groups)}|{indian})(?:{point}\d*)?|{point}\d+) ?$"
    is_usual = pc.match_substring_regex(number, usual)
    bare = pc.replace_substring_regex(number, rf"[ '’]|{other}", "")
    dotted = pc.replace_substring(bare, decimal, ".")
    return pc.if_else(is_usual, dotted, pa.scalar(None, pa.string())).cast(pa.float64())


def _multipliers(times: pa.ChunkedArray) -> pa.ChunkedArray:
    names = pa.array(TIMES)
    factors = pa.array(list(TIMES.values()))
    place = pc.index_in(pc.utf8_trim_whitespace(times), value_set=names)
    return pc.fill_null(pc.take(factors, place), 1.0)
