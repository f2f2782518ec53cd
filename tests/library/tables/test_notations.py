"""Numbers and dates in other people's notations: the right reading of each, or a question."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bakebook.errors import BadInput
from bakebook.tables import readers
from bakebook.tables.detection import detect
from bakebook.tables.dtype_inference import infer_dtypes, unread_numbers

VALUES = np.random.default_rng(0).integers(100_000, 90_000_000, 40) / 100 * np.resize([1, 1, -1], 40)
Write = Callable[[float], str]


def grouped(value: float, separator: str = ",", point: str = ".", digits: int = 2) -> str:
    written = f"{abs(value):,.{digits}f}".replace(",", "_").replace(".", point).replace("_", separator)
    return ("-" if value < 0 else "") + written


def indian(value: float) -> str:
    whole = f"{abs(round(value))}"
    pairs = whole[:-3]
    while len(pairs) > 2:
        whole = whole.replace(pairs, f"{pairs[:-2]},{pairs[-2:]}", 1)
        pairs = pairs[:-2]
    head, tail = whole[:-3], whole[-3:]
    return f"{'-' if value < 0 else ''}{head},{tail}" if head else tail


NOTATIONS: dict[str, Write] = {
    "points": lambda value: f"{value:.2f}",
    "commas": lambda value: f"{value:.2f}".replace(".", ","),
    "groups of commas": grouped,
    "groups of points": lambda value: grouped(value, ".", ","),
    "blanks": lambda value: grouped(value, " ", ","),
    "no-break blanks": lambda value: grouped(value, "\N{NO-BREAK SPACE}", ","),
    "thin blanks": lambda value: grouped(value, "\N{THIN SPACE}"),
    "narrow no-break blanks": lambda value: grouped(value, "\N{NARROW NO-BREAK SPACE}", ","),
    "apostrophes": lambda value: grouped(value, "'"),
    "typographic apostrophes": lambda value: grouped(value, "\N{RIGHT SINGLE QUOTATION MARK}"),
    "true minus": lambda value: grouped(value).replace("-", "\N{MINUS SIGN}"),
    "minus behind": lambda value: grouped(abs(value)) + ("-" if value < 0 else ""),
    "brackets": lambda value: f"({grouped(abs(value))})" if value < 0 else grouped(value),
    "brackets and dollars": lambda value: f"(${grouped(abs(value))})" if value < 0 else f"${grouped(value)}",
    "dollars": lambda value: f"${grouped(value)}",
    "minus before dollars": lambda value: f"-${grouped(abs(value))}" if value < 0 else f"${grouped(value)}",
    "euros behind": lambda value: f"{grouped(value, '.', ',')} €",
    "euros before": lambda value: f"€ {grouped(value, '.', ',')}",
    "codes": lambda value: f"{grouped(value)} USD",
    "crowns": lambda value: f"{grouped(value, ' ', ',')} kr",
    "rupees": lambda value: f"₹{indian(value)}",
    "Indian groups": lambda value: indian(value),
    "percent": lambda value: f"{value:.2f} %",
    "kilograms": lambda value: f"{value:.2f} kg",
    "miles": lambda value: f"{grouped(value)} mi.",
    "thousands": lambda value: f"{value / 1000:.5f}k",
    "thousands and millions": lambda value: f"{value / 1e6:.8f}M" if abs(value) > 4e5 else f"{value / 1e3:.5f}K",
    "millions of euros": lambda value: f"€{value / 1e6:.8f}M",
    "millions in words": lambda value: f"{value / 1e6:.8f} Mio",
}
WHOLE = ("rupees", "Indian groups")


def read(folder: Path, written: list[str], target: str = "y", **known: str) -> pd.Series:
    """The column `a` as `nb data use` would read it, beside a class."""
    rows = pd.DataFrame({"a": written, "y": np.resize(["p", "q"], len(written))})
    path = folder / "table.csv"
    rows.to_csv(path, sep=";", index=False, encoding="utf-8")
    detected, _ = detect(path)
    untyped = readers.read_untyped(path, detected)
    options = infer_dtypes(untyped, detected, target, known=known)
    column: pd.Series = readers.typed(untyped, options, path.name)["a"]
    return column


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_number_in_any_notation_is_that_number(tmp_path: Path, notation: str) -> None:
    expected = VALUES.round() if notation in WHOLE else VALUES
    found = read(tmp_path, [NOTATIONS[notation](value) for value in expected])
    assert found.to_numpy(dtype=float) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "written",
    [
        ["A12", "A13"],
        ["12A", "14B"],
        ["10.2.1.7", "10.2.1.8"],
        ["12:30", "14:15"],
        ["007", "012"],
        ["12 apples", "14 pears"],
        ["10-20", "20-30"],
        ["4x4", "4x2"],
        ["1/2", "3/4"],
    ],
)
def test_what_only_resembles_a_number_is_text(tmp_path: Path, written: list[str]) -> None:
    assert read(tmp_path, [*written] * 15).tolist() == [*written] * 15


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (["$5", "€6"], "its values are in '$' and '€'"),
        (["5 %", "0.06"], "its values are in no unit and '%'"),
        (["5 USD", "6 KRW"], "its values are in 'KRW' and 'USD'"),
        ([*map(str, range(30)), "many", "lots", "some", "none", "few"], "such as 'many' is no number"),
    ],
)
def test_a_column_that_looks_like_numbers_and_is_none_is_named(tmp_path: Path, written: list[str], said: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a;y\n" + "\n".join(f"{one};p" for one in written * 3), "utf-8")
    detected, _ = detect(path)
    untyped = readers.read_untyped(path, detected)
    options = infer_dtypes(untyped, detected, "y")
    assert options.columns["a"] == "text"
    assert said in unread_numbers(untyped, options)["a"]


def test_values_of_two_units_are_refused_when_somebody_declares_them_amounts(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"row 3: '€5' has another unit than the values in \$"):
        read(tmp_path, ["$5", "$6", "€5"] + ["$7"] * 10, a="amount")


@pytest.mark.parametrize(
    ("written", "first"),
    [
        (["7-Jan-18", "12-Feb-19"], "2018-01-07"),
        (["Dec-2011", "Jan-2012"], "2011-12-01"),
        (["March 5, 2020", "June 12, 2021"], "2020-03-05"),
        (["13/01/2021", "01/02/2021"], "2021-01-13"),
        (["01/13/2021", "02/01/2021"], "2021-01-13"),
        (["05.04.2021", "06.04.2021"], "2021-04-05"),
    ],
)
def test_a_date_is_read_in_the_one_way_that_fits(tmp_path: Path, written: list[str], first: str) -> None:
    assert read(tmp_path, written * 10).iloc[0] == pd.Timestamp(first)


@pytest.mark.parametrize("sign", ["/", "-"])
def test_dates_that_fit_two_orders_are_asked_for(tmp_path: Path, sign: str) -> None:
    months = [f"{month:02}{sign}01{sign}{year}" for year in (2021, 2022) for month in range(1, 13)]
    with pytest.raises(BadInput, match="day or month may come first in every value"):
        read(tmp_path, months)
    told = read(tmp_path, months, a=f"datetime %m{sign}%d{sign}%Y")
    assert told.dt.month.tolist() == [*range(1, 13)] * 2
    same = [f"{day:02}{sign}{day:02}{sign}2021" for day in range(1, 13)]
    assert read(tmp_path, same).dt.day.tolist() == [*range(1, 13)]
