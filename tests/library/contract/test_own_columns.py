"""What `nb check` finds in `columns.py` without running it."""

from pathlib import Path

import pytest

from bakebook.contract.own_columns import check_own_columns, own_columns
from bakebook.contract.project import Project

PARAMS = {
    "ingest": {
        "columns": {"Age": "number", "SibSp": "integer", "Name": "text", "born": "datetime %d.%m.%Y", "y": "text"}
    },
    "prepare": {"target": "y"},
}
GOOD = """
from __future__ import annotations

import math
import re
from collections import Counter
from datetime import datetime

import numpy as np

from bakebook.models.columns import column, mean_by

TITLES = re.compile(r"(\\w+)\\.")


@column
def Family(SibSp: int) -> int:
    return SibSp + 1


@column
def AgeLog(Age: float | None, Family: int) -> float | None:
    return None if Age is None else math.log1p(Age) / Family


@column("year of birth", reads=["born"])
def year(born: datetime) -> "int":
    return np.int64(born.year)


@column(learn=(mean_by, "Age", "Name"))
def Usual(Name: str, *, learned: dict[str, float]) -> float | None:
    return learned.get(Name)


def helper(anything):
    return Counter(anything)
"""


def faults(folder: Path, source: str) -> list[str]:
    return [str(fault) for fault in check_own_columns(project(folder, source))]


def project(folder: Path, source: str) -> Project:
    (folder / "pyproject.toml").write_text('[tool.bakebook]\npackage = "mine"\n', encoding="utf-8")
    (folder / "src" / "mine").mkdir(parents=True)
    (folder / "src" / "mine" / "columns.py").write_text(source, encoding="utf-8")
    return Project(folder, PARAMS, {}, {})


def column(head: str, body: str = "return 1") -> str:
    return f"from bakebook.models.columns import column, mean_by\n\n\n@column\ndef {head}:\n    {body}\n"


def test_columns_as_the_docs_show_them_have_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD) == []


def test_the_columns_and_what_they_read_are_known(tmp_path: Path) -> None:
    found = own_columns(project(tmp_path, GOOD))
    assert [(one.name, one.needs, one.returns) for one in found] == [
        ("Family", ("SibSp",), "int"),
        ("AgeLog", ("Age", "Family"), "float"),
        ("year of birth", ("born",), "int"),
        ("Usual", ("Name", "Age"), "float"),
    ]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (column("B(Agee: float) -> float"), "columns.py:5: B reads 'Agee', which does not exist → did you mean 'Age'?"),
        (column("B(nothing: float) -> float"), "B reads 'nothing', which does not exist → read a column of the table"),
        (column("B(y: str) -> float"), "B reads 'y', which is the target"),
        (column("Age(SibSp: int) -> float"), "Age is already a column → give it another name"),
        (column("B() -> float"), "B reads no column"),
        (column("B(Age: float)"), "B does not say what it returns → write -> one of int, float, bool, str, datetime"),
        (column("B(Age: float) -> list"), "B returns list"),
        (column("B(Age) -> float"), "B: 'Age' has no type"),
        (column("B(Age: int) -> float"), "B takes 'Age' as int, but its dtype is number → write float or str"),
        (column("B(Name: float) -> float"), "B takes 'Name' as float, but its dtype is text → write str"),
        (column("B(Age: float, *, learned) -> float"), "B needs both: learn=(…) and a parameter *, learned"),
        ("import pandas as pd\n", "columns.py:1: imports pandas, which the service does not have"),
        ("from sklearn.preprocessing import scale\n", "imports sklearn.preprocessing, which the service does not have"),
        ("import os\n", "imports os, which reaches beyond the row"),
        ("def f():\n    import subprocess\n", "columns.py:2: imports subprocess"),
        ("from . import features\n", "imports ., which does not go with the model"),
        ("from mine import features\n", "imports mine, which the service does not have"),
        ("from bakebook import artifacts\n", "imports bakebook → import only bakebook.models.columns"),
        (column("B(Age: float) -> float", "return np.random.normal()"), "uses np.random, which differs between runs"),
        (column("B(Age: float) -> float", "return datetime.now().year"), "uses datetime.now"),
        (column("B(Age: float) -> float", "return len(open(Age).read())"), "uses open, which depends on more"),
        (column("B(Age: float) -> float", "global seen"), "keeps 'seen' between rows"),
    ],
)
def test_what_the_service_could_not_do_is_one_sentence_with_its_line(
    tmp_path: Path, source: str, sentence: str
) -> None:
    found = faults(tmp_path, source)
    assert len(found) == 1
    assert sentence in found[0]


@pytest.mark.parametrize(
    "head",
    [
        "from bakebook.models.columns import column as own\n\n\n@own\n",
        "import bakebook.models.columns as bc\n\n\n@bc.column\n",
        "from bakebook.models.columns import column\n\n\n@column()\n",
    ],
)
def test_the_decorator_is_found_by_whatever_name(tmp_path: Path, head: str) -> None:
    found = faults(tmp_path, f"{head}def B(nothing: float) -> float:\n    return 1.0\n")
    assert len(found) == 1 and "B reads 'nothing'" in found[0]


def test_learning_from_the_target_is_refused(tmp_path: Path) -> None:
    source = column("B(Name: str, *, learned) -> float").replace("@column", '@column(learn=(mean_by, "y", "Name"))')
    assert "reads 'y', which is the target" in faults(tmp_path, source)[0]


def test_a_project_without_the_file_has_no_fault(tmp_path: Path) -> None:
    made = project(tmp_path, "")
    (tmp_path / "src" / "mine" / "columns.py").unlink()
    assert list(check_own_columns(made)) == []
