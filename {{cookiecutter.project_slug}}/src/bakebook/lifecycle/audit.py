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


@dataclass(frozen=True)
class Decision:
    """A decision about the model `model_version`, which serves instead of `replaced` if it was
    done.
    """

    action: Literal["rollback"]
    outcome: Literal["done", "refused"]
    model_version: str
    replaced: str
    reason: str
    details: Mapping[str, object] = field(default_factory=dict)


def record(store: Store, decision: Decision) -> None:
    """Keeps a decision of the person, or the program's account, that runs the command. Raises
    Unreachable.
    """
    upgrade(store)
    now = datetime.now(UTC)
    store.add_decision({**asdict(decision), "decided_by": _user(), "decided_at": now})


def listed(store: Store, limit: int) -> list[Row]:
    """The last decisions, the oldest first."""
    upgrade(store)
    return store.list_decisions(limit)[::-1]


def as_lines(rows: list[Row]) -> list[str]:
    """One line per decision: when, what, which model instead of which, who, why."""
    lines = []
    for row in rows:
        models = row["model_version"]
        if row["replaced"]:
            models += f" instead of {row['replaced']}"
        what = row["action"] if row["outcome"] == "done" else f"{row['action']} {row['outcome']}"
        when = f"{row['decided_at']:%Y-%m-%d %H:%M:%S} UTC"
        reason = f": {row['reason']}" if row["reason"] else ""
        lines.append(f"{when}  {what}  {models}  by {row['decided_by']}{reason}")
    return lines or ["nothing was decided yet"]


def _user() -> str:
    try:
        return getpass.getuser()[:LONGEST_NAME]
    except (OSError, KeyError):  # a container's number without a name
        return "unknown"
