"""The project as it stands on disk: parameters, stages and notebooks, read once, with the lines
they stand on.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from bakebook.contract import notebooks, yaml_files
from bakebook.contract.sources import Sources
from bakebook.errors import BadInput, first_line
from bakebook.files import read_pyproject
from bakebook.params import line_of, problem_of, read as read_values
from bakebook.paths import STATE

LARGEST_YAML = 1024 * 1024  # bytes; a table of thousands of columns has a line for each
# Notebooks that a command runs, and no stage: what they write
COMMANDS = {"monitor": ("reports/monitor.json", "reports/monitor.html")}
LISTS = ("deps", "params", "outs", "metrics", "plots")
REFERENCE = re.compile(r"\$\{([^}]+)\}")
MAY_BE_ALIAS = re.compile(r"(?:^|[\s,\[{:?-])\*[^\s,\[\]{}]", re.MULTILINE)


@dataclass(frozen=True)
class Project:
    """`params` and `pipeline` are ruamel's round-trip mappings: their `.lc` has the line of each
    key.
    """

    root: Path
    params: Any
    pipeline: Any
    notebooks: dict[str, notebooks.Notebook]

    @cached_property
    def package(self) -> str:
        """The name of the project's own package."""
        return package_name(self.root)

    @cached_property
    def sources(self) -> Sources:
        """The library and the project's own package."""
        return Sources(self.root / "src", self.root / STATE / "imports.json")

    @cached_property
    def values(self) -> dict[str, dict[str, Any]]:
        """The sections of params.yaml, as a notebook gets them."""
        return read_values(self.root / "params.yaml")

    @property
    def whole_numbers(self) -> list[str]:
        """The table's columns of whole numbers."""
        dtypes = self.section("ingest", "columns")["columns"]
        return [name for name, dtype in dtypes.items() if dtype == "integer"]

    @property
    def stages(self) -> Any:
        return self.pipeline.get("stages") or {}

    def section(self, name: str, *keys: str) -> Any:
        """A section of params.yaml. Raises BadInput when one of the keys has no value there."""
        values = self.params.get(name)
        for key in keys:
            if not isinstance(values, dict) or values.get(key) is None:
                raise BadInput(
                    f"params.yaml has no '{name}.{key}'", "add it; git diff params.yaml may show it"
                )
        return values

    def files(self, stage: str, *lists: str) -> list[str]:
        """The paths of a stage's deps, outs, metrics or plots, with `${...}` replaced from
        params.yaml; of a command, what it writes.
        """
        found = []
        known = self.stages.get(stage) or {"outs": [*COMMANDS[stage], executed(stage)]}
        for list_ in lists:
            for entry in known.get(list_) or []:
                path = next(iter(entry)) if isinstance(entry, dict) else str(entry)
                found.append(_normalised(self.filled(path)))
        return found

    def made(self, stage: str) -> list[str]:
        """The paths that the stage writes: its outs, metrics and plots."""
        return self.files(stage, "outs", "metrics", "plots")

    def filled(self, text: str) -> str:
        """The text with `${section.name}` replaced from params.yaml."""
        return REFERENCE.sub(lambda match: str(self._value(match[1])), text)

    def upstream(self, stage: str) -> list[str]:
        """The stages whose outputs `stage` needs, directly or not,
        in the order in which they run.
        """
        makers = {path: name for name in self.stages for path in self.made(name)}
        found: list[str] = []

        def visit(name: str) -> None:
            for path in self.files(name, "deps"):
                maker = makers.get(path)
                if maker and maker != name and maker not in found:
                    visit(maker)
                    found.append(maker)

        visit(stage)
        return list(dict.fromkeys(found))

    def notebook_stages(self) -> Iterator[str]:
        """The stages that `nb run` runs."""
        for name, stage in self.stages.items():
            if str(stage.get("cmd", "")).startswith("nb run"):
                yield name

    def _value(self, dotted: str) -> object:
        value = self.params
        for part in dotted.split("."):
            if not isinstance(value, dict) or part not in value:
                raise BadInput(
                    f"dvc.yaml uses ${{{dotted}}}, which params.yaml does not have",
                    "add it to params.yaml",
                )
            value = value[part]
        return value


def load(root: Path) -> Project:
    """Reads params.yaml, dvc.yaml and all notebooks. Raises BadInput on the first that cannot be
    read.
    """
    paths = sorted((root / "notebooks").glob("*.ipynb"))
    pipeline = _mapping(root / "dvc.yaml")
    _check_shape(pipeline)
    params = _mapping(root / "params.yaml")
    return Project(root, params, pipeline, {path.stem: notebooks.read(path) for path in paths})


def package_name(root: Path) -> str:
    """The name of the project's own package, from `[tool.bakebook]` of pyproject.toml."""
    return read_pyproject(root, "tool", "bakebook", "package")


def load_package(root: Path, module: str) -> ModuleType:
    """A module of the project's own package. Raises BadInput when it cannot be imported."""
    name = f"{package_name(root)}.{module}"
    try:
        return import_module(name)
    except Exception as error:  # whatever the owner's code raises
        remedy = "fix it, or restore it with git checkout"
        raise BadInput(f"{name} cannot be imported ({first_line(error)})", remedy) from None


def executed(name: str) -> str:
    """Where a stage writes its executed notebook."""
    return f"reports/notebooks/{name}.ipynb"


def write_params(project: Project) -> None:
    """Writes params.yaml, with an empty line before each section."""
    yaml_files.write(project.params, project.root / "params.yaml", spaced=True)


def write_pipeline(project: Project) -> None:
    """Writes dvc.yaml."""
    yaml_files.write(project.pipeline, project.root / "dvc.yaml")


def _normalised(path: str) -> str:
    """The path as DVC knows it: `reports/plots` for
    `./reports/plots/`; an address stays as it is.
    """
    return path if "://" in path else Path(os.path.normpath(path)).as_posix()


def _mapping(path: Path) -> object:
    name = path.name
    if not path.is_file():
        raise BadInput(f"{name} is missing", f"git checkout {name}")
    if path.stat().st_size > LARGEST_YAML:
        raise BadInput(f"{name} is larger than {LARGEST_YAML // 1024} kB", "move data out of it")
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_aliases(name, text)
        content = yaml_files.reader().load(text)
        YAML(typ="safe").load(text)  # as DVC does, with a parser that rejects `[a:b]`
    except UnicodeDecodeError:
        raise BadInput(f"{name} is not UTF-8", "save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{name} cannot be read ({error.strerror})", "fix its permissions") from None
    except YAMLError as error:
        raise _yaml_failure(name, error) from None
    if not isinstance(content, dict):
        raise BadInput(f"{name} holds no sections", f"git checkout {name}")
    return content


def _check_shape(pipeline: Any) -> None:
    """The little of DVC's own schema that this library relies on."""
    stages = pipeline.get("stages") or CommentedMap()
    if not isinstance(stages, CommentedMap):
        raise BadInput("dvc.yaml: 'stages' holds no stages", "git checkout dvc.yaml")
    for name, stage in stages.items():
        where = f"dvc.yaml:{stages.lc.key(name)[0] + 1}"
        if not isinstance(stage, dict):
            raise BadInput(f"{where}: stage '{name}' is empty", "give it a cmd, or remove it")
        for list_ in LISTS:
            if stage.get(list_) is not None and not isinstance(stage[list_], list):
                raise BadInput(
                    f"{where}: '{list_}' of stage '{name}' must be a list",
                    "start each entry with '- '",
                )


def _refuse_aliases(name: str, text: str) -> None:
    """A few lines of aliases can expand to gigabytes, and a parameter is written once."""
    if not MAY_BE_ALIAS.search(text):
        return
    for event in YAML().parse(text):
        if isinstance(event, AliasEvent):
            where = f"{name}:{event.start_mark.line + 1}"
            raise BadInput(
                f"{where}: the alias *{event.anchor} is not allowed", "write the value out"
            )


def _yaml_failure(name: str, error: YAMLError) -> BadInput:
    line = line_of(error)
    where = f"{name}:{line}" if line else name
    problem = problem_of(error)
    duplicate = re.match(r"found duplicate key \"?(.+?)\"? with", problem)
    if duplicate:
        return BadInput(f"{where}: the key '{duplicate[1]}' stands twice", "keep one of them")
    remedy = f"fix this line or the one before, or git restore {name}"
    return BadInput(f"{where}: no valid YAML ({problem})", remedy)
