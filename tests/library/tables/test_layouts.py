"""Tables with something around them: titles, notes, sums, several header rows, merged cells, several sheets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from workbooks import write_workbook

from bakebook.errors import BadInput
from bakebook.tables.detection import detect
from bakebook.tables.dtype_inference import infer_dtypes
from bakebook.tables.readers import read_untyped, typed

NAMES = ["name", "weight", "height", "kind"]
ROWS: list[list[object]] = [
    [f"one {number}", 40 + number, 150 + number / 2, "cat" if number % 3 else "dog"] for number in range(24)
]
Cells = list[list[object]]


@dataclass(frozen=True)
class Case:
    """The cells of a sheet or of a CSV file, and what a person reads in them."""

    cells: Cells
    names: Sequence[str] = tuple(NAMES)
    rows: Sequence[Sequence[object]] = field(default_factory=lambda: ROWS)
    merged: Sequence[str] = ()
    target: str = "kind"


GROUPS = ["", "size", "", "what"]
GROUPED = ["name", "size weight", "size height", "what kind"]
CASES: dict[str, Case] = {
    "nothing around it": Case([NAMES, *ROWS]),
    "a title": Case([["Animals of 2024"], NAMES, *ROWS]),
    "a title and an empty row": Case([["Animals of 2024"], [], NAMES, *ROWS]),
    "a title over all columns": Case([["Animals", "Animals", "Animals", "Animals"], NAMES, *ROWS], merged=["A1:D1"]),
    "what it is, by whom": Case([["Report:", "Animals"], ["Author:", "Ana"], [], NAMES, *ROWS]),
    "empty rows above": Case([[], [], NAMES, *ROWS]),
    "a sum": Case([NAMES, *ROWS, ["Total", 1236, 3738.0, ""]]),
    "a sum and a mean": Case([NAMES, *ROWS, ["Sum", 1236, 3738.0, ""], ["Mean", 51.5, 155.8, ""]]),
    "a German sum": Case([NAMES, *ROWS, ["Gesamt", 1236, 3738.0, ""]]),
    "a note": Case([NAMES, *ROWS, ["Source: the zoo of Foix"]]),
    "an empty row and notes": Case([NAMES, *ROWS, [], ["* estimated"], ["Measured on a Monday."]]),
    "title, sum and note": Case([["Animals"], [], NAMES, *ROWS, ["Total", 1236, 3738.0, ""], [], ["Note: no fish"]]),
    "units below the header": Case(
        [NAMES, ["", "kg", "cm", ""], *ROWS], names=["name", "weight kg", "height cm", "kind"]
    ),
    "groups above the header": Case(
        [["", "size", "", "what"], NAMES, *ROWS],
        names=["name", "size weight", "size height", "what kind"],
        target="what kind",
    ),
    "a title above groups": Case([["Animals"], [], GROUPS, NAMES, *ROWS], names=GROUPED, target="what kind"),
    "empty rows within": Case([NAMES, *ROWS[:9], [], *ROWS[9:]]),
    "empty columns": Case([[*NAMES, "", ""], *([*row, "", ""] for row in ROWS)]),
    "years as names": Case([["name", 2023, 2024, "kind"], *ROWS], names=["name", "2023", "2024", "kind"]),
    "columns without a name": Case(
        [["", "weight", "", "kind"], *ROWS], names=["column 1", "weight", "column 3", "kind"]
    ),
    "a title above columns without a name": Case(
        [["Animals"], ["", "weight", "", "kind"], *ROWS], names=["column 1", "weight", "column 3", "kind"]
    ),
    "a gap in the last row": Case(
        [NAMES, *ROWS[:-1], ["one 23", "", "", "cat"]], rows=[*ROWS[:-1], ["one 23", None, None, "cat"]]
    ),
    "a category that is called total": Case(
        [NAMES, *([*row[:3], "total" if place % 2 else "part"] for place, row in enumerate(ROWS))],
        rows=[[*row[:3], "total" if place % 2 else "part"] for place, row in enumerate(ROWS)],
    ),
}


def as_csv(path: Path, cells: Cells, separator: str = ",") -> Path:
    path.write_text("\n".join(separator.join(map(str, row)) for row in cells) + "\n", "utf-8")
    return path


def understood(path: Path, target: str = "kind", **asked: str) -> tuple[pd.DataFrame, list[str], Any]:
    detected, notes = detect(path, target=target, **asked)
    written = read_untyped(path, detected)
    options = infer_dtypes(written, detected, target)
    return typed(written, options, path.name), notes, options


def assert_read(table: pd.DataFrame, case: Case) -> None:
    assert list(table.columns) == list(case.names)
    found = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    assert found == [list(row) for row in case.rows]


@pytest.mark.parametrize("name", CASES)
def test_a_sheet_is_read_without_what_stands_around_the_table(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    write_workbook(tmp_path / "table.xlsx", {"one": case.cells}, merged=case.merged)
    assert_read(understood(tmp_path / "table.xlsx", case.target)[0], case)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", [name for name in CASES if name != "empty columns"])
def test_a_text_file_is_read_without_what_stands_around_the_table(tmp_path: Path, name: str, separator: str) -> None:
    case = CASES[name]
    path = as_csv(tmp_path / "table.csv", case.cells, separator)
    assert_read(understood(path, case.target)[0], case)


def test_the_end_of_a_long_file_is_read_too(tmp_path: Path) -> None:
    rows: Cells = [[f"one {number}", number, number / 2, "cat" if number % 3 else "dog"] for number in range(60_000)]
    path = as_csv(tmp_path / "table.csv", [["A title"], NAMES, *rows, ["Total", 1, 2, ""]])
    table, _, options = understood(path)
    assert (options.skip_rows, options.footer_rows, len(table)) == (1, 1, 60_000)


def test_a_long_file_whose_end_begins_within_quotes_loses_no_row(tmp_path: Path) -> None:
    text = '"a note\n\nof three lines, which is long enough"'
    lines = [f"one,{number},{text},{'cat' if number % 3 else 'dog'}" for number in range(40_000)]
    path = tmp_path / "table.csv"
    for shift in range(0, 60, 5):
        path.write_text("\n".join(["name,weight,note,kind", *lines, f"x{'y' * shift},1,z,cat"]) + "\n", "utf-8")
        found, _ = detect(path, target="kind")
        assert (found.skip_rows, found.header_rows, found.footer_rows) == (0, 1, 0)


def test_merged_cells_of_rows_are_filled(tmp_path: Path) -> None:
    rows: Cells = [[row[0] if place % 4 == 0 else "", *row[1:]] for place, row in enumerate(ROWS)]
    merged = [f"A{2 + place}:A{5 + place}" for place in range(0, 24, 4)]
    write_workbook(tmp_path / "table.xlsx", {"one": [NAMES, *rows]}, merged=merged)
    table, notes, _ = understood(tmp_path / "table.xlsx")
    assert list(table["name"][:5]) == ["one 0"] * 4 + ["one 4"]
    assert notes == ["table.xlsx: merged cells are filled with their value (6 areas)"]


def test_hidden_rows_are_said(tmp_path: Path) -> None:
    write_workbook(tmp_path / "table.xlsx", {"one": [NAMES, *ROWS]}, hidden=[3, 4])
    table, notes, _ = understood(tmp_path / "table.xlsx")
    assert len(table) == 24 and notes == ["table.xlsx: hidden rows are read, too (2)"]


def test_the_sheet_that_has_the_target_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    sheets: dict[str, Cells] = {"Read me": [["This is about animals."]], "Data": [["Animals"], NAMES, *ROWS]}
    write_workbook(tmp_path / "table.xlsx", sheets)
    table, notes, options = understood(tmp_path / "table.xlsx")
    assert_read(table, Case([]))
    assert (options.sheet, options.skip_rows) == ("Data", 1)
    assert notes == ["table.xlsx: only sheet 'Data' is read, not 'Read me' (--sheet)"]


def test_several_sheets_with_the_target_are_asked_for(tmp_path: Path) -> None:
    write_workbook(tmp_path / "table.xlsx", {"2023": [NAMES, *ROWS], "2024": [NAMES, *ROWS[:7]]})
    with pytest.raises(BadInput) as asked:
        understood(tmp_path / "table.xlsx")
    assert str(asked.value) == (
        "table.xlsx has column 'kind' in 2 sheets: '2023', '2024' "
        "→ --sheet '2023' for one, --sheet '*' for all, one below the other"
    )
    table, notes, options = understood(tmp_path / "table.xlsx", sheet="2024")
    assert (len(table), options.sheet, notes) == (7, "2024", [])
    both, _, options = understood(tmp_path / "table.xlsx", sheet="*")
    assert list(both["sheet"].value_counts()) == [24, 7] and options.sheet == "*"


def test_a_sheet_that_does_not_exist_is_named(tmp_path: Path) -> None:
    write_workbook(tmp_path / "table.xlsx", {"Data": [NAMES, *ROWS], "More": [NAMES, *ROWS]})
    with pytest.raises(BadInput, match=r"has no sheet 'Dta' → did you mean 'Data'\?"):
        understood(tmp_path / "table.xlsx", sheet="Dta")


def test_sheets_of_other_columns_are_not_put_below_each_other(tmp_path: Path) -> None:
    write_workbook(tmp_path / "table.xlsx", {"a": [NAMES, *ROWS], "b": [["name", "size"], ["x", 1], ["y", 2]]})
    with pytest.raises(BadInput, match="has no column"):
        understood(tmp_path / "table.xlsx", sheet="*")


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda rows: [["A title"], NAMES, *rows[:5], ["one", 1], *rows[5:]], "row 6 has 2 values, the header 4"),
        (lambda rows: [NAMES, *rows[:5], ["one", 1], *rows[5:]], "row 6 has 2 values, the header 4"),
    ],
)
def test_a_row_of_another_width_is_a_fault_and_no_layout(
    tmp_path: Path, make: Callable[[Cells], Cells], fault: str
) -> None:
    path = as_csv(tmp_path / "table.csv", make(ROWS))
    with pytest.raises(BadInput, match=fault):
        understood(path)
