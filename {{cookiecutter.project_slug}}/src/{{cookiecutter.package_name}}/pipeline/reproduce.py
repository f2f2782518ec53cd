"""`nb check --reproducible`: runs the pipeline twice in clones that differ in all but their inputs, and compares."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ..errors import BadInput
from .project import Project

# Two places, times, languages, homes and numbers of threads: what must not matter.
WORLDS = [
    {"TZ": "Pacific/Auckland", "LANG": "C", "LC_ALL": "C", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    {"TZ": "America/St_Johns", "LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "OMP_NUM_THREADS": "2"},
]


def differences(project: Project) -> list[str]:
    """One line per output that comes out differently. Raises BadInput when the pipeline fails in a clone."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (_outputs(project, Path(folder) / str(number), WORLDS[number]) for number in (0, 1))
    return [
        f"{path}: stage '{stage}' makes other bytes from the same inputs → fix its seeds, or use one thread"
        for (stage, path), value in first.items()
        if second.get((stage, path)) != value
    ]


def _outputs(project: Project, clone: Path, world: dict[str, str]) -> dict[tuple[str, str], str]:
    """The hash of each output, by stage and path, after a run in a fresh copy with a home of its own."""
    _copy(project, clone)
    print(f"run {int(clone.name) + 1} of 2, in a fresh copy …", file=sys.stderr, flush=True)
    home = clone.parent / f"home of {clone.name}"
    home.mkdir()
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_", "NB_"))}
    variables = outer | {"HOME": str(home), "PYTHONPATH": str(clone / "src"), "CI": "true"} | world
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--force"], cwd=clone, env=variables, capture_output=True, text=True
    )
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        raise BadInput(f"the pipeline fails in a clone ({(last or [done.stderr[-200:]])[-1]}) → dvc repro")
    stages: Any = YAML(typ="safe", pure=True).load((clone / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return {(name, out["path"]): out["md5"] for name in stages for out in stages[name].get("outs", [])}


def _copy(project: Project, clone: Path) -> None:
    """What git knows or would take in, and the dependencies that no stage makes: as a clone after `dvc pull`."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=project.root, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise BadInput("this folder is no git repository → git init")
    made = {path for stage in project.stages for path in project.made(stage)}
    needed = {path for stage in project.stages for path in project.files(stage, "deps")} - made
    for name in sorted({*filter(None, done.stdout.split("\0")), *needed} - {"dvc.lock"}):
        source, target = project.root / name, clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.is_file():
            shutil.copy2(source, target)
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
