"""Back to an earlier model, with an entry in the audit."""

from bakebook.database.store import Store
from bakebook.errors import NoSpace, Unreachable
from bakebook.lifecycle.audit import Decision, record
from bakebook.serving.deployments import Deployments


def roll_back(deployments: Deployments, store: Store, version: str, why: str) -> list[str]:
    """Lets an earlier model answer again and returns lines for the user. A database that is away
    does not keep it from that: the line says that the audit lacks it.
    """
    refused, serving = deployments.roll_back(version)
    lines = [f"model {serving} serves again; {refused} is refused from now on"]
    try:
        record(store, Decision("rollback", "done", serving, refused, why))
    except (Unreachable, NoSpace) as error:
        lines.append(f"The audit does not have it: {error.what}")
    return lines
