"""What a stage depends on by its code: its notebook, modules of the project one by one, rooms of
the library.
"""

from collections.abc import Iterator
from pathlib import Path

from bakebook.contract import notebooks
from bakebook.contract.project import Project
from bakebook.paths import LIBRARY


def derived(project: Project, stage: str) -> list[str]:
    """The deps that follow from the notebook and its parameters, as paths from the root. Raises
    SyntaxError.

    A parameter may name code too, such as `train: estimator: package.networks.NetworkClassifier`.
    """
    # DVC warns of empty files
    files = {file for file in source_files(project, stage) if file.stat().st_size}
    paths = {_dependency(file, project.sources.folder) for file in files}
    return [f"notebooks/{stage}.ipynb", *sorted(paths)]


def source_files(project: Project, stage: str) -> set[Path]:
    """The files below `src` that a stage imports or that its parameters name. Raises
    SyntaxError.
    """
    sources = project.sources
    used = sources.imported_by(notebooks.statements(project.notebooks[stage]))
    for value in dotted_values(project, stage):
        if value.startswith(f"{project.package}."):
            used |= sources.named(value)
    return used


def dotted_values(project: Project, stage: str) -> list[str]:
    """The parameters of a stage that may name code, such as sklearn.svm.SVC."""
    texts = _texts(project.params.get(stage))
    return [text for text in texts if "." in text and all(map(str.isidentifier, text.split(".")))]


def is_derived(project: Project, path: str) -> bool:
    """Whether a dependency is one that `derived` may list: code of
    the project or of the library.
    """
    return path.startswith((f"src/{project.package}/", f"src/{LIBRARY.name}/"))


def _dependency(file: Path, source: Path) -> str:
    """A module of the project or at the top of the library by itself, any other of the library by
    its room.
    """
    parts = file.relative_to(source).parts
    is_in_room = parts[0] == LIBRARY.name and len(parts) > 2
    return "/".join(("src", *parts[:2])) if is_in_room else "/".join(("src", *parts))


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from _texts(value)
    elif isinstance(values, list):
        for value in values:
            yield from _texts(value)
