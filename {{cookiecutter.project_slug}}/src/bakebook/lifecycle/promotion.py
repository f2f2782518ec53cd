"""The pipeline's model becomes the champion, which the service answers with, if it may: `nb
promote`.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bakebook import artifacts, paths
from bakebook.contract.check import PROMOTE
from bakebook.contract.project import Project, load_package
from bakebook.database.locks import PROMOTION, alone
from bakebook.database.store import Store
from bakebook.errors import BadInput, CheckFailed, Unreachable
from bakebook.files import dvc_hash
from bakebook.lifecycle import audit
from bakebook.lifecycle.audit import Decision
from bakebook.lifecycle.candidate import BESIDE_MODEL, TRAINING, Candidate, Known, commit, current
from bakebook.lifecycle.comparison import Comparison, compare
from bakebook.models.task import Task
from bakebook.paths import MODEL, TEST
from bakebook.runner import processes
from bakebook.serving.deployments import Refused, verified
from bakebook.tracking.log import MODEL_TAG
from bakebook.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    IDENTITY_TAG,
    MODEL_FOLDER,
    PREVIOUS,
    ROLLED_BACK_TAG,
    SHA256_TAG,
    SHORT,
    VERIFIED_TAG,
    Registered,
    Registry,
)
from bakebook.tracking.store import Store as TrackingStore

MARGIN = 0.02  # where params.yaml has none
DETAILED = ("commit", "data_md5", "feedback_md5", "training_run")  # tags that the audit repeats


def promote(project: Project, store: Store, why: str, *, compared: bool = True) -> list[str]:
    """Registers the pipeline's model and gives it the alias champion; lines for the user.

    Raises CheckFailed when its criteria are not met or it may be worse than the champion, Busy
    while another promotion runs, Unreachable when database or registry do not answer. Whatever
    interrupts it, the champion is a whole version, and the next call completes what is missing.
    """
    tracking = TrackingStore(project.root)
    audit.prepare(store)
    with alone(store, PROMOTION), processes.alone(project.root, "promote"), _marked(project.root):
        tracking.reach()
        candidate = current(project)
        registry = Registry(tracking, "promote")
        champion = _settled(registry, store)
        decision = Decision(
            "promote", "done", candidate.sha256[:SHORT], champion.short if champion else "", why
        )
        try:
            comparison = _admitted(project, registry, candidate, champion, compared)
            version = _registered(project, registry, candidate, why)
        except (CheckFailed, BadInput) as error:
            refusal = {audit.REFUSED: error.what}
            audit.record(store, replace(decision, outcome="refused", details=refusal))
            raise
        if champion and version.number == champion.number:
            return [f"model {version.short} is the champion already (version {version.number})"]
        _crown(registry, version, champion)
        details = _details(version, comparison)
        audit.record(store, replace(decision, details=details))
        return [*([str(comparison)] if comparison else []), _done(registry, version, champion)]


@contextmanager
def _marked(root: Path) -> Iterator[None]:
    """Leaves a file behind when the process is killed, by which nb doctor knows it."""
    mark = root / paths.PROMOTION
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(str(os.getpid()), encoding="utf-8")
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def _admitted(
    project: Project,
    registry: Registry,
    candidate: Candidate,
    champion: Registered | None,
    compared: bool,
) -> Comparison | None:
    """The comparison with the champion, if there is one. Raises CheckFailed when the model must not
    serve.
    """
    success = candidate.metrics.success
    if not (success.criteria and success.passed):
        raise CheckFailed(f"the model is not promoted: {_unmet(candidate)}", "train a better one")
    for version in registry.verified(candidate.identity):
        if reason := version.tags.get(ROLLED_BACK_TAG):
            remedy = f"nb rollback {version.short} takes it back, or train another"
            raise CheckFailed(f"the model is not promoted: {reason}", remedy)
    if not champion or not compared or champion.identity == candidate.identity:
        return None
    with tempfile.TemporaryDirectory() as folder:
        for place in (MODEL_FOLDER, TRAINING):
            registry.download(champion, place, Path(folder))
        comparison = _compared(project, candidate, Known.load(Path(folder)))
    if comparison.is_worse:
        what = f"the model is not promoted, it may be worse: {comparison}"
        raise CheckFailed(what, "train a better one, or raise promote.margin knowingly")
    return comparison


def _compared(project: Project, candidate: Candidate, champion: Known) -> Comparison:
    """By the score of the first success criterion, with the project's own scores."""
    scores = load_package(project.root, "evaluation.scores")
    task: Task = scores.task_of(candidate.schema.task)
    name = next(iter(candidate.metrics.success.criteria))
    test = artifacts.read_table(TEST)
    margin = (project.params.get(PROMOTE) or {}).get("margin", MARGIN)
    return compare(candidate.known(), champion, test, name, task.scores[name], float(margin))


def _unmet(candidate: Candidate) -> str:
    """The first criterion that does not hold."""
    for name, one in candidate.metrics.success.criteria.items():
        if one.verdict != "met":
            score = "unknown" if one.score is None else f"{one.score:.3f}"
            return f"{name} is {score}, {one.bound} {one.threshold:g} is {one.verdict}"
    return "it has no success criteria (evaluate.criteria)"


def _registered(project: Project, registry: Registry, candidate: Candidate, why: str) -> Registered:
    """A version whose files are verified: one that is there already, or a new one."""
    for version in registry.verified(candidate.identity):
        if _is_whole(registry, version):
            return version
        registry.untag(version, VERIFIED_TAG)
    training = registry.training_of(MODEL_TAG, dvc_hash(MODEL))
    given = {
        SHA256_TAG: candidate.sha256,
        IDENTITY_TAG: candidate.identity,
        **candidate.data,
        "training_run": training,
        "promoted_by": audit.user(),
        "why": why,
        **commit(project.root),
    }
    tags = {name: value for name, value in given.items() if value}
    with candidate.files() as files:
        version = registry.register(files, tags, training)
    with tempfile.TemporaryDirectory() as folder:
        try:
            found_sha256 = verified(registry.download(version, MODEL_FOLDER, Path(folder)))
        except Refused as error:
            raise CheckFailed(f"the model is not promoted: {error.reason}", error.remedy) from None
    if found_sha256 != candidate.sha256:
        raise Unreachable("MLflow returned another model than it was given", "nb promote")
    registry.tag(version, VERIFIED_TAG, datetime.now(UTC).isoformat(timespec="seconds"))
    return version


def _is_whole(registry: Registry, version: Registered) -> bool:
    """Whether MLflow still has the files of a verified version, also those that only nb monitor
    and a later comparison read.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = registry.download(version, MODEL_FOLDER, Path(folder))
            for place in BESIDE_MODEL:
                registry.download(version, place, Path(folder))
            return verified(files) == version.sha256
        except (BadInput, Refused):
            return False


def _crown(registry: Registry, version: Registered, champion: Registered | None) -> None:
    """Moves the aliases, the champion's last."""
    registry.move(CHALLENGER, version)
    if champion and champion.identity != version.identity:  # else its files are gone
        registry.move(PREVIOUS, champion)
    registry.move(CHAMPION, version)
    registry.remove(CHALLENGER)


def _settled(registry: Registry, store: Store) -> Registered | None:
    """The champion, after what an interrupted promotion left is removed or completed."""
    registry.clear_up()
    champion = registry.find(CHAMPION)
    if registry.find(CHALLENGER):
        registry.remove(CHALLENGER)
    if champion and champion.sha256 and audit.last_choice(store) != champion.short:
        previous = registry.find(PREVIOUS)
        replaced = previous.short if previous else ""
        details = {**_details(champion, None), "recorded": "by a later promotion"}
        why = champion.tags.get("why", "")
        audit.record(store, Decision("promote", "done", champion.short, replaced, why, details))
    return champion


def _details(version: Registered, comparison: Comparison | None) -> dict[str, Any]:
    found = {name: version.tags.get(name, "") for name in DETAILED}
    compared = {"comparison": comparison.as_details()} if comparison else {}
    return {"version": version.number, **found, **compared}


def _done(registry: Registry, version: Registered, champion: Registered | None) -> str:
    instead = f" instead of {champion.short}" if champion else ""
    return (
        f"model {version.short} is the champion{instead} (version {version.number} of"
        f" {registry.name}); services that follow it take it over"
    )
