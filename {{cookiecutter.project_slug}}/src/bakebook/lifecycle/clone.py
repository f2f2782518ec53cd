"""A clone of the project's last commit, in which a pipeline runs without touching a person's files.
It has the project's cache of data; its variables say which database and registry.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bakebook.errors import (
    BadInput,
    Busy,
    CheckFailed,
    Failure,
    NoSpace,
    Unreachable,
    first_line,
    out_of_space,
)
from bakebook.git import git
from bakebook.paths import PID
from bakebook.runner.clones import PROJECT, remove
from bakebook.settings import Settings
from bakebook.tracking.store import Store as TrackingStore

SQLITE = "sqlite:///"
KINDS = (Failure, BadInput, CheckFailed, Unreachable, Busy, NoSpace)
FAILURES = {kind.exit_code: kind for kind in KINDS}
DVC = (sys.executable, "-m", "dvc")
PATIENCE_S = 10.0  # for a stage that was told to end
LEAST_FREE_BYTES = 1 << 20  # below which a command ended because nothing is left
ERROR = "error: "
STAGE_ENDED = "exited with "  # DVC's words before the exit code of a stage
UNKNOWN_PERSON = {"user.name": "Bakebook", "user.email": "bakebook@localhost"}


@dataclass(frozen=True)
class Clone:
    """`root` is the project in the clone, a folder of its `repository`; `origin` is the project
    itself, `environment` that of the commands.
    """

    root: Path
    repository: Path
    origin: Path
    environment: Mapping[str, str]

    def run(self, *command: str) -> str:
        """What the command prints. Raises the Failure of a command that fails, after what it wrote
        to stderr.
        """
        return _run(self.root, self.environment, *command)

    def check_out(self, *names: str) -> None:
        """Puts what DVC tracks in its place; all of it, or files. Raises BadInput for what is not
        here.
        """
        try:
            self.run(*DVC, "checkout", "--quiet", *names)
        except BadInput as error:
            what = f"data of the last commit are not in DVC's cache ({error.what})"
            raise BadInput(what, "dvc pull, or dvc repro and git commit") from None

    def commit(self, message: str) -> str:
        """Commits everything; the hash of the commit."""
        person = {name: git(self.origin, "config", name) for name in UNKNOWN_PERSON}
        known = {name: value or UNKNOWN_PERSON[name] for name, value in person.items()}
        settings = {**known, "commit.gpgsign": "false", "core.hooksPath": os.devnull}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.run("git", "add", "--all")
        self.run("git", *options, "commit", "--quiet", "--allow-empty", "--message", message)
        return str(git(self.root, "rev-parse", "HEAD"))

    def name_commit(self, name: str) -> None:
        """Lets a branch, or a ref, of the project's own repository name the clone's commit."""
        fetch = ("fetch", "--quiet", str(self.repository), f"+HEAD:{_ref(name)}")
        try:
            _run(self.origin, os.environ, "git", *fetch)
        except BadInput as error:
            raise BadInput(f"git cannot write {name} ({error.what})", "git fsck") from None

    def forget(self, name: str) -> None:
        """Removes a branch, or a ref."""
        git(self.origin, "update-ref", "-d", _ref(name))


def _ref(name: str) -> str:
    return name if name.startswith("refs/") else f"refs/heads/{name}"


def _run(folder: Path, environment: Mapping[str, str], *command: str) -> str:
    with subprocess.Popen(
        (located(command[0], environment), *command[1:]),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            stdout, stderr = process.communicate()
        except BaseException:  # a signal
            _end(process.pid)
            raise
    if process.returncode:
        lines = stderr.splitlines(keepends=True)
        sys.stderr.writelines(line for line in lines if not line.startswith(ERROR))
        is_full = out_of_space(stderr) or shutil.disk_usage(folder).free < LEAST_FREE_BYTES
        raise _failure(command, stderr, process.returncode, is_full=is_full)
    return stdout.strip()


def has_default_remote(root: Path) -> bool:
    """Whether DVC knows where to push to."""
    try:
        return bool(_run(root, os.environ, *DVC, "config", "core.remote"))
    except Failure:
        return False


def located(program: str, environment: Mapping[str, str]) -> str:
    """Where a program is in the PATH of an environment, which Windows does not look at."""
    return shutil.which(program, path=environment.get("PATH")) or program


def _end(pid: int) -> None:
    """Ends a process, and waits until those that it started have ended too."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
        for one in alive:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def _failure(command: tuple[str, ...], stderr: str, exit_code: int, *, is_full: bool) -> Failure:
    """By the command's last error, or the stage's that failed."""
    if is_full:
        return NoSpace(f"{' '.join(_known(command)[:2])}: the disk is full", "free some space")
    lines = stderr.splitlines()
    said = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    for line in lines:
        _, _, code = line.rpartition(STAGE_ENDED)
        exit_code = int(code) if STAGE_ENDED in line and code.isdecimal() else exit_code
    what, _, remedy = said[-1].partition(" → ") if said else ("", "", "")
    if not what:
        errors = [line for line in lines if line.startswith(("ERROR", "fatal"))]
        reason = first_line(errors[-1] if errors else stderr) if stderr.strip() else ""
        what = f"{' '.join(_known(command)[:2])}: {reason or f'it ended with {exit_code}'}"
    return FAILURES.get(exit_code, BadInput)(what, remedy)


def _known(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command by the name that people know."""
    return ("dvc", *command[len(DVC) :]) if command[: len(DVC)] == DVC else command


@contextmanager
def cloned(root: Path, folder: Path, variables: Mapping[str, str]) -> Iterator[Clone]:
    """The clone in a folder of the project, which is removed however the block ends. `variables`
    are those of the environment in which its commands run. Raises BadInput without a commit.
    """
    remove(root, root / folder)
    (root / folder).mkdir(parents=True)
    try:
        (root / folder / PID).write_text(str(os.getpid()), encoding="utf-8")
        yield _clone(root, root / folder / PROJECT, variables)
    finally:
        remove(root, root / folder)


def of_project(root: Path, settings: Settings) -> dict[str, str]:
    """The variables by which commands in a clone use the project's database and registry."""
    variables = {
        "NB_STATE": str(settings.state.absolute()),
        "MLFLOW_TRACKING_URI": TrackingStore(root).uri,
    }
    if settings.database_url.startswith(SQLITE):  # from any folder
        file = Path(settings.database_url.removeprefix(SQLITE)).absolute()
        variables["DATABASE_URL"] = f"{SQLITE}{file.as_posix()}"
    return {**os.environ, **variables}


def _clone(root: Path, place: Path, variables: Mapping[str, str]) -> Clone:
    repository = git(root, "rev-parse", "--show-toplevel")
    if not repository or not git(root, "rev-parse", "--verify", "HEAD"):
        raise BadInput("this folder has no commit to start from", "git add, then git commit")
    if git(root, "status", "--porcelain"):
        print("note: what is not committed takes no part", file=sys.stderr, flush=True)
    options = ("--quiet", "--shared", "--no-tags")
    try:
        _run(root, os.environ, "git", "clone", *options, repository, str(place))
    except BadInput as error:
        raise BadInput(error.what, "git fsck") from None
    project = place / (git(root, "rev-parse", "--show-prefix") or "")
    paths = [str(Path(sys.executable).parent), variables.get("PATH", "")]
    own = {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(project / "src")}
    clone = Clone(project, place, root, {**variables, **own})
    local = root / ".dvc" / "config.local"  # the passwords of remotes
    if local.is_file():
        (project / ".dvc" / local.name).write_bytes(local.read_bytes())
    clone.run(*DVC, "cache", "dir", "--local", _run(root, os.environ, *DVC, "cache", "dir"))
    tracked = (git(project, "ls-files", "-z", "--", "*.dvc") or "").split("\0")
    if files := [name for name in tracked if name]:
        clone.check_out(*files)
    return clone
