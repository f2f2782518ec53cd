"""Answers to the prompts: refused in one sentence before anything is written, or kept letter by letter.

A Jinja extension, so that a wrong answer is seen before cookiecutter makes a folder; a pre_gen hook comes after it.
"""

import csv
import json
import keyword
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from jinja2 import Environment
from jinja2.ext import Extension

RESERVED = frozenset(Path(__file__).with_name("reserved_names.txt").read_text(encoding="utf-8").split())
DEVICES = {"aux", "con", "nul", "prn"} | {f"{name}{number}" for name in ("com", "lpt") for number in range(10)}
LONGEST = {"project_name": 80, "description": 500, "author_name": 120, "dataset": 2000, "target": 300}
BUNDLED = "wine"
LONGEST_HEADER = 65536  # bytes of a table that are read for its column names
TITLE_LINES = 50
SHOWN_COLUMNS = 12
MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~])")


class Answers(Extension):
    """Adds the functions below as filters."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        mine = (accepted, accepted_so_far, located, markdown, purpose, quoted, source)
        environment.filters |= {one.__name__: one for one in mine}


def quoted(text: str) -> str:
    """The text as a string of TOML, YAML, JSON and Python alike: the accepted answers hold no control characters."""
    return json.dumps(text, ensure_ascii=False)


def markdown(text: str) -> str:
    """The text with Markdown's own signs escaped."""
    return MARKDOWN.sub(r"\\\1", text)


def accepted(answers: Mapping[str, str]) -> str:
    """Ends the program with one sentence when an answer cannot be used; "yes" otherwise."""
    return accepted_so_far(answers)


def accepted_so_far(answers: Mapping[str, str]) -> str:
    """The same before all prompts are answered. An update from an earlier template has that template's extension, so
    cookiecutter.json asks first whether there is such a filter.
    """
    for name, refuse in CHECKS.items():
        answer = str(answers.get(name) or "")
        if name in answers and (reason := refuse(answer)):
            _stop(f"{name} {_shown(answer)} {reason}")
    unfit = _unfit_for_wine if answers.get("dataset") == BUNDLED else _unknown_target
    if "target" in answers and (reason := unfit(answers)):
        _stop(reason)
    return "yes"


def located(dataset: str) -> str:
    """Where the table is for the hook, which works in the new folder; nothing for the bundled one and for addresses."""
    path = Path(dataset).expanduser()
    return "" if dataset in (BUNDLED, "") or not path.exists() else str(path.resolve())


def source(dataset: str) -> str:
    """What `ingest.source` says before `nb data use` has looked: the copy in the project, or the URL."""
    if dataset == BUNDLED:
        return "data/raw/wine.csv"
    name = Path(dataset).expanduser().resolve().name
    return dataset if "://" in dataset else f"data/raw/{name}"


def purpose(answers: Mapping[str, str]) -> str:
    """A first sentence about the model, for a person to improve."""
    if answers["dataset"] == BUNDLED:
        return "Predicts the cultivar of a wine from thirteen chemical measurements"
    return f"Predicts {answers['target']}"


def _text(name: str) -> Callable[[str], str | None]:
    def refuse(text: str) -> str | None:
        if not text.strip():
            return "is empty → enter some text"
        if len(text) > LONGEST[name]:
            return f"has {len(text)} characters → use at most {LONGEST[name]}"
        if any(_unprintable(letter) for letter in text):
            return "contains a line break, a control, bidirectional or invalid character → use one line of plain text"
        return None

    return refuse


def _unprintable(letter: str) -> bool:
    direction = unicodedata.bidirectional(letter) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return direction or unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} or letter in "\ufffe\uffff"


def _slug(slug: str) -> str | None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug) or len(slug) > 60:
        return "is not a valid folder name → use up to 60 lowercase letters, digits and hyphens, first a letter"
    if slug.replace("-", "_") in RESERVED:
        return "is the name of a Python module or of an installed library → choose another"
    return "is a reserved device name on Windows → choose another" if slug in DEVICES else None


def _package(package: str) -> str | None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,39}", package):
        return "is not a valid package name → use 2 to 40 lowercase letters, digits and underscores, first a letter"
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        return "is a Python keyword → choose another"
    if package in sys.stdlib_module_names or package in RESERVED:
        return "is the name of a Python module or of an installed library → choose another"
    return None


def _dataset(answer: str) -> str | None:
    if not answer:
        return "is empty → give the path of a table, a URL, or wine for the example"
    if re.match(r"(sqlite|postgresql|mysql|mariadb|mssql|oracle)[+:]", answer) or re.search(r"://[^/]*@", answer):
        return "is a database URL or contains a password → use dataset=wine, then nb data use URL --query … --target …"
    if answer == BUNDLED or "://" in answer or Path(".cruft.json").exists():  # an update needs the file no more
        return _text("dataset")(answer)
    path = Path(answer).expanduser()
    if not path.exists():
        return "does not exist → give the path of a table, a URL, or wine for the example"
    if path.is_file() and not path.stat().st_size:
        return "is empty → give a table with a header and rows"
    return None


def _unfit_for_wine(answers: Mapping[str, str]) -> str | None:
    if answers["target"] != "cultivar":
        return f"target {_shown(answers['target'])} is not the target of the wine data → target=cultivar"
    if answers.get("task") == "regression":
        return "task 'regression' does not fit the wine data, whose target is a class → task=auto"
    return None


def _unknown_target(answers: Mapping[str, str]) -> str | None:
    """Why the target is no column of the table, as far as the beginning of a text file shows."""
    path = Path(answers["dataset"]).expanduser()
    if path.suffix.lower() not in (".csv", ".tsv") or not path.is_file():
        return None
    with path.open("rb") as file:
        beginning = file.read(LONGEST_HEADER)
    try:
        lines = beginning.decode("utf-8-sig").splitlines()[:TITLE_LINES]
    except UnicodeDecodeError:  # `nb data use` knows other encodings
        return None
    target = answers["target"].strip()
    if any(target in fields for fields in _fields(lines)):
        return None
    header = max(_fields(lines[:1]), key=len, default=[])
    near = get_close_matches(target, header, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(header[:SHOWN_COLUMNS])}"
    return f"target {_shown(target)} is not a column of {path.name} → {remedy}"


def _fields(lines: list[str]) -> Iterator[list[str]]:
    """The fields of each line by each delimiter; a title may stand above the header."""
    for delimiter in ",;\t|":
        for row in csv.reader(lines, delimiter=delimiter):
            yield [field.strip() for field in row]


CHECKS: dict[str, Callable[[str], str | None]] = {
    "project_name": _text("project_name"),
    "project_slug": _slug,
    "package_name": _package,
    "description": _text("description"),
    "author_name": _text("author_name"),
    "dataset": _dataset,
    "target": _text("target"),
}


def _shown(answer: str) -> str:
    short = answer if len(answer) <= 40 else answer[:40] + "…"
    return "'" + "".join("\N{REPLACEMENT CHARACTER}" if _unprintable(letter) else letter for letter in short) + "'"


def _stop(sentence: str) -> NoReturn:
    sys.exit(f"error: {sentence}")
