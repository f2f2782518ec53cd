"""Trainings side by side, as text: `nb compare`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bakebook.contract.project import package_name
from bakebook.errors import first_few
from bakebook.tracking.versions import WORKSPACE, Version, find

DEFAULT = (WORKSPACE, "HEAD")
LONGEST_NAME = 32
MOST_NAMES = 8
MODEL = ("train.estimator", "train.hyperparameters.")  # shown also where they are the same
ABSENT = "-"
TEST_ROWS = "data/processed/test.parquet"

Row = tuple[str, list[str]]


def compared(root: Path, names: Sequence[str]) -> list[str]:
    """Lines of a table with a column for each version, and what differs between them.

    `names` are those of `versions.find`; none means the workspace and HEAD. Raises BadInput for a
    name that is unknown, or that has no results.
    """
    versions = [find(root, name) for name in names or DEFAULT]
    params = _rows(versions, lambda one: one.params)
    files = _rows(versions, lambda one: one.files)
    data = [row for row in files if row[0].startswith("data/") and not row[0].endswith(".json")]
    own = (f"src/{package_name(root)}/", "notebooks/")
    code = [row for row in files if row[0].startswith(own)]
    different = list(filter(_differs, [*params, *data, *code]))
    blocks = [
        ("cross-validation (mean ± spread)", _rows(versions, lambda one: one.cross_validated)),
        ("scores of the test rows (95 % interval)", _scores(versions)),
        ("parameters", [row for row in params if row[0].startswith(MODEL) or row in different]),
        ("data", data),
        ("code", [row for row in code if row in different]),
    ]
    header = ["", *(_short(one.name) for one in versions)]
    lines = _table(header, blocks)
    return [*lines, "", *_verdict(versions, [name for name, _ in different])]


def _rows(versions: Sequence[Version], of: Callable[[Version], Mapping[str, str]]) -> list[Row]:
    """A row for each name that any version has."""
    names = sorted({name for one in versions for name in of(one)})
    return [(name, [of(one).get(name, ABSENT) for one in versions]) for name in names]


def _scores(versions: Sequence[Version]) -> list[Row]:
    names = dict.fromkeys(name for one in versions for name in one.scores)
    return [(name, [_score(one, name) for one in versions]) for name in names]


def _score(version: Version, name: str) -> str:
    if name not in version.scores:
        return ABSENT
    value = f"{version.scores[name]:.4f}"
    interval = version.intervals.get(name)
    return f"{value} {interval}" if interval else value


def _differs(row: Row) -> bool:
    """Whether a value differs among the versions that know it. A hyperparameter that is not set has
    the library's default, and no run knows files but the tables.
    """
    name, values = row
    return len(set(values) if name.startswith(MODEL) else set(values) - {ABSENT}) > 1


def _verdict(versions: Sequence[Version], different: Sequence[str]) -> Iterator[str]:
    """What differs, and whether the scores may be compared."""
    if len(versions) < 2:
        return
    if different:
        yield f"Different: {first_few(different, MOST_NAMES)}"
    else:
        yield "Nothing differs."
    if not _have_same_test_rows(versions, different):
        yield "The test rows differ, so the scores measure different things."


def _have_same_test_rows(versions: Sequence[Version], different: Sequence[str]) -> bool:
    """Whether one set of rows tested all models; another column makes another file of them."""
    known = {one.test_rows for one in versions}
    return TEST_ROWS not in different if "" in known else len(known) == 1


def _table(header: Sequence[str], blocks: Sequence[tuple[str, Sequence[Row]]]) -> Iterator[str]:
    """Aligned columns; each block has a title, and none is shown without rows."""
    rows = [(f"  {name}", values) for _, block in blocks for name, values in block]
    texts = [list(header), *([name, *values] for name, values in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    yield _line(header, widths)
    for title, block in blocks:
        if block:
            yield title
        for name, values in block:
            yield _line([f"  {name}", *values], widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
