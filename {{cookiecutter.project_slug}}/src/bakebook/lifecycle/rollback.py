"""Back to an earlier model, in the service and in MLflow's registry, with an entry in the audit."""

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bakebook.database.locks import PROMOTION, alone
from bakebook.database.store import Store
from bakebook.errors import BadInput, Failure, NoSpace, Unreachable
from bakebook.lifecycle.audit import Decision, record
from bakebook.serving.deployments import Deployments, Ledger
from bakebook.serving.registries import mark_of, source_name
from bakebook.tracking.registry import (
    CHAMPION,
    MODEL_FOLDER,
    PREVIOUS,
    ROLLED_BACK_TAG,
    Registered,
    Registry,
)
from bakebook.tracking.store import Store as TrackingStore


def roll_back(
    root: Path, deployments: Deployments, store: Store, version: str, why: str
) -> Iterator[str]:
    """Lets an earlier model answer again; lines for the user, each as soon as it is true.

    The service of this folder comes first, then MLflow's alias. A database or a registry that is
    away does not keep it from that: a line says what is missing. Raises BadInput when there is no
    earlier model.
    """
    refused, chosen, has_registry = _of_service(deployments, TrackingStore(root), version)
    if refused:
        yield f"model {chosen} serves again; {refused} is refused from now on"
    if has_registry:
        try:
            before, now = _move_alias(root, deployments, store, chosen, why)
            refused, chosen = refused or before.short, now.short
            yield f"model {chosen} is the champion (version {now.number})"
        except Failure as error:
            if not refused:
                raise
            yield f"The alias champion has not moved: {error.what} → nb rollback {chosen}"
    if refused in ("", chosen):
        yield f"model {chosen} serves already"
        return
    try:
        record(store, Decision("rollback", "done", chosen, refused, why))
    except (Unreachable, NoSpace) as error:
        yield f"The audit does not have it: {error.what}"


def _of_service(
    deployments: Deployments, tracking: TrackingStore, version: str
) -> tuple[str, str, bool]:
    """The versions of the model that the service of this folder refuses from now on, and of the one
    that serves, and whether the alias must move too. Where only the registry knows an earlier one,
    the first is empty.
    """
    ledger = deployments.ledger()
    has_registry = _has_champion(ledger) or not (ledger.adopted or tracking.is_empty)
    try:
        return *deployments.roll_back(version), has_registry
    except BadInput:
        if not has_registry:
            raise
    return "", version, True


def _has_champion(ledger: Ledger) -> bool:
    """Whether the service takes its models from a registry."""
    return any(one.source.startswith("models:/") for one in ledger.adopted)


def _move_alias(
    root: Path, deployments: Deployments, store: Store, version: str, why: str
) -> tuple[Registered, Registered]:
    """The champion before and now: the verified version that begins so, else the previous one. A
    service of this folder that does not have it gets it.
    """
    if find_spec("mlflow") is None:
        raise BadInput("MLflow is not installed here")
    with alone(store, PROMOTION):
        tracking = TrackingStore(root)
        tracking.reach()
        registry = Registry(tracking)
        champion, previous = registry.find(CHAMPION), registry.find(PREVIOUS)
        known = registry.verified() if version else [previous] if previous else []
        found = [one for one in known if one.sha256.startswith(version)]
        if not champion or not found:
            lacking = f"version of model {version}" if version else "previous champion"
            what = f"there is no earlier model: MLflow has no {lacking}"
            raise BadInput(what, "nb audit shows which there were; nb promote makes versions")
        chosen = found[0]
        if chosen != champion:
            reason = f"it was rolled back ({why})" if why else "it was rolled back"
            _hand_over(registry, deployments, champion, chosen, reason)
            registry.tag(champion, ROLLED_BACK_TAG, reason)
            if ROLLED_BACK_TAG in chosen.tags:
                registry.untag(chosen, ROLLED_BACK_TAG)
            registry.move(CHAMPION, chosen)
            registry.remove(PREVIOUS)
    return champion, chosen


def _hand_over(
    registry: Registry,
    deployments: Deployments,
    champion: Registered,
    chosen: Registered,
    reason: str,
) -> None:
    """Lets the service of this folder, if there is one, answer with the chosen model."""
    adopted = deployments.ledger().adopted
    if not adopted or chosen.sha256 in [one.sha256 for one in adopted]:
        return
    source = source_name(registry.name, CHAMPION)
    with tempfile.TemporaryDirectory() as folder:
        files = registry.download(chosen, MODEL_FOLDER, Path(folder))
        deployments.adopt(files, mark_of(source, chosen.number, chosen.run_id), source)
    deployments.refuse(champion.sha256, reason)
