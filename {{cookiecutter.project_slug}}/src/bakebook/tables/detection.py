"""Finds out what an unknown file is: its format, its encoding, its delimiter."""

import codecs
import csv
import unicodedata
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import IO

import chardet

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput
from bakebook.tables.csv_reader import readable
from bakebook.tables.dtypes import DELIMITERS, codec
from bakebook.tables.layout import find_layout
from bakebook.tables.readers import open_files
from bakebook.tables.workbook import describe

SAMPLE_BYTES = 1 << 20  # that are inspected for encoding and delimiter
SAMPLE_LINES = 200
TAIL_BYTES = 1 << 16  # at the end, that are inspected for notes
SAMPLE_LETTERS = 10_000  # of a line, and of the text that must be printable
PREFERRED_ENCODING = "Windows-1252"
PREFERENCE = 2.5  # how much more likely it is a priori than any other legacy code page
# By which a table may be written, the more frequent ones first
CODE_PAGES = (
    *(f"cp125{number}" for number in range(9)),
    *("cp932", "gb18030", "big5", "cp949", "euc_jp", "euc_kr", "cp950", "johab", "iso2022_jp"),
    *("koi8-r", "koi8-u", "cp866", "cp855", "mac-cyrillic", "kz1048"),
    *(f"iso8859-{number}" for number in (15, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 16)),
    *("cp874", "tis-620", "cp850", "cp437", "cp852", "cp737", "cp857", "cp862", "cp864", "cp869"),
    *("mac-roman", "mac-greek", "mac-latin2", "mac-turkish", "mac-iceland"),
)
SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".json": "json lines",
    ".xlsx": "excel",
    ".xls": "excel",
    ".xlsm": "excel",
    ".xlsb": "excel",
    ".ods": "excel",
}
PACKED_SUFFIXES = {".gz", ".zip"}
PARQUET = b"PAR1"
OLD_EXCEL = b"\xd0\xcf\x11\xe0"
NEW_EXCEL = b"PK\x03\x04"


def detect(
    path: Path, *, encoding: str = "", sheet: str = "", target: str = ""
) -> tuple[ReadOptions, list[str]]:
    """Format, encoding, delimiter and layout, from the first file of the source, and what a person
    should know of it. A given encoding or sheet is taken as it is; the target tells which sheet.
    """
    for name, file in open_files(path):
        start = file.read(SAMPLE_BYTES)
        file.seek(0)
        file_format = _format(name, start)
        if file_format == "parquet":
            return ReadOptions(file_format=file_format), []
        if file_format == "excel":
            with readable(name):
                return describe(file, name, sheet, target)
        if not start.strip():
            raise BadInput(f"{name} is empty", "choose another file")
        encoding = encoding or _encoding(file, start, target)
        options = ReadOptions(file_format=file_format, encoding=encoding)
        if file_format == "csv":
            text = start.decode(codec(encoding), errors="ignore")
            if not _is_printable(text):
                what = f"{name} is not a table: it contains binary data"
                raise BadInput(what, "choose CSV, Excel, Parquet or JSON Lines")
            options = options.model_copy(update={"delimiter": _delimiter(text)})
            options = options.model_copy(update=_layout(file, text, options))
        return options, []
    raise BadInput(f"{path.name} holds no file", "choose another")


def _format(name: str, start: bytes) -> str:
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix in PACKED_SUFFIXES:
        suffix = Path(path.stem).suffix.lower()
    if start.startswith(PARQUET):
        return "parquet"
    if start.startswith((OLD_EXCEL, NEW_EXCEL)):
        return "excel"
    if start.lstrip().startswith(b"{"):
        return "json lines"
    return SUFFIXES.get(suffix, "csv")


def _encoding(file: IO[bytes], start: bytes, target: str) -> str:
    """UTF-16 by its byte order mark, UTF-8 when the whole file is valid UTF-8, else the code page
    in which the name of the target stands in the file, else what chardet finds most likely.
    """
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while block := file.read(SAMPLE_BYTES):
            decoder.decode(block)
        return "utf-8"
    except UnicodeDecodeError:
        return _legacy_encoding(start + block, target)
    finally:
        file.seek(0)


def _legacy_encoding(sample: bytes, target: str) -> str:
    era = chardet.EncodingEra.MODERN_WEB
    likelihoods = {}
    for found in chardet.detect_all(sample, encoding_era=era, ignore_threshold=True):
        name = found["encoding"]
        if name:
            preference = PREFERENCE if name == PREFERRED_ENCODING else 1
            likelihoods[name] = found["confidence"] * preference
    known = {codecs.lookup(name).name: value for name, value in likelihoods.items()}
    if not target.isascii():
        texts = {name: _decoded(sample, name) for name in CODE_PAGES}
        possible = {name: _signs(text) for name, text in texts.items() if target in text}
        fewest = min(possible.values(), default=0)
        likely = {name: known.get(name, 0) for name, signs in possible.items() if signs == fewest}
        known = likely or known
    return max(known, key=lambda name: known[name], default="cp1252")


def _decoded(sample: bytes, encoding: str) -> str:
    """The sample as text; empty where it is none in the encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return ""


def _signs(text: str) -> int:
    """How many characters beyond ASCII are neither letters nor digits nor accents."""
    odd = (one for one in text if not (one.isascii() or one.isalnum()))
    return sum(not unicodedata.category(one).startswith("M") for one in odd)


def _is_printable(text: str) -> bool:
    sample = text[:SAMPLE_LETTERS]
    control_signs = sum(letter < " " and letter not in "\t\r\n\f" for letter in sample)
    return control_signs <= len(sample) / 50


def _delimiter(text: str) -> str:
    """The delimiter that gives the same number of values in the most of the first lines, and the
    most values.
    """
    lines = [line[:SAMPLE_LETTERS] for line in text.splitlines(keepends=True)[:SAMPLE_LINES]]
    best = max(DELIMITERS, key=lambda delimiter: _fit(lines, delimiter))
    return best if _fit(lines, best)[1] > 1 else ","


def _fit(lines: list[str], delimiter: str) -> tuple[float, int]:
    """The share of lines with as many values as most, and how many those are."""
    widths = Counter(len(row) for row in _rows(lines, delimiter) if row)
    if not widths:
        return 0.0, 1
    width, equal = widths.most_common(1)[0]
    return (equal / widths.total(), width) if width > 1 else (0.0, 1)


def _layout(file: IO[bytes], text: str, options: ReadOptions) -> dict[str, object]:
    """What stands above and below a table of text."""
    lines = text.splitlines(keepends=True)
    head = _rows(lines[:SAMPLE_LINES], options.delimiter)
    size = file.seek(0, 2)
    if size <= SAMPLE_BYTES:
        tail = _rows(lines, options.delimiter)
    elif options.encoding.startswith("utf-16"):
        tail = []
    else:
        file.seek(size - TAIL_BYTES)
        end = file.read().decode(codec(options.encoding), errors="ignore")
        tail = _rows(end.splitlines(keepends=True)[1:], options.delimiter)
    file.seek(0)
    return asdict(find_layout(head, tail, is_sheet=False))


def _rows(lines: list[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:  # a quote that never closes: reading names its row
        return []
