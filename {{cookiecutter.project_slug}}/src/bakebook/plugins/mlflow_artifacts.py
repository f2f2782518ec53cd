"""Where MLflow keeps a run's files when its store is the project's own: `project:mlartifacts`, a
path below the folder of `mlflow.db`, so that a project can be copied or moved with its runs.

MLflow imports it wherever it is imported itself, also in the fork server, which has nothing of
`src`: it is installed outside, and imports nothing of the library.
"""

import os
from pathlib import Path
from urllib.parse import unquote

import mlflow
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

SQLITE = "sqlite:///"
# MLflow's server gives its store to no repository. Private, so a test opens a file from a server
# that was started in another folder.
SERVER_STORE = "_MLFLOW_SERVER_FILE_STORE"


class ProjectArtifactRepository(LocalArtifactRepository):
    """MLflow's local folder of artifacts, found from the store's file."""

    def __init__(
        self,
        artifact_uri: str,
        tracking_uri: str | None = None,
        registry_uri: str | None = None,
    ) -> None:
        path = unquote(artifact_uri.partition(":")[2])
        place = _folder(tracking_uri) / path
        super().__init__(place.as_uri(), tracking_uri, registry_uri)


def _folder(tracking_uri: str | None) -> Path:
    """The folder of the store's file; the current one where the store is not a file."""
    for uri in (tracking_uri, os.environ.get(SERVER_STORE), mlflow.get_tracking_uri()):
        if uri and uri.startswith(SQLITE):
            return Path(uri.removeprefix(SQLITE)).absolute().parent
    return Path.cwd()
