"""The command `nb`, installed outside `src`, so that a project without the library says what is
missing.
"""

import gc
import sys


def main() -> None:
    """Runs the library's commands, or ends with one sentence when the library is not there."""
    # Nearly all that a command makes is what it imports, and none of that is garbage
    gc.set_threshold(50_000)
    try:
        if sys.argv[1:2] != ["doctor"]:  # which says more about it
            _refuse_other_library()
        if sys.platform == "linux" and sys.argv[1:2] == ["run"]:
            from bakebook.warm.command import run_warm

            run_warm()
        from bakebook.cli.main import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "bakebook":
            raise
        sys.exit(
            "error: the project has no complete folder src/bakebook → git checkout src/bakebook"
        )
    run()


def _refuse_other_library() -> None:
    """Ends with one sentence when the environment of another folder would run its own code here."""
    from bakebook.paths import LIBRARY, ROOT

    own = ROOT / "src" / LIBRARY.name
    if own.is_dir() and own.resolve() != LIBRARY:
        environment = "this environment was copied, or belongs to another folder"
        sys.exit(f"error: {environment}: it runs {LIBRARY} → uv run nb doctor")
