"""Workbooks, made here: several sheets, merged cells, hidden rows."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
Rows = Sequence[Sequence[object]]


def write_workbook(
    path: Path, sheets: Mapping[str, Rows], merged: Sequence[str] = (), hidden: Sequence[int] = ()
) -> None:
    """Writes the sheets; merged ranges (`A1:C1`) and hidden rows (from 1) are those of the first."""
    names = list(sheets)
    listed = "".join(f'<sheet name="{escape(one)}" sheetId="{n}" r:id="s{n}"/>' for n, one in enumerate(names, 1))
    targets = "".join(
        f'<Relationship Id="s{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(names) + 1)
    )
    ids = f'<Relationships xmlns="{PACKAGE}/relationships">'
    kind = "application/vnd.openxmlformats-package.relationships+xml"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="text/xml"/>'
            f'<Default Extension="rels" ContentType="{kind}"/></Types>',
        )
        document = f'<Relationship Id="a" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        packed.writestr("_rels/.rels", f"{ids}{document}</Relationships>")
        packed.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>'
        )
        packed.writestr("xl/_rels/workbook.xml.rels", f"{ids}{targets}</Relationships>")
        for number, rows in enumerate(sheets.values(), 1):
            is_first = number == 1
            content = _sheet(rows, merged if is_first else (), hidden if is_first else ())
            packed.writestr(f"xl/worksheets/sheet{number}.xml", content)


def _sheet(rows: Rows, merged: Sequence[str], hidden: Sequence[int]) -> str:
    lines = []
    for number, row in enumerate(rows, 1):
        mark = ' hidden="1"' if number in hidden else ""
        cells = "".join(_cell(value, f"{chr(65 + place)}{number}") for place, value in enumerate(row))
        lines.append(f'<row r="{number}"{mark}>{cells}</row>')
    ranges = "".join(f'<mergeCell ref="{one}"/>' for one in merged)
    merges = f'<mergeCells count="{len(merged)}">{ranges}</mergeCells>' if merged else ""
    return f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(lines)}</sheetData>{merges}</worksheet>'


def _cell(value: object, place: str) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'
