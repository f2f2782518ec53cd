"""What to schedule, and for whom: each scheduler is the texts of its files, and what a person does
with them.
"""

import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakebook.contract.schedule import Entry
from bakebook.files import read_pyproject
from bakebook.paths import LIBRARY

TEXTS = LIBRARY / "lifecycle" / "schedule" / "texts"
MARK = re.compile(r"<([a-z]+)>")
RETRAIN = "retrain"
PUSH = " --push"  # what a retraining learnt from


@dataclass(frozen=True)
class Plan:
    """The entries of params.yaml, and whether retrainings are pushed."""

    root: Path
    entries: Sequence[Entry]
    push: bool

    @property
    def name(self) -> str:
        return read_pyproject(self.root, "project", "name")

    @property
    def words(self) -> dict[str, str]:
        """What stands for names in a text that is one for all entries."""
        return {"project": self.name, "push": PUSH if self.push else ""}


@dataclass(frozen=True)
class Scheduler:
    """`files` gives texts by their paths, `steps` what is left to do."""

    files: Callable[[Plan], dict[Path, str]]
    steps: Callable[[Plan], list[str]]


def arguments(entry: Entry, *, push: bool) -> list[str]:
    """The arguments of `nb`."""
    return [entry.command, PUSH.strip()] if push and entry.command == RETRAIN else [entry.command]


def program(entry: Entry, *, push: bool) -> list[str]:
    """The command of an entry, with the path of this environment's `nb`."""
    folder = Path(sys.executable).parent
    nb = shutil.which("nb", path=str(folder)) or str(folder / "nb")
    return [nb, *arguments(entry, push=push)]


def filled(name: str, words: Mapping[str, str]) -> str:
    """A text of the folder `texts`, with what stands for <names>."""
    text = (TEXTS / name).read_text(encoding="utf-8")
    return MARK.sub(lambda mark: words[mark[1]], text)
