"""Keeps a person's expectations when columns of the table are renamed, added or dropped."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bakebook.validation.suite import JsonObject

ONE_COLUMN = ("column", "column_A", "column_B")
SEVERAL_COLUMNS = ("column_list", "column_set")
ALL_COLUMNS = "expect_table_columns_to_match_set"


def about(suite: JsonObject, name: str) -> list[JsonObject]:
    """The expectations about one column."""
    found = suite["expectations"]
    return [one for one in found if name in map(one.get("kwargs", {}).get, ONE_COLUMN)]


def changed(
    suite: JsonObject,
    renamed: Mapping[str, str],
    dropped: Collection[str],
    added: Sequence[str],
    drafted: Sequence[JsonObject],
) -> JsonObject:
    """The suite with other names, without expectations about dropped columns, and with those
    drafted for added ones.
    """
    kept = []
    for one in suite["expectations"]:
        kwargs = one.get("kwargs", {})
        if not {kwargs.get(name) for name in ONE_COLUMN}.isdisjoint(dropped):
            continue
        found = {name: _value(name, value, renamed, dropped) for name, value in kwargs.items()}
        if one["type"] == ALL_COLUMNS and isinstance(found.get("column_set"), list):
            found["column_set"] += added
        if all(found[name] for name in SEVERAL_COLUMNS if name in found):
            kept.append({**one, "kwargs": found})
    names = set(added)
    about_added = [one for one in drafted if one["kwargs"].get("column") in names]
    return {**suite, "expectations": [*kept, *about_added]}


def dumped_like(text: str, earlier: JsonObject, suite: JsonObject) -> str:
    """The suite as text, in the layout that the text of the earlier one has; of an unknown layout,
    with one expectation per line.
    """
    for indent in (1, 2, 4):
        if _indented(earlier, indent).strip() == text.strip():
            return _indented(suite, indent)
    return _by_line(suite)


def _indented(suite: JsonObject, indent: int) -> str:
    return json.dumps(suite, indent=indent, ensure_ascii=False) + "\n"


def _by_line(suite: JsonObject) -> str:
    lines = []
    for name, value in suite.items():
        if name == "expectations":
            each = [f"    {json.dumps(one, ensure_ascii=False)}" for one in value]
            content = "[\n" + ",\n".join(each) + "\n  ]"
        else:
            content = json.dumps(value, ensure_ascii=False)
        lines.append(f"  {json.dumps(name)}: {content}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _value(name: str, value: Any, renamed: Mapping[str, str], dropped: Collection[str]) -> Any:
    if name in ONE_COLUMN:
        return renamed.get(value, value)
    if name in SEVERAL_COLUMNS and isinstance(value, list):
        return [renamed.get(one, one) for one in value if one not in dropped]
    return value
