"""Jupyter's server extension: saves a notebook in its canonical form, so that running it by hand
makes no stage stale.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from bakebook.contract import notebooks
from bakebook.errors import BadInput
from bakebook.paths import project_root
from bakebook.warm.protocol import COLD, SWITCH


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
    if sys.platform == "linux" and os.environ.get(SWITCH) != COLD:
        Thread(target=_import_ahead, args=(project_root(Path.cwd()),), daemon=True).start()


def _import_ahead(root: Path) -> None:
    """Starts the fork server, so that the first kernel need not wait for its libraries."""
    from bakebook.contract.project import load
    from bakebook.warm import client, needs

    with suppress(BadInput, SyntaxError, client.ColdStart):  # each kernel says what is wrong
        variables = client.own_variables(dict(os.environ))
        pipeline = needs.of_pipeline(load(root))
        client.begin(variables)
        client.plan(variables, pipeline)
