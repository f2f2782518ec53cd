"""What stands around a table in a sheet or a text file: a title above the header, several header
rows, sums and notes below.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput
from bakebook.tables.values import MARKERS

Row = Sequence[object]  # its cells; an empty one is None or a text without letters
SUM = re.compile(
    r"(?i)\W*(grand |sub ?)?(totals?|sums?|averages?|means?|summen?|gesamt(summe)?|insgesamt"
    r"|durchschnitt|mittelwert|sommes?|totaux|moyennes?|totale|media|promedio|suma)\b\W*$"
)
NOTE = re.compile(
    r"(?i)\W*(notes?|sources?|quellen?|anmerkung(en)?|hinweis|stand|remarque|fuente|nota|footnote"
    r"|generated|exported|created|erstellt|updated|as of)\b|[*†‡¹²³©]"
)
MOST_ABOVE = 50  # rows that a title may take
MOST_BELOW = 20
FEW = 3  # rows, from which something can be seen
LONGEST_UNIT = 12  # letters of what may stand in a second header row
NEARLY = 0.8  # of the usual number of cells


@dataclass(frozen=True)
class Layout:
    """How many rows stand above the header, are the header, and stand below the table."""

    skip_rows: int = 0
    header_rows: int = 1
    footer_rows: int = 0

    @property
    def is_plain(self) -> bool:
        return self == Layout()


def layout_of(options: ReadOptions) -> Layout:
    """The layout that the options describe."""
    return Layout(options.skip_rows, options.header_rows, options.footer_rows)


def cut(rows: Sequence[Row], layout: Layout, name: str) -> tuple[list[str], list[list[object]]]:
    """The column names and the rows of the table, without empty rows and columns.

    Raises BadInput where nothing is left.
    """
    end = len(rows) - layout.footer_rows
    above = layout.skip_rows + layout.header_rows
    body = [list(row) for row in rows[above:end] if not _is_empty(row)]
    header = _names(rows[layout.skip_rows : above])
    if not header or not body:
        what = f"{name} has no rows between a header and what stands below"
        raise BadInput(what, "--skip-rows, --header and --footer of nb data use")
    width = max(len(header), max(map(len, body)))
    header += [""] * (width - len(header))
    padded = [row + [""] * (width - len(row)) for row in body]
    kept = [place for place in range(width) if header[place] or _has_value(padded, place)]
    return [header[place] for place in kept], [[row[place] for place in kept] for row in padded]


def find_layout(head: Sequence[Row], tail: Sequence[Row], *, is_sheet: bool) -> Layout:
    """The layout of a table of which the first and the last rows are known. All rows of a sheet
    have as many cells; in a text file, a row as long as most is a row of the table.
    """
    usual = _usual_width(head)
    if usual < 2:
        return Layout()
    fields = Counter(map(len, head)).most_common(1)[0][0]
    is_whole = not is_sheet and len(head[0]) == fields and _width(head[0]) > 1
    last = 0 if is_whole else _header_place(head, usual)
    first = last
    if first and _is_group_header(head[first - 1], usual):
        first -= 1
    below = head[last + 1 :]
    rows = last - first + 1
    if below and _is_second_header(below[0], below[1:]):
        rows += 1
    return Layout(first, rows, _below(tail, usual))


def notes(layout: Layout, name: str) -> list[str]:
    """What a person should know of the layout, with the options that change it."""
    found = []
    if layout.skip_rows:
        found.append(f"{name}: left out above the header: {_rows(layout.skip_rows)} (--skip-rows)")
    if layout.header_rows > 1:
        found.append(f"{name}: the header takes {_rows(layout.header_rows)} (--header)")
    if layout.footer_rows:
        found.append(f"{name}: left out below the table: {_rows(layout.footer_rows)} (--footer)")
    return found


def filled(row: Row) -> list[object]:
    """The cells with a value."""
    return [cell for cell in row if not _is_blank(cell)]


def _rows(number: int) -> str:
    return f"{number} row" if number == 1 else f"{number} rows"


def _is_blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _is_empty(row: Row) -> bool:
    return not filled(row)


def _has_value(rows: Sequence[Row], place: int) -> bool:
    return any(not _is_blank(row[place]) for row in rows)


def _width(row: Row) -> int:
    """How many cells have a value; a title that is merged over all columns counts once."""
    values = filled(row)
    return 1 if len(set(map(str, values))) == 1 else len(values)


def _usual_width(rows: Sequence[Row]) -> int:
    counts = Counter(width for row in rows if (width := _width(row)) > 1)
    return max(counts, key=lambda width: (counts[width], width), default=0)


def _header_place(head: Sequence[Row], usual: int) -> int:
    """The first row that is as wide as the table; where it has numbers, the row of words above it,
    which does not name every column.
    """
    wide = (n for n, row in enumerate(head[:MOST_ABOVE]) if _width(row) >= max(2, NEARLY * usual))
    place = next(wide, 0)
    above = filled(head[place - 1]) if place else []
    is_data = any(map(_is_number, head[place]))
    has_names = len(above) > 1 and not any(map(_is_number, above))
    return place - 1 if is_data and has_names else place


def _is_number(cell: object) -> bool:
    if isinstance(cell, str):
        return bool(re.fullmatch(r"\s*[-+]?[\d.,' ]*\d\s*%?\s*", cell))
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _is_group_header(row: Row, usual: int) -> bool:
    """Whether each of its names stands above several columns."""
    places = [place for place, cell in enumerate(row) if not _is_blank(cell)]
    if len(places) < 2 or places[-1] < usual / 2:
        return False
    return any(after - before > 1 for before, after in pairwise(places))


def _is_second_header(row: Row, below: Sequence[Row]) -> bool:
    """Whether it has words, such as units, where the rows below have numbers."""
    rows = [one for one in below if not _is_empty(one)][:MOST_BELOW]
    if len(rows) < FEW or any(map(_is_number, filled(row))):
        return False
    numeric = 0
    for place, cell in enumerate(row):
        values = [one[place] for one in rows if place < len(one) and not _is_blank(one[place])]
        is_numeric = bool(values) and sum(map(_is_number, values)) >= NEARLY * len(values)
        is_unit = not _is_blank(cell) and cell not in MARKERS and len(str(cell)) <= LONGEST_UNIT
        if is_numeric and not is_unit:
            return False
        numeric += is_numeric
    return numeric >= 2


def _below(rows: Sequence[Row], usual: int) -> int:
    """How many of the last rows are no longer rows of the table: sums, notes, and lone texts that
    an empty row, or the lack of delimiters, sets apart.
    """
    fields = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    firsts = Counter(str(row[0]) for row in rows if row)
    found = 0
    for number, row in enumerate(reversed(rows[-MOST_BELOW:]), 1):
        values = filled(row)
        if not values:
            continue
        first = str(values[0])
        above = rows[len(rows) - number - 1] if number < len(rows) else ()
        is_sum = SUM.match(first) and firsts[str(row[0])] == 1
        is_note = NOTE.match(first) and len(values) <= usual / 2
        is_alone = len(values) == 1 and usual > 2 and not _is_number(values[0])
        is_apart = len(row) < fields or _is_empty(above)
        if is_sum or is_note or (is_alone and is_apart):
            found = number
        elif not is_alone:
            break
    return found


def _names(rows: Sequence[Row]) -> list[str]:
    """One name for each column: those of a group stand before those below them."""
    if not rows:
        return []
    width = max(map(len, rows))
    parts: list[list[str]] = [[] for _ in range(width)]
    for number, row in enumerate(rows):
        group = ""
        for place in range(width):
            cell = row[place] if place < len(row) else ""
            text = "" if _is_blank(cell) else " ".join(str(cell).split())
            is_group = number < len(rows) - 1 and _width(row) < width
            group = text or (group if is_group else "")
            if group and group not in parts[place]:
                parts[place].append(group)
    return [" ".join(one) for one in parts]
