"""The command `nb`, installed outside `src`, so that a project without the library says what is
missing.
"""

import sys


def main() -> None:
    """Runs the library's commands, or ends with one sentence when the library is not there."""
    try:
        from bakebook.cli.main import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "bakebook":
            raise
        sys.exit(
            "error: the project has no complete folder src/bakebook → git checkout src/bakebook"
        )
    run()
