"""The lines of a crontab."""

import shlex

from bakebook.lifecycle.schedule.plan import Plan, program


def lines(plan: Plan) -> list[str]:
    """What to add to a crontab, below a comment that says so."""
    found = [
        f"# {plan.name}: add these lines at the end of crontab -e; a cron that does not know"
        " CRON_TZ takes its times for the machine's",
        "CRON_TZ=UTC",
    ]
    for entry in plan.entries:
        command = shlex.join(program(entry, push=plan.push))
        line = f"cd {shlex.quote(str(plan.root))} && {command}"
        escaped = line.replace("%", r"\%")  # else cron ends the line there
        found.append(f"{entry.cron} {escaped}")
    return found
