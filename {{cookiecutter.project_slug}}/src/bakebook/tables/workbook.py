"""Sheets of a workbook: which of them is the table, and its cells."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import IO, TYPE_CHECKING, Any

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput, did_you_mean
from bakebook.tables.layout import Layout, Row, cut, filled, find_layout, layout_of

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

ALL = "*"  # every sheet, one below the other
SHEET = "sheet"  # the column that says from which of them a row is
SAMPLE_ROWS = 200
SHEET_PART = re.compile(r"/sheet\d*\.xml$")
HIDDEN_ROW = re.compile(rb"<row\b[^>]*\bhidden=\"(1|true)\"")


def sheet_tables(
    file: IO[bytes], name: str, options: ReadOptions
) -> list[tuple[list[str], list[list[object]]]]:
    """The column names and the rows of the sheet that the options name, or of all sheets."""
    book = _opened(file)
    layout = layout_of(options)
    if options.sheet != ALL:
        _, rows = next(_sheets(book, name, options.sheet))
        return [cut(rows, layout, name)]
    found = []
    for sheet, rows in _sheets(book, name):
        header, body = cut(rows, layout, f"{name}, sheet '{sheet}'")
        if SHEET not in header:
            header = [*header, SHEET]
            body = [[*row, sheet] for row in body]
        found.append((header, body))
    return found


def describe(file: IO[bytes], name: str, asked: str, target: str) -> tuple[ReadOptions, list[str]]:
    """How a workbook is read, and what a person should know of it; a sheet may be asked for.

    Raises BadInput where several sheets could be the table.
    """
    book = _opened(file)
    sheets = dict(_sheets(book, name))
    layouts = {
        sheet: find_layout(rows[:SAMPLE_ROWS], rows, is_sheet=True)
        for sheet, rows in sheets.items()
    }
    headers = {sheet: _header(sheets[sheet], layout) for sheet, layout in layouts.items()}
    said = []
    if asked == ALL:
        chosen = next(iter(sheets))
    else:
        chosen = asked or _with_target(headers, target, name)
        _check_sheet(chosen, list(sheets), name)
        others = [sheet for sheet in sheets if sheet != chosen]
        if others and not asked:
            said.append(f"{name}: only sheet '{chosen}' is read, not {_listed(others)} (--sheet)")
    layout = layouts[chosen]
    is_first = chosen == next(iter(sheets))
    said += _on_cells(book, chosen, file, name)
    options = ReadOptions(
        file_format="excel", sheet=asked or ("" if is_first else chosen), **asdict(layout)
    )
    return options, said


def _opened(file: IO[bytes]) -> "CalamineWorkbook":
    from python_calamine import CalamineWorkbook  # few tables are workbooks

    return CalamineWorkbook.from_filelike(file)


def _sheets(
    book: "CalamineWorkbook", name: str, asked: str = ""
) -> Iterator[tuple[str, list[list[object]]]]:
    """Each sheet that has rows, or the one that is asked for, with every merged cell filled; a
    sheet is read when it is its turn.
    """
    if asked:
        _check_sheet(asked, book.sheet_names, name)
    is_empty = True
    for sheet in [asked] if asked else book.sheet_names:
        rows = _cells(book, sheet)
        if any(map(filled, rows)):
            is_empty = False
            yield sheet, rows
    if is_empty:
        raise BadInput(f"{name} is empty", "choose another file")


def _cells(book: "CalamineWorkbook", name: str) -> list[list[object]]:
    sheet = book.get_sheet_by_name(name)
    rows = [[_plain(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)]
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        for row in rows[top : bottom + 1]:
            row[left : right + 1] = [rows[top][left]] * len(row[left : right + 1])
    return rows


def _plain(cell: Any) -> object:
    """Whole numbers without decimals, days as times."""
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if isinstance(cell, date) and not isinstance(cell, datetime):
        return datetime(cell.year, cell.month, cell.day)
    return cell


def _header(rows: Sequence[Row], layout: Layout) -> list[str]:
    try:
        return cut(rows, layout, "")[0]
    except BadInput:
        return []


def _with_target(headers: dict[str, list[str]], target: str, name: str) -> str:
    """The one sheet that has the target; the first where none has it, which is said later."""
    having = [sheet for sheet, header in headers.items() if target in header]
    if len(having) < 2:
        return having[0] if having else next(iter(headers))
    what = f"{name} has column '{target}' in {len(having)} sheets: {_listed(having)}"
    remedy = f"--sheet '{having[0]}' for one"
    if len({tuple(headers[sheet]) for sheet in having}) == 1:
        remedy += f", --sheet '{ALL}' for all, one below the other"
    raise BadInput(what, remedy)


def _check_sheet(asked: str, sheets: Sequence[str], name: str) -> None:
    if asked not in sheets:
        remedy = did_you_mean(asked, sheets) or f"--sheet {_listed(sheets)}"
        raise BadInput(f"{name} has no sheet '{asked}'", remedy)


def _listed(sheets: Sequence[str]) -> str:
    return ", ".join(f"'{sheet}'" for sheet in sheets)


def _on_cells(book: "CalamineWorkbook", sheet: str, file: IO[bytes], name: str) -> list[str]:
    """Merged cells and hidden rows, which look otherwise in the workbook than in the table."""
    found = []
    merged = book.get_sheet_by_name(sheet).merged_cell_ranges or ()
    if merged:
        found.append(f"{name}: merged cells are filled with their value ({len(merged)} areas)")
    hidden = _hidden_rows(file, book.sheet_names.index(sheet))
    if hidden:
        found.append(f"{name}: hidden rows are read, too ({hidden})")
    return found


def _hidden_rows(file: IO[bytes], place: int) -> int:
    """How many rows of the sheet at a place are hidden; 0 where the format does not say."""
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return 0
    with zipfile.ZipFile(file) as packed:
        parts = [part for part in packed.namelist() if SHEET_PART.search(part)]
        parts.sort(key=lambda part: [int(number) for number in re.findall(r"\d+", part)])
        return len(HIDDEN_ROW.findall(packed.read(parts[place]))) if place < len(parts) else 0
