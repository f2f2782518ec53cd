"""params.yaml and dvc.yaml as people write them: what a command does not change stays letter by
letter.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.tokens import CommentToken

from bakebook.files import write_text

KEY = r"^( *)[^\s#-][^\n]*:[^\S\n]*(?:#[^\n]*)?\n"
INDENTED_KEY = re.compile(KEY + r"\1( +)[^\s#-]", re.MULTILINE)
INDENTED_ITEM = re.compile(KEY + r"\1 +- ", re.MULTILINE)
# The empty line that followed an empty mapping, before what the mapping has now
DETACHED = re.compile(r"(?m)(^( *)[^\s#-][^\n]*:[^\S\n]*(?:#[^\n]*)?\n)\n(?=\2 +[^\s#])")
# What is empty now, below the comment of its key
EMPTIED = re.compile(r"(?m)^( *[^\s#-][^\n]*?:)([^\S\n]*#[^\n]*)?\n\s*(\{\}|\[\])$")
COMMENT = re.compile(r"(\s+)(#.*\n)$")
GAP = "  "  # before a comment
SECTION = re.compile(r"(?m)^(?!#)(.+)\n(?=[a-z_]+:)")


@dataclass(frozen=True)
class Style:
    """How a file is indented; by default as DVC does it, so that `dvc exp run --set-param` changes
    one line.
    """

    mapping: int = 2
    has_indented_items: bool = False

    @classmethod
    def of(cls, text: str) -> "Style":
        """The style of a file that a person may have written."""
        found = INDENTED_KEY.search(text)
        mapping = len(found[2]) if found else cls.mapping
        return cls(mapping, bool(INDENTED_ITEM.search(text)))


def reader() -> YAML:
    """YAML as a person wrote it: its mappings know comments, order, quotes and lines."""
    yaml = YAML()
    yaml.preserve_quotes = True
    return yaml


def write(content: Any, path: Path, *, spaced: bool = False) -> None:
    """Writes a round-trip mapping that was read from the file, with only the lines changed that say
    something else. With `spaced`, an empty line stands before each section.
    """
    old = path.read_text(encoding="utf-8")
    style = Style.of(old)
    before = DETACHED.sub(r"\1", dumped(reader().load(old), style))
    after = DETACHED.sub(r"\1", dumped(content, style))
    if spaced:
        before = SECTION.sub(r"\1\n\n", before)
        after = SECTION.sub(r"\1\n\n", after)
    merged = _merged(old, before, after)
    write_text(merged if _says(merged) == _says(after) else after, path)


def append(mapping: CommentedMap, items: Mapping[str, object]) -> None:
    """Adds keys below the others; comments and empty lines that followed the last one stay last."""
    if not mapping:
        mapping.fa.set_block_style()
    following = _take_following(mapping)
    mapping.update(items)
    _put_following(mapping, following)


def set_all(mapping: CommentedMap, values: Mapping[str, object]) -> None:
    """Makes a mapping say `values`; what it says already keeps its place and its comment."""
    for name in [name for name in mapping if name not in values]:
        remove(mapping, name)
    for name, value in values.items():
        if name in mapping and mapping[name] != value:
            mapping[name] = value
    append(mapping, {name: value for name, value in values.items() if name not in mapping})


def remove(mapping: CommentedMap, name: str) -> None:
    """Removes a key with its comment, but not what followed the last one."""
    if name in mapping:
        following = _take_following(mapping)
        mapping.ca.items.pop(name, None)
        del mapping[name]
        _put_following(mapping, following)


def rename(mapping: CommentedMap, old: str, new: str) -> None:
    """Gives a key another name, in its place and with its comment."""
    if old in mapping:
        place = list(mapping).index(old)
        comment = mapping.ca.items.pop(old, None)
        mapping.insert(place, new, mapping.pop(old))
        if comment:
            mapping.ca.items[new] = comment


def _take_following(mapping: CommentedMap) -> str:
    """The lines after the last key and its own comment, which are removed."""
    if not mapping:
        return ""
    last = next(reversed(mapping))
    token = mapping.ca.items.get(last, [None] * 3)[2]
    if not token:
        return ""
    own, _, following = token.value.partition("\n")
    if own:
        token.value = f"{own}\n"
    else:
        del mapping.ca.items[last]
    return str(following)


def _put_following(mapping: CommentedMap, following: str) -> None:
    if not following or not mapping:
        return
    comments = mapping.ca.items.setdefault(next(reversed(mapping)), [None] * 4)
    if comments[2]:
        comments[2].value += following
    else:
        comments[2] = CommentToken(f"\n{following}", CommentMark(0), None)


def dumped(content: object, style: Style | None = None) -> str:
    """A round-trip mapping as text."""
    style = style or Style()
    offset = style.mapping if style.has_indented_items else 0
    yaml = reader()
    yaml.default_flow_style = False
    yaml.indent(mapping=style.mapping, sequence=offset + 2, offset=offset)
    text = io.StringIO()
    yaml.dump(content, text)
    return EMPTIED.sub(lambda found: f"{found[1]} {found[3]}{found[2] or ''}", text.getvalue())


def _says(text: str) -> object:
    """What the text says; None where it is not YAML."""
    try:
        return YAML(typ="safe").load(text)
    except YAMLError:
        return None


def _merged(old: str, before: str, after: str) -> str:
    """The old text with the lines changed in which `after` differs from `before`, which says the
    same as the old text in another style.
    """
    olds = old.splitlines(keepends=True)
    befores = before.splitlines(keepends=True)
    afters = after.splitlines(keepends=True)
    places = _places(befores, olds)
    lines: list[str] = []
    for kind, first, last, start, end in _changes(befores, afters):
        if kind != "equal":
            lines += [_with_gap(line, befores) for line in afters[start:end]]
        elif first in places and last in places:
            lines += olds[places[first] : places[last]]
        else:  # a change within a text that is folded otherwise
            return after
    return "".join(lines)


def _with_gap(line: str, befores: list[str]) -> str:
    """A changed line whose comment stands two spaces behind the value, or where it stood among
    aligned ones.
    """
    for before in befores:
        found = COMMENT.search(before)
        if found and line.endswith(found[2]):
            value = line.removesuffix(found[2])
            is_aligned = len(found[1]) > len(GAP) and len(value) - len(value.rstrip()) >= len(GAP)
            return line if is_aligned else value.rstrip() + GAP + found[2]
    return line


def _places(befores: list[str], olds: list[str]) -> dict[int, int]:
    """The line of the old text at which each line begins, where lines correspond."""
    places = {}
    for _, first, last, start, end in _changes(befores, olds):
        places[first] = start
        if last - first == end - start:
            places |= {first + number: start + number for number in range(last - first)}
        places[last] = end
    return places


def _changes(one: list[str], other: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
