"""MLflow's registry of the project's models: their versions, and the aliases by which others find
them. A version has a run of its own with a copy of the model's files, so that nothing that happens
to the training changes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from bakebook.errors import BadInput
from bakebook.files import read_pyproject
from bakebook.tracking.log_model import log_model
from bakebook.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"  # which answers
CHALLENGER = "challenger"  # which is verified, and about to become the champion
PREVIOUS = "previous"  # which was the champion before
SHA256_TAG = "sha256"  # of the ONNX file
IDENTITY_TAG = "signature_md5"  # of all that is served
VERIFIED_TAG = "verified"  # the last tag of a version: its files came back as they were sent
ROLLED_BACK_TAG = "rolled_back"
MODEL_FOLDER = "models"
SHORT = 12  # letters of a sha256, as the service shows it


@dataclass(frozen=True)
class Registered:
    """A version of the registered model; its tags say what it is and where it came from."""

    number: str
    run_id: str
    tags: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Empty for one that a person registered."""
        return self.tags.get(SHA256_TAG, "")

    @property
    def identity(self) -> str:
        """The md5 of its signature; empty for one that a person registered."""
        return self.tags.get(IDENTITY_TAG, "")

    @property
    def short(self) -> str:
        return self.sha256[:SHORT] or f"version {self.number}"


class Registry:
    """The registered model that has the project's name. Each method raises Unreachable when the
    store does not answer.
    """

    def __init__(self, store: Store, what: str) -> None:
        """`what` is being done, for messages."""
        self.store = store
        self.what = what
        self.name = read_pyproject(store.root, "project", "name")

    def find(self, alias: str) -> Registered | None:
        """The version that has the alias."""
        if self.store.is_empty:
            return None
        with self._answering():
            model = self._model()
            number = model.aliases.get(alias) if model else None
            return (
                _as_registered(self._client.get_model_version(self.name, number))
                if number
                else None
            )

    def verified(self, identity: str = "") -> list[Registered]:
        """The versions whose files were verified, of this model or of all, the newest first."""
        found = [one for one in self.versions() if one.tags.get(VERIFIED_TAG)]
        return [one for one in found if not identity or one.identity == identity]

    def register(
        self, files: Mapping[str, Path], tags: Mapping[str, str], parent: str
    ) -> Registered:
        """A new version with these files, by their places in its run; `parent` is the run of the
        training.
        """
        sha256 = tags[SHA256_TAG]
        with self._answering():
            run_id = self._new_run(sha256, parent)
            status = "FAILED"
            try:
                log_model(self._client, run_id)
                for place, path in files.items():
                    self._log(run_id, path, PurePosixPath(place))
                status = "FINISHED"
            finally:
                with self.store.hurried(status == "FAILED"):
                    self._client.set_terminated(run_id, status)
            if not self._model():
                self._client.create_registered_model(self.name)
            version = self._client.create_model_version(
                self.name, f"runs:/{run_id}/model", run_id, tags=dict(tags)
            )
        return _as_registered(version)

    def download(self, version: Registered, place: str, folder: Path) -> Path:
        """A file or folder of the version's run. Raises BadInput when it is gone."""
        with self._answering():
            folder_of_place = PurePosixPath(place).parent.as_posix()
            beside = None if folder_of_place == "." else folder_of_place
            found = self._client.list_artifacts(version.run_id, beside)
            if place not in {one.path for one in found}:
                what = f"version {version.number} of {self.name} has no {place} in MLflow any more"
                raise BadInput(what, "nb promote --uncompared")
            return Path(self._client.download_artifacts(version.run_id, place, str(folder)))

    def tag(self, version: Registered, name: str, value: str) -> None:
        with self._answering():
            self._client.set_model_version_tag(self.name, version.number, name, value)

    def untag(self, version: Registered, name: str) -> None:
        with self._answering():
            self._client.delete_model_version_tag(self.name, version.number, name)

    def move(self, alias: str, version: Registered) -> None:
        """Gives the version the alias, which another may have had: one step for every reader."""
        with self._answering():
            self._client.set_registered_model_alias(self.name, alias, version.number)

    def remove(self, alias: str) -> None:
        with self._answering():
            self._client.delete_registered_model_alias(self.name, alias)

    def clear_up(self) -> None:
        """Removes what an interrupted promotion left: versions that it did not verify, and its open
        runs.
        """
        if self.store.is_empty:
            return
        for version in self.versions():
            if version.sha256 and not version.tags.get(VERIFIED_TAG):
                with self._answering():
                    self._client.delete_model_version(self.name, version.number)
        with self._answering():
            experiment = self.store.experiment_id()
            left = self._client.search_runs(
                [experiment], f"tags.{SHA256_TAG} != '' and attributes.status = 'RUNNING'"
            )
            for run in left:
                self._client.set_terminated(run.info.run_id, "KILLED")

    def training_of(self, tag: str, model_hash: str) -> str:
        """The newest run whose `tag` is this hash; empty when there is none."""
        with self._answering():
            found = self._client.search_runs(
                [self.store.experiment_id()],
                f"tags.{tag} = '{model_hash}'",
                max_results=1,
                order_by=["attributes.start_time DESC"],
            )
        return found[0].info.run_id if found else ""

    @cached_property
    def _client(self) -> "MlflowClient":
        return self.store.client

    def _answering(self) -> Any:
        return self.store.answering(self.what, f"nb {self.what}")

    def _model(self) -> Any:
        """The registered model; None before the first version."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def versions(self) -> list[Registered]:
        """All versions, the newest first."""
        if self.store.is_empty:
            return []
        found: list[Any] = []
        token = None
        with self._answering():
            while True:
                page = self._client.search_model_versions(f"name='{self.name}'", page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        return [_as_registered(one) for one in sorted(found, key=lambda one: -int(one.version))]

    def _new_run(self, sha256: str, parent: str) -> str:
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        tags = {SHA256_TAG: sha256} | ({MLFLOW_PARENT_RUN_ID: parent} if parent else {})
        name = f"promotion of {sha256[:SHORT]}"
        run = self._client.create_run(self.store.experiment_id(), run_name=name, tags=tags)
        return str(run.info.run_id)

    def _log(self, run_id: str, path: Path, place: PurePosixPath) -> None:
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), str(place))
        else:
            self._client.log_artifact(run_id, str(path), str(place.parent))


def _as_registered(version: Any) -> Registered:
    return Registered(str(version.version), str(version.run_id), dict(version.tags))
