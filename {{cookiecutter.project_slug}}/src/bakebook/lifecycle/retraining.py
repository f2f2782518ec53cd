"""`nb retrain`: when the score has fallen, does what a person would do: takes the labels into a new
version of the data, runs the pipeline, and promotes the model if it is good enough.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from bakebook import artifacts
from bakebook.contract.check import RETRAIN
from bakebook.contract.project import Project
from bakebook.contracts import Signature
from bakebook.database.locks import RETRAINING, alone
from bakebook.database.store import Store
from bakebook.datasets import export
from bakebook.errors import BadInput, CheckFailed, Failure, Interrupted, Unreachable, first_line
from bakebook.files import read_pyproject
from bakebook.git import git
from bakebook.lifecycle import audit
from bakebook.lifecycle.audit import Decision
from bakebook.lifecycle.clone import DVC, Clone, cloned, has_default_remote, of_project
from bakebook.lifecycle.monitoring import look
from bakebook.lifecycle.trust import RULES, Trusted, trusted
from bakebook.monitoring.report import alarm, verdict
from bakebook.monitoring.results import Monitoring
from bakebook.params import Rule
from bakebook.paths import CHAMPION, RETRAINING as FOLDER, ROOT, SIGNATURE
from bakebook.runner import clones
from bakebook.runner.processes import stoppable
from bakebook.serving.sources import follows_champion
from bakebook.settings import Settings
from bakebook.tracking.registry import SHORT

# Where params.yaml has none
DEFAULTS = {"min_labels": 50, "cooldown": 1, "on_drift": False, "rules": list(RULES)}
DRIFT = "outputs or inputs are distributed differently than in the training"
BRANCH = "retrain"  # the begin of a branch's name, and where commits are that are on no branch
ORIGIN = "origin"
HIDDEN = "refs/bakebook/retrain"
OF_FILES = (Failure, BadInput, CheckFailed)  # whose remedies are about files of the clone
BY_HAND = "the same by hand: nb db export, nb data feedback, dvc repro"
WINDOW = "window"  # the detail that says when the last window began


@dataclass(frozen=True)
class Wish:
    """What a person asked for: to be told only, a commit on a branch, a branch that is pushed."""

    is_dry: bool = False
    commit: bool = False
    push: bool = False


@dataclass(frozen=True)
class Lesson:
    """What a model that replaces the champion shall learn, and why. `window` is when the last
    window began.
    """

    reason: str
    champion: str
    signature: Signature
    labels: Trusted
    window: datetime

    def decision(self, outcome: Literal["started", "done", "refused", "failed"]) -> Decision:
        details = {
            "labels": len(self.labels.rows),
            "left_out": self.labels.left_out,
            WINDOW: self.window.isoformat(),
        }
        reason = f"{self.reason}; {self.labels}"
        return Decision("retrain", outcome, self.champion, "", reason, details)


def retrain(project: Project, store: Store, settings: Settings, wish: Wish) -> list[str]:
    """Lines for the user; also where there is no reason to retrain, or it is too early.

    Raises CheckFailed when the new model is not promoted, Busy while another retraining runs, and
    as `look` does. The person's files stay as they are, however it ends.
    """
    audit.prepare(store)
    if wish.push:
        _require_remotes(project)
    with stoppable(), alone(store, RETRAINING):
        clones.remove(project.root, project.root / FOLDER)
        found = look(project, store, settings, is_told=not wish.is_dry)
        rules = DEFAULTS | (project.params.get(RETRAIN) or {})
        reason = _reason(found, on_drift=rules["on_drift"])
        if not reason:
            return [verdict(found), "nothing to do"]
        if not follows_champion(settings):
            name = read_pyproject(project.root, "project", "name")
            what = "with an MLflow server, NB_MODEL must name the model that a new one replaces"
            raise BadInput(what, f"NB_MODEL=models:/{name}@champion nb retrain")
        lesson = _lesson(project, store, found, reason, rules["rules"])
        if hindrance := _hindrance(store, found, lesson, rules):
            return [f"{reason}, but it is too early to retrain: {hindrance}"]
        if wish.is_dry:
            return [f"{reason}: nb retrain would learn from {lesson.labels}"]
        return _retrain(project, store, settings, wish, lesson)


def _require_remotes(project: Project) -> None:
    """Raises BadInput where a branch, or its data, cannot be pushed."""
    if not git(project.root, "remote", "get-url", ORIGIN):
        raise BadInput("there is no git remote to push to", f"git remote add {ORIGIN} URL")
    if not has_default_remote(project.root):
        what = "there is no DVC remote to push labels to"
        raise BadInput(what, "dvc remote add --default NAME URL, or leave out --push")


def _reason(found: Monitoring, *, on_drift: bool) -> str:
    """Why to retrain; empty where nothing speaks for it."""
    if found.alarms:
        return alarm(found)
    drift = found.drift
    changes = [*drift.outputs, *([drift.together] if drift.together else [])]
    return DRIFT if on_drift and any(one.is_changed for one in changes) else ""


def _lesson(
    project: Project, store: Store, found: Monitoring, reason: str, rules: Sequence[Rule]
) -> Lesson:
    """Raises BadInput where no champion answers, whose files `look` has fetched."""
    path = CHAMPION / SIGNATURE.relative_to(ROOT)
    if not path.is_file():
        raise BadInput("there is no champion that a new model could replace", "nb promote")
    signature = artifacts.read(Signature, path)
    rows = [row for row in store.labelled() if export.belongs(row, signature)]
    starts = [window.start for window in found.windows]
    labels = trusted(rows, signature, project.whole_numbers, starts, rules)
    return Lesson(reason, found.model, signature, labels, starts[-1])


def _hindrance(store: Store, found: Monitoring, lesson: Lesson, rules: Mapping[str, Any]) -> str:
    """Why not to retrain now; empty where nothing speaks against it."""
    begun = _begun(store, found)
    if begun is not None and begun < rules["cooldown"]:
        return f"{begun} of {rules['cooldown']} windows have begun since the last retraining"
    new = sum(row["model_version"] == lesson.champion for row in lesson.labels.rows)
    if new < (needed := rules["min_labels"]):
        return f"{new} of the champion's answers have a label that teaches, of {needed} needed"
    return ""


def _begun(store: Store, found: Monitoring) -> int | None:
    """How many windows have begun since that of the last retraining that came to an end; None
    without one.
    """
    for row in store.list_decisions(audit.MOST_SEARCHED):
        if row["action"] == "retrain" and row["outcome"] in ("done", "refused"):
            last = datetime.fromisoformat(row["details"][WINDOW])
            return sum(window.start > last for window in found.windows)
    return None


def _retrain(
    project: Project, store: Store, settings: Settings, wish: Wish, lesson: Lesson
) -> list[str]:
    """Each step is a row of the audit."""
    audit.record(store, lesson.decision("started"))
    try:
        with cloned(project.root, FOLDER, of_project(project.root, settings)) as clone:
            version = _learn(clone, lesson)
            name = f"{BRANCH}-{version}" if wish.commit else f"{HIDDEN}/{version}"
            commit = clone.commit(f"Retrain: {lesson.reason}\n\n{lesson.labels}\n")
            lines = _promote(clone, lesson, name)
            done = replace(lesson.decision("done"), model_version=version, replaced=lesson.champion)
            audit.record(store, replace(done, details={**done.details, "commit": commit}))
            if wish.push:
                _push(clone, name)
    except (Failure, Interrupted, OSError) as error:
        if isinstance(error, Interrupted):
            error.remedy = "nb retrain begins again"
        decision = lesson.decision("refused" if isinstance(error, CheckFailed) else "failed")
        reason = first_line(error) if isinstance(error, OSError) else error.what
        details = {**decision.details, audit.REFUSED: reason}
        audit.record(store, replace(decision, details=details))
        raise
    return [*lines, f"what it learnt from is commit {commit[:SHORT]}, {name}"]


def _learn(clone: Clone, lesson: Lesson) -> str:
    """The version of a new model, which has learnt from the labels too."""
    file = clone.origin / FOLDER / "labels.parquet"
    export.write(lesson.labels.rows, lesson.signature, file)
    _say(f"{lesson.reason}: learning from {lesson.labels}")
    try:
        clone.run("nb", "data", "feedback", str(file))
        _say("running the pipeline")
        clone.run(*DVC, "repro")
    except Failure as error:
        if type(error) not in OF_FILES:
            raise
        raise type(error)(error.what, BY_HAND) from None
    signature = clone.root / SIGNATURE.relative_to(ROOT)
    return artifacts.read(Signature, signature).model.sha256[:SHORT]


def _promote(clone: Clone, lesson: Lesson, name: str) -> list[str]:
    """The commit keeps its name only if its model is promoted. What cannot be compared is refused
    too: to learn the same once more would help as little.
    """
    _say("comparing the new model with the champion")
    clone.name_commit(name)
    try:
        return clone.run("nb", "promote", "--why", f"retrained: {lesson.reason}").splitlines()
    except Failure as error:
        clone.forget(name)
        if isinstance(error, BadInput):
            raise CheckFailed(error.what, error.remedy) from None
        raise


def _push(clone: Clone, branch: str) -> None:
    """Data first, so that who fetches the branch finds them."""
    try:
        clone.run(*DVC, "push", "--quiet")
        clone.run("git", "-C", str(clone.origin), "push", "--quiet", ORIGIN, branch)
    except Failure as error:
        what = f"the new model is promoted, but {branch} was not pushed ({error.what})"
        remedy = f"git switch {branch}, dvc push, git push origin {branch}"
        raise Unreachable(what, remedy) from None


def _say(text: str) -> None:
    print(f"retrain: {text}", file=sys.stderr, flush=True)
