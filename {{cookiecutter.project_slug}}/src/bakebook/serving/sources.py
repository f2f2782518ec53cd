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
    """Where the service takes its models from. `has_served` tells whether a model of that source
    has served.
    """
    if not follows_champion(settings):
        return PipelineFiles()
    return ChampionOrPipeline(champion_of(settings), has_served)


def follows_champion(settings: Settings) -> bool:
    """Whether the service answers with a champion as soon as there is one: that of a file, or of a
    server where NB_MODEL names the model.
    """
    return bool(settings.model) or _address(settings).startswith(SQLITE)


def champion_of(settings: Settings, alias: str = "") -> Champion:
    """The registered model that NB_MODEL names, else that of the project; with its alias, or with
    another.
    """
    address = _address(settings)
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
    return Champion(found["name"], alias or found["alias"], registry)


def _address(settings: Settings) -> str:
    return settings.tracking_uri or f"{SQLITE}mlflow.db"


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
