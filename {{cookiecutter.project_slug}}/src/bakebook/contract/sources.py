"""Which source files a notebook or a module imports, directly or through others."""

import ast
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bakebook.contract import imports
from bakebook.files import write_text

Version = list[int]  # what changes with a file


class Sources:
    """The Python files below a folder.

    What each imports is remembered in the file `memory`, because parsing takes a sixth of the time
    of `nb check`.
    """

    def __init__(self, folder: Path, memory: Path | None = None) -> None:
        self.folder = folder
        self._memory = memory
        self._names = _recall(memory) if memory else {}  # by path: version, imported names
        self._has_news = False
        self._imported: dict[Path, set[Path]] = {}
        self._files: dict[str, set[Path]] = {}  # by dotted name

    def imported_by(self, statements: list[ast.stmt]) -> set[Path]:
        """The files that the statements import, transitively. Raises SyntaxError."""
        names = imports.imported_names(statements, self.folder, self.folder)
        return self._with_imports(self._files_of(names))

    def with_imports(self, file: Path) -> set[Path]:
        """A file and those that it imports, transitively. Raises SyntaxError."""
        return self._with_imports({file})

    def named(self, dotted: str) -> set[Path]:
        """The files that a dotted path names, such as package.networks.NetworkClassifier, and what
        they import. Raises SyntaxError.
        """
        return self._with_imports(self._files_of([dotted]))

    def has(self, first: str) -> bool:
        """Whether a top-level name is a package or module below the folder."""
        return bool(self._files_of([first])) or (self.folder / first).is_dir()

    def names_in(self, file: Path) -> list[str]:
        """What a file imports, as dotted names. Raises SyntaxError."""
        shown = file.relative_to(self.folder).as_posix()
        version = _version(file)
        remembered, names = self._names.get(shown, (None, []))
        if remembered != version:
            tree = ast.parse(file.read_bytes(), filename=f"src/{shown}")
            names = imports.imported_names(tree.body, file.parent, self.folder)
            self._names[shown] = (version, names)
            self._has_news = True
        return names

    def remember(self) -> None:
        """Writes what is new to `memory`; without its folder, which the first run makes, the next
        command parses again.
        """
        if self._memory and self._memory.parent.is_dir() and self._has_news:
            content = {"reader": _version(Path(imports.__file__)), "files": self._names}
            with suppress(OSError):
                write_text(json.dumps(content), self._memory)

    def _with_imports(self, start: Iterable[Path]) -> set[Path]:
        found: set[Path] = set()
        waiting = set(start)
        while waiting:
            file = waiting.pop()
            if file not in found:
                found.add(file)
                waiting |= self._imports_of(file)
        return found

    def _imports_of(self, file: Path) -> set[Path]:
        if file not in self._imported:
            self._imported[file] = self._files_of(self.names_in(file))
        return self._imported[file]

    def _files_of(self, names: Iterable[str]) -> set[Path]:
        """The files that importing the names executes: the `__init__.py` of each package on the
        way, and the modules.
        """
        return {file for name in names for file in self._files_on_the_way(name)}

    def _files_on_the_way(self, name: str) -> set[Path]:
        if not name:
            return set()
        if name not in self._files:
            place = self.folder.joinpath(*name.split("."))
            candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
            own = {file for file in candidates if file.is_file()}
            self._files[name] = own | self._files_on_the_way(name.rpartition(".")[0])
        return self._files[name]


def _recall(memory: Path) -> dict[str, tuple[Version, list[str]]]:
    """What was remembered by this very reader of imports."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        content = json.loads(memory.read_text(encoding="utf-8"))
        if content["reader"] == _version(Path(imports.__file__)):
            return {file: (version, names) for file, (version, names) in content["files"].items()}
    return {}


def _version(file: Path) -> Version:
    """Times and size; the second time cannot be set back by whoever writes the file."""
    status = file.stat()
    return [status.st_mtime_ns, status.st_ctime_ns, status.st_size]
