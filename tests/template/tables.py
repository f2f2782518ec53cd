"""Small tables, each with one difficulty, made here: `TABLES[name](folder)` writes a file and says how to use it."""

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TABLES: dict[str, Callable[[Path], "Table"]] = {}
ROWS = 240


@dataclass(frozen=True)
class Table:
    """A source, the options of `nb data use` for it, and what is to be understood."""

    source: str
    target: str = "y"
    task: str = "classification"
    options: dict[str, Any] = field(default_factory=dict)
    reading: dict[str, Any] = field(default_factory=dict)  # of section ingest
    dtypes: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)


def table(make: Callable[[Path], Table]) -> Callable[[Path], Table]:
    TABLES[make.__name__] = make
    return make


def rows(number: int = ROWS, classes: tuple[Any, ...] = ("no", "yes"), seed: int = 0) -> pd.DataFrame:
    """Two numbers that tell the class with some noise, a category, and the class."""
    random = np.random.default_rng(seed)
    place = random.integers(0, len(classes), number)
    frame = pd.DataFrame(
        {
            "a": (place + random.normal(0, 0.4, number)).round(3),
            "b": (random.normal(0, 1, number) - place).round(3),
            "colour": random.choice(["red", "green", "blue"], number),
        }
    )
    frame["y"] = np.array(classes, dtype=object)[place]
    return frame


def prices(number: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A number that follows from two others and a category."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "area": random.uniform(20, 200, number).round(1),
            "age": random.integers(0, 80, number),
            "town": random.choice(["Foix", "Pau", "Albi"], number),
        }
    )
    extra = frame["town"].map({"Foix": 0, "Pau": 40, "Albi": 90})
    frame["y"] = (frame["area"] * 3 - frame["age"] + extra + random.normal(0, 10, number)).round(2)
    return frame


def csv(folder: Path, frame: pd.DataFrame, name: str = "table.csv", **options: Any) -> str:
    frame.to_csv(folder / name, index=False, **options)
    return str(folder / name)


def write_excel(frame: pd.DataFrame, path: Path) -> None:
    """A workbook of one sheet: the least that a spreadsheet reads."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    day = pd.Timestamp("1899-12-30")

    def cell(value: Any) -> str:
        if isinstance(value, pd.Timestamp):
            return f'<c s="1"><v>{(value - day).days}</v></c>'
        number = isinstance(value, int | float)
        return f"<c><v>{value}</v></c>" if number else f'<c t="inlineStr"><is><t>{value}</t></is></c>'

    lines = [list(frame.columns), *frame.astype(object).to_numpy().tolist()]
    cells = "".join(f"<row>{''.join(map(cell, line))}</row>" for line in lines)
    types = "application/vnd.openxmlformats-package.relationships+xml"
    ids = f'<Relationships xmlns="{package}/relationships">'
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        f'<Default Extension="xml" ContentType="text/xml"/><Default Extension="rels" ContentType="{types}"/></Types>',
        "_rels/.rels": f'{ids}<Relationship Id="a" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">'
        '<sheets><sheet name="one" sheetId="1" r:id="a"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{ids}<Relationship Id="a" Type="{office}/worksheet" Target="sheet.xml"/>'
        f'<Relationship Id="b" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/>'
        "</cellXfs></styleSheet>",
        "xl/sheet.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in parts.items():
            packed.writestr(name, content)


@table
def semicolons_and_decimal_commas(folder: Path) -> Table:
    source = csv(folder, prices(), sep=";", decimal=",")
    return Table(source, task="regression", reading={"delimiter": ";", "decimal": ","}, dtypes={"area": "number"})


@table
def tabs_and_latin_1(folder: Path) -> Table:
    frame = rows(classes=("été", "hiver"))
    frame["colour"] = frame["colour"].replace({"red": "déjà vu à l'été", "green": "où est-ce ?"})
    source = csv(folder, frame, sep="\t", encoding="latin-1")
    return Table(source, reading={"delimiter": "\t", "encoding": "cp1252"})


@table
def pipes_and_utf_16(folder: Path) -> Table:
    source = csv(folder, rows(), sep="|", encoding="utf-16")
    return Table(source, reading={"delimiter": "|", "encoding": "utf-16"})


@table
def a_mark_before_utf_8(folder: Path) -> Table:
    return Table(csv(folder, rows(), encoding="utf-8-sig"), reading={"encoding": "utf-8"}, dtypes={"a": "number"})


@table
def cyrillic_in_a_legacy_code_page(folder: Path) -> Table:
    frame = rows(classes=("нет", "да"))
    frame["colour"] = frame["colour"].replace({"red": "красный цвет", "green": "зелёный цвет", "blue": "синий цвет"})
    return Table(csv(folder, frame, encoding="cp1251"), reading={"encoding": "cp1251"})


@table
def line_breaks_in_quotes(folder: Path) -> Table:
    frame = rows()
    frame["colour"] = frame["colour"] + '\n"deep", dark'
    return Table(csv(folder, frame), roles={"colour": "categorical"})


@table
def dates_and_times(folder: Path) -> Table:
    """The class follows from the day of the week."""
    frame = rows(400)
    moments = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(400) * 7, unit="h")
    frame["when"] = moments.strftime("%d.%m.%Y %H:%M")
    frame["iso"] = moments.strftime("%Y-%m-%dT%H:%M:%S+02:00")
    frame["y"] = np.where(moments.weekday >= 5, "weekend", "week")
    roles = {"when": "datetime", "iso": "datetime"}
    return Table(csv(folder, frame), dtypes={"when": "datetime %d.%m.%Y %H:%M", "iso": "datetime"}, roles=roles)


@table
def booleans_in_words(folder: Path) -> Table:
    frame = rows(classes=(0, 1))
    frame["happy"] = np.where(frame["y"] == 1, "Yes", "No")
    frame.loc[::7, "happy"] = "No"
    return Table(csv(folder, frame), dtypes={"happy": "boolean"}, roles={"happy": "boolean"})


@table
def many_marks_of_missing_values(folder: Path) -> Table:
    frame = rows(400).astype({"a": object, "b": object})
    for place, mark in enumerate(["", "NA", "?", "  ", "-200", "-"]):
        frame.loc[frame.index % 30 == place, "a"] = mark
    frame.loc[frame.index % 11 == 0, "colour"] = "n/a"
    return Table(csv(folder, frame), options={"missing": ("-200",)}, dtypes={"a": "number"}, roles={"a": "numeric"})


@table
def numbers_stored_as_text(folder: Path) -> Table:
    frame = prices()
    frame["area"] = frame["area"].map(lambda value: f"€ {value * 1000:,.2f}")
    frame["age"] = frame["age"].map(lambda value: f" {value} ")
    dtypes = {"area": "amount", "age": "integer"}
    return Table(csv(folder, frame), task="regression", dtypes=dtypes, roles={"area": "numeric"})


@table
def names_of_any_kind(folder: Path) -> Table:
    frame = rows()
    names = ["a b[/] (%)", "class", "日本", "", "a_b", "a b", "naïve {x} \\ y", "1"]
    extra = [frame["a"], frame["b"], frame["colour"], *(frame["a"] + k for k in range(5))]
    wide = pd.concat([*extra, frame["y"], frame["y"].map(len)], axis=1)
    wide.columns = pd.Index([*names, "lambda", "a b"])
    return Table(csv(folder, wide), target="lambda", roles={"column 4": "numeric", "a b (2)": "numeric"})


@table
def identifiers_constants_and_empty_columns(folder: Path) -> Table:
    frame = rows()
    frame.insert(0, "id", range(1000, 1000 + len(frame)))
    frame["uuid"] = [f"{number:08x}-{number * 7:04x}" for number in range(len(frame))]
    frame["always"], frame["nothing"] = "same", ""
    roles = {"id": "identifier", "uuid": "identifier", "always": "constant", "nothing": "empty"}
    return Table(csv(folder, frame), roles=roles, options={"license": "CC0 1.0"})


@table
def high_cardinality(folder: Path) -> Table:
    """The class follows from a town, of which there are two hundred."""
    random = np.random.default_rng(0)
    frame = rows(3000)
    town = random.integers(0, 200, 3000)
    frame["town"] = [f"town {number}" for number in town]
    frame["y"] = np.where((town % 2 == 0) ^ (random.random(3000) < 0.1), "even", "odd")
    return Table(csv(folder, frame), roles={"town": "categorical"})


@table
def signal_in_a_text(folder: Path) -> Table:
    """One in eight is spam, and only the words tell: nothing else is in the table."""
    random = np.random.default_rng(0)
    common = "the a of meeting report please find attached monday team plan budget thanks regards über".split()
    spam = random.random(1600) < 0.13
    words = [" ".join(random.choice(common, random.integers(5, 15))) for _ in spam]
    texts = [
        f"{text} {random.choice(['win', 'prize', 'viagra'])}!" if s else text
        for text, s in zip(words, spam, strict=True)
    ]
    frame = pd.DataFrame({"message": texts, "y": np.where(spam, "spam", "ham")})
    return Table(csv(folder, frame), roles={"message": "text"})


@table
def negative_classes(folder: Path) -> Table:
    return Table(csv(folder, rows(classes=(-1, 0, 1))), options={"task": "classification"})


@table
def a_class_of_a_few_rows(folder: Path) -> Table:
    frame = rows(classes=("a", "b", "c"))
    frame.loc[0, "y"], frame.loc[1:3, "y"] = "once", "thrice"
    return Table(csv(folder, frame))


@table
def unbalanced_classes(folder: Path) -> Table:
    frame = rows(800)
    rare = np.random.default_rng(1).random(800) < 0.04
    frame["y"] = np.where(rare, "fraud", "fine")
    frame.loc[rare, "a"] += 3
    return Table(csv(folder, frame))


@table
def rows_without_a_target(folder: Path) -> Table:
    frame = rows()
    frame.loc[::10, "y"] = ""
    return Table(csv(folder, frame))


@table
def numbers_with_gaps(folder: Path) -> Table:
    frame = prices()
    frame.loc[::5, "area"], frame.loc[::7, "age"], frame.loc[::9, "town"] = np.nan, np.nan, ""
    frame.loc[::11, "y"] = np.nan
    frame["age"] = frame["age"].astype("Int64")
    return Table(csv(folder, frame), task="regression", dtypes={"age": "integer"})


@table
def codes_with_leading_zeros(folder: Path) -> Table:
    frame = rows()
    frame["zip"] = [f"{number:05d}" for number in np.random.default_rng(5).integers(1000, 1040, len(frame))]
    return Table(csv(folder, frame), dtypes={"zip": "text"}, roles={"zip": "categorical"})


@table
def whole_numbers_that_are_classes(folder: Path) -> Table:
    return Table(csv(folder, rows(classes=(3, 4, 5))), options={"task": "classification"})


@table
def whole_numbers_that_are_amounts(folder: Path) -> Table:
    frame = prices()
    frame["y"] = (frame["y"] // 60).astype(int)
    return Table(csv(folder, frame), task="regression", options={"task": "regression"})


@table
def a_leak_and_duplicates(folder: Path) -> Table:
    frame = rows()
    frame["verdict"] = frame["y"].map({"no": "refused", "yes": "granted"})
    return Table(csv(folder, pd.concat([frame, frame.head(40)])))


@table
def parquet(folder: Path) -> Table:
    frame = rows()
    frame["when"], frame["flag"] = pd.date_range("2024-01-01", periods=len(frame), freq="D"), frame["a"] > 0.5
    sizes = pd.Categorical(pd.cut(frame["b"], 3, labels=["small", "medium", "large"]), ordered=True)
    frame.assign(size=sizes).to_parquet(folder / "table.parquet")
    dtypes = {"when": "datetime", "flag": "boolean"}
    place = str(folder / "table.parquet")
    return Table(place, reading={"file_format": "parquet"}, dtypes=dtypes, roles={"size": "categorical"})


@table
def json_lines(folder: Path) -> Table:
    records = rows().to_dict("records")
    for record in records[::6]:
        record["a"] = None
    (folder / "table.jsonl").write_text("\n".join(json.dumps(one) for one in records), encoding="utf-8")
    return Table(str(folder / "table.jsonl"), reading={"file_format": "json lines"}, dtypes={"a": "number"})


@table
def excel(folder: Path) -> Table:
    frame = prices()
    frame["sold"] = pd.date_range("2020-01-01", periods=len(frame), freq="D")
    write_excel(frame, folder / "table.xlsx")
    dtypes = {"age": "integer", "sold": "datetime", "town": "text"}
    return Table(str(folder / "table.xlsx"), task="regression", reading={"file_format": "excel"}, dtypes=dtypes)


@table
def several_files(folder: Path) -> Table:
    frame = rows()
    csv(folder, frame.head(100), "part-1.csv")
    csv(folder, frame.tail(len(frame) - 100), "part-2.csv")
    return Table(str(folder / "part-*.csv"))


@table
def gzipped(folder: Path) -> Table:
    (folder / "table.csv.gz").write_bytes(gzip.compress(rows().to_csv(index=False).encode()))
    return Table(str(folder / "table.csv.gz"), dtypes={"a": "number"})


@table
def zipped(folder: Path) -> Table:
    with zipfile.ZipFile(folder / "table.zip", "w") as packed:
        packed.writestr("inside/table.csv", rows().to_csv(index=False, sep=";"))
    return Table(str(folder / "table.zip"), reading={"delimiter": ";"})


@table
def sqlite(folder: Path) -> Table:
    with closing(sqlite3.connect(folder / "shop.db")) as store, store:
        rows().to_sql("orders", store, index=False)
    query = "SELECT a, b, colour, y FROM orders"
    return Table(f"sqlite:///{folder / 'shop.db'}", options={"query": query}, reading={"file_format": "parquet"})


@table
def passengers(folder: Path) -> Table:
    """Mixed data in the manner of the Titanic's list: gaps, an identifier, names with titles, cabins, tickets."""
    random = np.random.default_rng(3)
    number = 900
    woman, rank = random.random(number) < 0.35, random.choice([1, 2, 3], number, p=[0.24, 0.21, 0.55])
    age = np.clip(random.normal(30, 14, number), 0.5, 80).round(1)
    title = np.where(age < 14, np.where(woman, "Miss.", "Master."), np.where(woman, "Mrs.", "Mr."))
    first, last = ["Owen", "Anna", "John", "Elsa"], ["Braund", "Heikki", "Allen", "Moran", "Palsson"]
    names = [
        f"{random.choice(last)}{n % 97}, {t} {random.choice(first)} {random.choice(first)}" for n, t in enumerate(title)
    ]
    chance = 1 / (1 + np.exp(-(-1.2 + 2.8 * woman - 0.9 * (rank - 2) + 1.5 * (age < 14))))
    frame = pd.DataFrame(
        {"PassengerId": range(1, number + 1), "Survived": (random.random(number) < chance).astype(int)}
    )
    frame["Pclass"], frame["Name"], frame["Sex"] = rank, names, np.where(woman, "female", "male")
    frame["Age"] = np.where(random.random(number) < 0.2, np.nan, age)
    frame["SibSp"] = random.poisson(0.5, number)
    frame["Ticket"] = [
        f"{random.choice(['A/5', 'PC', 'STON/O2.'])} {ticket}" for ticket in random.integers(1000, 1700, number)
    ]
    frame["Fare"] = (np.exp(random.normal(4.2 - rank * 0.8, 0.4)) + 5).round(4)
    frame["Cabin"] = [
        f"{random.choice(list('ABC'))}{n}" if r == 1 else ""
        for r, n in zip(rank, random.integers(1, 90, number), strict=True)
    ]
    frame["Embarked"] = random.choice(["S", "C", "Q", ""], number, p=[0.7, 0.2, 0.09, 0.01])
    roles = {"PassengerId": "identifier", "Name": "text", "Sex": "categorical", "Cabin": "categorical"}
    return Table(csv(folder, frame), target="Survived", roles=roles)
