"""A command changes the lines of params.yaml that it means, and no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bakebook.contract import yaml_files

TEXTS = {
    "quotes": 'a:\n  one: "1"\n  two: \'x\'  # why\n  three: plain\n\nb:\n  four: "4"\n',
    "indented lists": "a:\n  three: x\n  list:  # of things\n    - one\n    - two\n\nb:\n  four: 4\n",
    "flush lists": "a:\n  three: x\n  list:  # of things\n  - one\n  - two\n\nb:\n  four: 4\n",
    "flow lists": 'a:\n  three: x\n  list: [1, 2,   3]\n  other: ["", "NA"]\n  map: {low: 1,  high: 2}\n',
    "long lines": f"a:\n  text: {'many words ' * 20}end\n  three: x\n\nb:\n  four: 4\n",
    "folded texts": "a:\n  text: >-\n    some\n    words\n  lines: |\n    one\n    two\n  three: x\n\nb:\n  four: 4\n",
    "a text over two lines": "a:\n  text: some words and\n    some more\n  three: x\n\nb:\n  four: 4\n",
    "aligned comments": "a:\n  three: x           # the third\n  other: a long one  # the other\n",
    "comments everywhere": "# first\na:  # of a\n  # above\n  three: x\n  # below\n\n# of b\nb:\n  four: 4\n# last\n",
    "no empty lines": "a:\n  three: x\nb:\n  four: 4\n",
    "wide indentation": "a:\n    three: x\n    five:\n        six: 6\nb:\n    four: 4\n",
    "words for true": "a:\n  three: x\n  flag: yes\n  number: 1e-3\n  other: 0x10\n  none: ~\nb:\n  four: 4\n",
}
Change = Callable[[Any], None]


def written(folder: Path, text: str, change: Change) -> list[tuple[str, str]]:
    """The pairs of lines that differ; a text of another number of lines fails."""
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    content = yaml_files.reader().load(text)
    change(content)
    yaml_files.write(content, path)
    return [
        (old, new)
        for old, new in zip(text.splitlines(), path.read_text("utf-8").splitlines(), strict=True)
        if old != new
    ]


@pytest.mark.parametrize("style", TEXTS)
def test_without_a_change_the_file_stays_letter_by_letter(tmp_path: Path, style: str) -> None:
    assert written(tmp_path, TEXTS[style], lambda content: None) == []
    assert (tmp_path / "params.yaml").read_text("utf-8") == TEXTS[style]


@pytest.mark.parametrize("style", TEXTS)
def test_a_changed_value_changes_its_line_only(tmp_path: Path, style: str) -> None:
    def change(content: Any) -> None:
        content["a"]["three"] = "else"

    [(old, new)] = written(tmp_path, TEXTS[style], change)
    assert old.split("#")[1:] == new.split("#")[1:]  # the comment is still there
    assert new.split("#")[0].strip() == "three: else"
    assert len(new) - len(new.lstrip()) == len(old) - len(old.lstrip())


@pytest.mark.parametrize("style", ["quotes", "no empty lines", "comments everywhere", "wide indentation"])
def test_an_added_key_stands_below_the_others_and_above_what_followed_them(tmp_path: Path, style: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXTS[style], encoding="utf-8")
    content = yaml_files.reader().load(TEXTS[style])
    yaml_files.append(content["a"], {"new": 1})
    yaml_files.write(content, path)
    lines = path.read_text("utf-8").splitlines()
    place = [line.strip() for line in lines].index("new: 1")
    assert not lines[place - 1].isspace()
    del lines[place]
    assert "\n".join(lines) + "\n" == TEXTS[style]


def test_an_empty_mapping_is_filled_below_its_key_and_its_comment(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = "a:\n  three: x\n  map: {}  # of things\n\nb:\n  four: 4\n"
    path.write_text(text, encoding="utf-8")
    content = yaml_files.reader().load(text)
    content["a"]["map"].fa.set_block_style()
    yaml_files.append(content["a"]["map"], {"one": 1, "two": 2})
    yaml_files.write(content, path, spaced=True)
    assert path.read_text("utf-8") == text.replace("{}  # of things", " # of things\n    one: 1\n    two: 2")


def test_an_empty_line_is_kept_before_each_section(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXTS["quotes"], encoding="utf-8")
    content = yaml_files.reader().load(TEXTS["quotes"])
    del content["a"]["three"]
    yaml_files.write(content, path, spaced=True)
    assert path.read_text("utf-8") == TEXTS["quotes"].replace("  three: plain\n", "")


@pytest.mark.parametrize("comment", ["", "  # of categories: {size: [small, large]}"])
@pytest.mark.parametrize("last", ["", "  other: 1\n"])
def test_what_is_filled_and_emptied_again_is_as_it_was(tmp_path: Path, comment: str, last: str) -> None:
    path = tmp_path / "params.yaml"
    text = f"a:\n  map: {{}}{comment}\n{last}\nb:\n  other: 2\n"
    path.write_text(text)
    for change in ("fill", "empty"):
        content = yaml_files.reader().load(path.read_text())
        if change == "fill":
            yaml_files.append(content["a"]["map"], {"one": ["p", "q"], "two": 2})
        else:
            for name in ("one", "two"):
                yaml_files.remove(content["a"]["map"], name)
        yaml_files.write(content, path, spaced=True)
    assert path.read_text() == text
