"""Where models come from: MLflow's registry, or before the first promotion the pipeline's files."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bakebook.errors import BadInput
from bakebook.files import read_pyproject
from bakebook.paths import MODEL_CARD, PLOTS, ROOT
from bakebook.serving.registries import (
    OPTIONAL,
    REQUIRED,
    Champion,
    NoChampion,
    Registry,
    RegistryFile,
    RegistryServer,
)
from bakebook.settings import Settings

REGISTERED_MODEL = re.compile(r"models:/(?P<name>[^@/]+)@(?P<alias>[\w.-]+)")
ALIAS = "champion"
PIPELINE = "the pipeline's files"
SQLITE = "sqlite:///"
SERVERS = ("http://", "https://")


class Source(Protocol):
    """Where the service looks for another model."""

    @property
    def name(self) -> str: ...

    def mark(self) -> str:
        """A text that differs for each model. Raises BadInput when there is none, Unreachable
        without an answer.
        """

    def fetch(self, folder: Path) -> None:
        """Copies model, signature, card, metrics and plots to a folder. Raises Refused without a
        model.
        """


def source_of(settings: Settings, has_served: Callable[[str], bool]) -> Source:
    """The champion that NB_MODEL names, else that of the project's own mlflow.db; the pipeline's
    files where the store is a server, and no model of it is named. `has_served` tells whether a
    model of that source has served.
    """
    address = settings.tracking_uri or f"{SQLITE}mlflow.db"
    if not settings.model and not address.startswith(SQLITE):
        return PipelineFiles()
    name = settings.model or f"models:/{read_pyproject(ROOT, 'project', 'name')}@{ALIAS}"
    found = REGISTERED_MODEL.fullmatch(name)
    if not found or not address.startswith((SQLITE, *SERVERS)):
        raise BadInput(
            f"NB_MODEL={name} needs the form models:/NAME@ALIAS, and MLFLOW_TRACKING_URI a server"
            " (http://…) or a file (sqlite:///…)",
            "set both, or neither to serve the champion of mlflow.db",
        )
    registry: Registry = RegistryServer(address)
    if address.startswith(SQLITE):
        registry = RegistryFile(ROOT / address.removeprefix(SQLITE))
    return ChampionOrPipeline(Champion(**found.groupdict(), registry=registry), has_served)


class ChampionOrPipeline:
    """The champion; as long as none has served, what the pipeline wrote."""

    def __init__(self, champion: Champion, has_served: Callable[[str], bool]) -> None:
        self._champion = champion
        self._has_served = has_served
        self._current: Source = champion

    @property
    def name(self) -> str:
        """Of what `mark` found."""
        return self._current.name

    def mark(self) -> str:
        """See Source."""
        self._current = self._champion
        try:
            return self._champion.mark()
        except NoChampion:
            if self._has_served(self._champion.name):
                raise
            self._current = PipelineFiles()
            return self._current.mark()

    def fetch(self, folder: Path) -> None:
        """See Source."""
        self._current.fetch(folder)


class PipelineFiles:
    """The model that the pipeline wrote in this project."""

    name = PIPELINE

    def mark(self) -> str:
        """Sizes and times of model, signature and card; the card, which names its model, is written
        last.
        """
        for path in REQUIRED:
            if not path.is_file():
                raise BadInput(f"there is no {path.name} to serve", "dvc repro, or dvc pull")
        found = [path.stat() for path in (*REQUIRED, MODEL_CARD) if path.is_file()]
        return " ".join(f"{one.st_size}-{one.st_mtime_ns}" for one in found)

    def fetch(self, folder: Path) -> None:
        for path in (*REQUIRED, *OPTIONAL):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        if PLOTS.is_dir():
            shutil.copytree(PLOTS, folder / PLOTS.name)
