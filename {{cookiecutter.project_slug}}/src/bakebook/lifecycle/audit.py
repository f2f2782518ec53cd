"""What was decided about models, by whom and why: kept in the database, shown by `nb audit`."""

import getpass
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

from bakebook.database.backup import upgrade
from bakebook.database.queries import Row
from bakebook.database.store import Store

LONGEST_NAME = 64  # characters
REFUSED = "refused"  # the detail that says why
MOST_SEARCHED = 1000  # decisions
CHOICES = ("promote", "rollback")  # which say what serves


@dataclass(frozen=True)
class Decision:
    """A decision about the model `model_version`, which serves instead of `replaced` if it was
    done.
    """

    action: Literal["promote", "rollback", "alarm", "alert", "retrain"]
    outcome: Literal["started", "done", "refused", "failed"]
    model_version: str
    replaced: str
    reason: str
    details: Mapping[str, object] = field(default_factory=dict)


def prepare(store: Store) -> None:
    """Makes sure that a decision can be kept. Raises Unreachable."""
    upgrade(store)


def record(store: Store, decision: Decision) -> None:
    """Keeps a decision of the person, or the program's account, that runs the command. Raises
    Unreachable.
    """
    prepare(store)
    now = datetime.now(UTC)
    store.add_decision({**asdict(decision), "decided_by": user(), "decided_at": now})


def listed(store: Store, limit: int) -> list[Row]:
    """The last decisions, the oldest first."""
    prepare(store)
    return store.list_decisions(limit)[::-1]


def last_choice(store: Store) -> str:
    """The model that the last decision chose; empty when none did."""
    for row in store.list_decisions(MOST_SEARCHED):
        if row["outcome"] == "done" and row["action"] in CHOICES:
            return str(row["model_version"])
    return ""


def find(store: Store, action: str, model_version: str, reason: str) -> Row | None:
    """The last decision of this kind about a model, since it was chosen to serve."""
    for row in store.list_decisions(MOST_SEARCHED):
        is_own = row["model_version"] == model_version
        if row["action"] in CHOICES and row["outcome"] == "done":
            return None
        if is_own and (row["action"], row["reason"]) == (action, reason):
            return row
    return None


def as_lines(rows: list[Row]) -> list[str]:
    """One line per decision: when, what, which model instead of which, who, why; of a refusal, why
    it was refused.
    """
    lines = []
    for row in rows:
        is_done = row["outcome"] == "done"
        models = row["model_version"]
        if row["replaced"] and is_done:
            models += f" instead of {row['replaced']}"
        what = row["action"] if is_done else f"{row['action']} {row['outcome']}"
        when = f"{row['decided_at']:%Y-%m-%d %H:%M:%S} UTC"
        reasons = [row["reason"], row["details"].get(REFUSED, "")]
        reason = "; ".join(filter(None, reasons))
        said = f": {reason}" if reason else ""
        lines.append(f"{when}  {what}  {models}  by {row['decided_by']}{said}")
    return lines or ["nothing was decided yet"]


def user() -> str:
    """Who runs the command, as far as the system knows."""
    try:
        return getpass.getuser()[:LONGEST_NAME]
    except (OSError, KeyError):  # a container's number without a name
        return "unknown"
