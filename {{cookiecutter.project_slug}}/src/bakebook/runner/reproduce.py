"""`nb check --reproducible`: runs the pipeline in two clones that share nothing but their inputs,
and compares.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bakebook.contract.project import Project
from bakebook.errors import BadInput

# Two time zones, languages and numbers of threads, which must not matter
WORLDS = (
    {
        "TZ": "Pacific/Auckland",
        "LANG": "C",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    },
    {
        "TZ": "America/St_Johns",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "de_DE.UTF-8",
        "OMP_NUM_THREADS": "2",
    },
)
USER_SETTINGS = ("MLFLOW_", "DVC_", "NB_")
Hashes = dict[tuple[str, str], str]  # of each output, by stage and path


def differences(project: Project) -> list[str]:
    """One line per output that differs between the clones. Raises BadInput when the pipeline fails
    in one.
    """
    with tempfile.TemporaryDirectory() as folder:
        runs = [_run(project, Path(folder), number) for number in range(len(WORLDS))]
    first, second = runs
    lines = []
    for (stage, path), value in first.items():
        if second.get((stage, path)) != value:
            what = f"{path}: stage '{stage}' makes other bytes from the same inputs"
            lines.append(f"{what} → fix its seeds, or use one thread")
    return lines


def _run(project: Project, folder: Path, number: int) -> Hashes:
    """The outputs of a run in a fresh copy, with a home of its own."""
    clone = folder / str(number)
    home = folder / f"home of {number}"
    home.mkdir()
    _copy(project, clone)
    print(f"run {number + 1} of {len(WORLDS)}, in a fresh copy …", file=sys.stderr, flush=True)
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(USER_SETTINGS)
    }
    variables |= {"HOME": str(home), "PYTHONPATH": str(clone / "src"), "CI": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--force"],
        cwd=clone,
        env=variables | WORLDS[number],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        reason = errors[-1] if errors else done.stderr[-200:]
        raise BadInput(f"the pipeline fails in a clone ({reason})", "dvc repro")
    return _hashes(clone / "dvc.lock")


def _hashes(lock: Path) -> Hashes:
    stages: Any = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"]
    return {
        (name, out["path"]): out["md5"] for name in stages for out in stages[name].get("outs", [])
    }


def _copy(project: Project, clone: Path) -> None:
    """What git tracks or would add, and the dependencies that no stage makes: as a clone after `dvc
    pull`.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(
        command, cwd=project.root, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise BadInput("this folder is not a git repository", "git init")
    made = {path for stage in project.stages for path in project.made(stage)}
    needed = {path for stage in project.stages for path in project.files(stage, "deps")} - made
    listed = set(filter(None, done.stdout.split("\0")))
    for name in sorted((listed | needed) - {"dvc.lock"}):
        source = project.root / name
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.is_file():
            shutil.copy2(source, target)
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
