"""Jupyter's server extension: a saved notebook is written in its canonical form, so that no stage goes stale."""

from pathlib import Path
from typing import Any

from ..paths import project_root
from . import notebooks


def keep_canonical(model: dict[str, Any], path: str, contents_manager: Any, **ignored: Any) -> None:
    """Jupyter's pre-save hook: takes outputs, counts and traces of a run out of a notebook of the project."""
    place = Path(contents_manager.root_dir) / path.strip("/")
    ours = project_root(place.parent) / "notebooks"
    if model["type"] == "notebook" and ours in place.parents:
        model["content"].update(notebooks.canonical(model["content"]))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(keep_canonical)
