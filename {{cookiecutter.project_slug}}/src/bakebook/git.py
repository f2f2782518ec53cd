"""What git says about a project."""

import subprocess
from pathlib import Path


def git(root: Path, *arguments: str) -> str | None:
    """What git prints, without the last line's end; None where it fails or is not installed."""
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace").rstrip("\n") if done.returncode == 0 else None
