"""The project as it stands on disk: parameters, stages and notebooks, read once, with the lines they stand on."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from ..errors import BadInput
from ..paths import PACKAGE
from . import notebooks

LARGEST = 1024 * 1024  # a table of thousands of columns has a line for each
LISTS = ("deps", "params", "outs", "metrics", "plots")
REFERENCE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Project:
    """`params` and `stages` are ruamel's round-trip mappings: their `.lc` tells the line of each key."""

    root: Path
    params: Any
    pipeline: Any
    notebooks: dict[str, notebooks.Notebook]

    @property
    def package(self) -> Path:
        return self.root / "src" / PACKAGE.name

    @property
    def stages(self) -> Any:
        return self.pipeline.get("stages") or {}

    def files(self, stage: str, *kinds: str) -> list[str]:
        """The paths of a stage's deps, outs, metrics or plots, with `${...}` filled in from params.yaml."""
        entries = [entry for kind in kinds for entry in self.stages[stage].get(kind) or []]
        return [_tidy(self.filled(next(iter(entry)) if isinstance(entry, dict) else str(entry))) for entry in entries]

    def made(self, stage: str) -> list[str]:
        """The paths that the stage leaves: its outs, metrics and plots."""
        return self.files(stage, "outs", "metrics", "plots")

    def filled(self, text: str) -> str:
        return REFERENCE.sub(lambda match: str(self._value(match[1])), text)

    def upstream(self, stage: str) -> list[str]:
        """The stages whose outputs `stage` needs, directly or not, in the order in which they run."""
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
        return (name for name, stage in self.stages.items() if str(stage.get("cmd", "")).startswith("nb run"))

    def _value(self, dotted: str) -> Any:
        value = self.params
        for part in dotted.split("."):
            if not isinstance(value, dict) or part not in value:
                raise BadInput(f"dvc.yaml uses ${{{dotted}}}, which params.yaml does not have → add it to params.yaml")
            value = value[part]
        return value


def _tidy(path: str) -> str:
    """The path as DVC knows it: `reports/plots` for `./reports/plots/`; an address stays as it is."""
    return path if "://" in path else Path(os.path.normpath(path)).as_posix()


def load(root: Path) -> Project:
    """Reads params.yaml, dvc.yaml and all notebooks. Raises BadInput on the first that cannot be read."""
    paths = sorted((root / "notebooks").glob("*.ipynb"))
    pipeline = _mapping(root / "dvc.yaml")
    _check_shape(pipeline)
    return Project(root, _mapping(root / "params.yaml"), pipeline, {path.stem: notebooks.read(path) for path in paths})


def writer() -> YAML:
    """YAML as the project writes it; comments and order are kept."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    yaml.preserve_quotes = True
    return yaml


def _mapping(path: Path) -> Any:
    if not path.is_file():
        raise BadInput(f"{path.name} is missing → git checkout {path.name}")
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{path.name} is larger than {LARGEST // 1024} kB → move data out of it")
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_aliases(path, text)
        content = writer().load(text)
    except UnicodeDecodeError:
        raise BadInput(f"{path.name} is not UTF-8 → save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read ({error.strerror}) → mend its permissions") from None
    except YAMLError as error:
        raise BadInput(_explain(path, error)) from None
    if not isinstance(content, dict):
        raise BadInput(f"{path.name} holds no sections → git checkout {path.name}")
    return content


def _check_shape(pipeline: Any) -> None:
    """The little of DVC's own schema that this package relies on."""
    stages: Any = pipeline.get("stages") or {}
    if not hasattr(stages, "items"):
        raise BadInput("dvc.yaml: 'stages' holds no stages → git checkout dvc.yaml")
    for name, stage in stages.items():
        line = stages.lc.key(name)[0] + 1
        if not isinstance(stage, dict):
            raise BadInput(f"dvc.yaml:{line}: stage '{name}' is empty → give it a cmd, or remove it")
        for kind in LISTS:
            if stage.get(kind) is not None and not isinstance(stage[kind], list):
                raise BadInput(f"dvc.yaml:{line}: '{kind}' of stage '{name}' is no list → write '- ' before each")


def _refuse_aliases(path: Path, text: str) -> None:
    """A few lines of aliases can hold gigabytes, and a value that stands elsewhere is not written once."""
    for event in YAML().parse(text) if "*" in text else ():
        if isinstance(event, AliasEvent):
            line = event.start_mark.line + 1
            raise BadInput(f"{path.name}:{line}: the alias *{event.anchor} is not allowed → write the value out")


def _explain(path: Path, error: YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{path.name}:{mark.line + 1}" if mark else path.name
    problem = str(getattr(error, "problem", None) or error).split("\n")[0]
    duplicate = re.match(r"found duplicate key \"?(.+?)\"? with", problem)
    what = f"the key '{duplicate[1]}' stands twice" if duplicate else f"no valid YAML ({problem})"
    return f"{where}: {what} → {'keep one of them' if duplicate else 'mend this line or the one before'}"
