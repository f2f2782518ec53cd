"""Jupyter's server extension: saves a notebook in its canonical form, so that running it by hand
makes no stage stale.
"""

from pathlib import Path
from typing import Any

from bakebook.contract import notebooks
from bakebook.paths import project_root


def keep_canonical(model: dict[str, Any], path: str, contents_manager: Any, **ignored: Any) -> None:
    """Jupyter's pre-save hook: removes outputs, counts and traces of a run from a notebook of the
    project.
    """
    place = Path(contents_manager.root_dir) / path.strip("/")
    folder = project_root(place.parent) / "notebooks"
    if model["type"] == "notebook" and folder in place.parents:
        model["content"].update(notebooks.canonical(model["content"]))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(keep_canonical)
