"""Back to an earlier model, in the service and in MLflow's registry, with an entry in the audit."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bakebook.database.locks import PROMOTION, alone
from bakebook.database.store import Store
from bakebook.errors import BadInput, Failure, NoSpace, Unreachable
from bakebook.lifecycle.audit import Decision, record
from bakebook.paths import ROOT
from bakebook.serving.deployments import Deployment, Deployments
from bakebook.serving.registries import NoChampion, of_version, source_name
from bakebook.serving.sources import champion_of, follows_champion
from bakebook.settings import Settings
from bakebook.tracking.registry import (
    CHAMPION,
    MODEL_FOLDER,
    PREVIOUS,
    ROLLED_BACK_TAG,
    Registered,
    Registry,
)
from bakebook.tracking.store import Store as TrackingStore


def roll_back(settings: Settings, store: Store, version: str, why: str) -> Iterator[str]:
    """Lets an earlier model answer again; lines for the user, each as soon as it is true.

    The service of this folder comes first, then MLflow's alias. A database or a registry that is
    away does not keep it from that: a line says what is missing. Without a version, it is the
    previous champion, or what served before; after a rollback that was interrupted, what that one
    chose. Raises BadInput when there is no earlier model.
    """
    deployments = Deployments(settings.state / "models")
    known = _Aliases.read(settings, deployments)
    chosen = version or _wanted(deployments, known)
    refused, chosen = _of_service(deployments, chosen, known)
    if refused:
        yield f"model {chosen} serves again; {refused} is refused from now on"
    if known.exist:
        try:
            before, now = _move_alias(deployments, store, chosen, why)
            refused, chosen = refused or before, now.short
            yield f"model {chosen} is the champion (version {now.number})"
        except Failure as error:
            if not refused:
                raise
            yield f"The alias champion has not moved: {error}"
    if refused in ("", chosen):
        yield f"model {chosen} serves already"
        return
    try:
        record(store, Decision("rollback", "done", chosen, refused, why))
    except (Unreachable, NoSpace) as error:
        yield f"The audit does not have it: {error.what}"


@dataclass(frozen=True)
class _Aliases:
    """The marks of the champion and of the previous one, as the service knows them, empty where
    there is none; and whether there is a registry to change.
    """

    champion: str = ""
    previous: str = ""
    exist: bool = False

    @classmethod
    def read(cls, settings: Settings, deployments: Deployments) -> "_Aliases":
        adopted = deployments.ledger().adopted
        has_followed = any(one.source.startswith("models:/") for one in adopted)
        if adopted and not (has_followed or follows_champion(settings)):
            return cls()
        try:
            champion = _mark(settings, CHAMPION)
            previous = _mark(settings, PREVIOUS)
        except Unreachable:  # which the move of the alias will say
            return cls(exist=True)
        return cls(champion, previous, bool(champion or previous))


def _mark(settings: Settings, alias: str) -> str:
    found = champion_of(settings, alias)
    try:
        found.mark()
    except NoChampion:
        return ""
    return found.version


def _wanted(deployments: Deployments, known: _Aliases) -> str:
    """The version to which a rollback without one leads, as far as the service of this folder has
    it: that of an interrupted rollback, or the previous champion.
    """
    ledger = deployments.ledger()
    may_serve = [one for one in ledger.adopted if one.sha256 not in ledger.refused]
    refused = [one for one in ledger.adopted if one.sha256 in ledger.refused]
    if may_serve and any(_is_at(one, known.champion) for one in refused):
        return may_serve[-1].version
    previous = [one.version for one in may_serve if _is_at(one, known.previous)]
    return previous[-1] if previous else ""


def _is_at(deployment: Deployment, version: str) -> bool:
    """Whether it came from this version of the registered model."""
    return bool(version) and deployment.mark.endswith(version)


def _of_service(deployments: Deployments, version: str, known: _Aliases) -> tuple[str, str]:
    """The versions of the model that the service of this folder refuses from now on, and of the one
    that answers. The first is empty where it answers already, and where only the registry has it.
    """
    is_only_registered = bool(known.previous and not version)
    if is_only_registered or (known.exist and not deployments.ledger().adopted):
        return "", version
    try:
        return deployments.roll_back(version)
    except BadInput:
        if not known.exist:
            raise
    return "", version


def _move_alias(
    deployments: Deployments, store: Store, version: str, why: str
) -> tuple[str, Registered]:
    """The short version of the champion before, and the champion now: the version of the model that
    begins so, else the previous one. A service of this folder that does not have it gets it.
    """
    if find_spec("mlflow") is None:
        raise BadInput("MLflow is not installed here", f"nb rollback {version} where it is")
    with alone(store, PROMOTION):
        tracking = TrackingStore(ROOT)
        tracking.reach()
        registry = Registry(tracking, "rollback")
        champion, previous = registry.find(CHAMPION), registry.find(PREVIOUS)
        chosen = _chosen(registry, deployments, previous, version)
        if champion and chosen and chosen.number == champion.number:
            return champion.short, chosen
        reason = f"it was rolled back ({why})" if why else "it was rolled back"
        refused = deployments.ledger().refused
        # A mistyped version refuses nothing
        if champion and (chosen or champion.sha256 in refused):
            registry.tag(champion, ROLLED_BACK_TAG, reason)
        if not chosen:
            lacking = f"version of model {version}" if version else "previous champion"
            what = f"there is no earlier model: MLflow has no {lacking}"
            raise BadInput(what, "nb audit shows which there were; nb promote makes versions")
        _hand_over(registry, deployments, champion, chosen, reason)
        if ROLLED_BACK_TAG in chosen.tags:
            registry.untag(chosen, ROLLED_BACK_TAG)
        registry.move(CHAMPION, chosen)
        if previous:
            registry.remove(PREVIOUS)
    return champion.short if champion else "", chosen


def _chosen(
    registry: Registry, deployments: Deployments, previous: Registered | None, version: str
) -> Registered | None:
    """The version of the model that begins so, also one that a person registered and the service
    knows; without a version the previous one.
    """
    if not version:
        return previous
    marks = [one.mark for one in deployments.ledger().adopted if one.version.startswith(version)]
    for one in registry.versions():
        is_known = any(mark.endswith(of_version(one.number, one.run_id)) for mark in marks)
        if one.sha256.startswith(version) if one.sha256 else is_known:
            return one
    return None


def _hand_over(
    registry: Registry,
    deployments: Deployments,
    champion: Registered | None,
    chosen: Registered,
    reason: str,
) -> None:
    """Lets the service of this folder, if there is one, answer with the chosen model."""
    adopted = deployments.ledger().adopted
    if not adopted or chosen.sha256 in ["", *(one.sha256 for one in adopted)]:
        return
    source = source_name(registry.name, CHAMPION)
    with tempfile.TemporaryDirectory() as folder:
        files = registry.download(chosen, MODEL_FOLDER, Path(folder))
        mark = f"{source} {of_version(chosen.number, chosen.run_id)}"
        deployments.adopt(files, mark, source)
    if champion and champion.sha256:
        deployments.refuse(champion.sha256, reason)
