"""Which fork server is the right one: the folder and the name of its socket.

Whatever cannot be changed in a running process is part of the name: the environment's Python and
distributions, limits, and variables that are read when a process or a library of C starts.
"""

import hashlib
import os
import resource
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

LONGEST_PATH = 107  # bytes of a socket's, linux/un.h
# Of variables that Python and libraries of C read once, and of those that say whose settings count
PREFIXES = (
    "HOME",
    "XDG_",
    "MPLCONFIGDIR",
    "PYTHON",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "GOTO_",
    "BLIS_",
    "KMP_",
    "NUMEXPR_",
    "LD_",
    "MALLOC_",
    "GLIBC_",
    "ARROW_",
    "JE_",
    "MIMALLOC_",
    "CUDA_",
    "TQDM_",
)
WRITTEN = {"KMP_INIT_AT_FORK", "KMP_DUPLICATE_LIB_OK"}  # by joblib and scikit-learn at import
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
MEMORY_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
CGROUPS = Path("/sys/fs/cgroup")
CGROUP_LIMITS = ("memory.max", "memory.high", "cpu.max", "cpuset.cpus.effective", "pids.max")


def libraries() -> Path:
    """The folder in which the environment's libraries are installed."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return Path(sys.prefix, "lib", version, "site-packages")


def socket_path(variables: dict[str, str]) -> Path:
    """Where the socket is of the server for processes with these variables. Raises OSError when its
    folder cannot be used.
    """
    name = hashlib.sha256("\n".join(_surroundings(variables)).encode()).hexdigest()[:16]
    path = _folder() / f"{name}.socket"
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise OSError(f"{path} is too long for the path of a socket")
    return path


def distributions(folder: Path) -> list[str]:
    """Names and times of what is installed in an environment."""
    return sorted(
        f"{entry.name} {entry.stat().st_mtime_ns}"
        for entry in os.scandir(folder)
        if entry.name.endswith((".dist-info", ".egg-info", ".pth"))
    )


def sockets() -> list[Path]:
    """The sockets of all servers of this user."""
    return sorted(_folder().glob("*.socket"))


def _folder() -> Path:
    """A folder that only this user can enter."""
    user = os.getuid()
    place = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
    folder = Path(place, f"bakebook-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != user or status.st_mode & 0o077:
        raise OSError(f"{folder} is not a folder of this user alone")
    return folder


def _surroundings(variables: dict[str, str]) -> Iterator[str]:
    yield from (sys.executable, sys.version, sys.prefix)
    yield from _code()
    yield from distributions(libraries())
    for name in sorted(variables):
        if _is_fixed(name):
            yield f"{name}={variables[name]}"
    yield str([resource.getrlimit(number)[1] for number in LIMITS])
    yield str([resource.getrlimit(number)[0] for number in MEMORY_LIMITS])
    yield str((sorted(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, 0)))
    yield Path("/proc/self/oom_score_adj").read_text("ascii")
    for entry in sorted(Path("/proc/self/ns").iterdir()):
        yield str(entry.readlink())
    yield from _cgroup_limits()


def _is_fixed(name: str) -> bool:
    is_read_once = name.startswith(PREFIXES) or name.lower().endswith("_proxy")
    return is_read_once and name != "PYTHONPATH" and name not in WRITTEN


def _code() -> Iterator[str]:
    """The versions of this room's files."""
    for entry in sorted(os.scandir(Path(__file__).parent), key=lambda entry: entry.name):
        if entry.name.endswith(".py"):
            yield f"{entry.name} {hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()}"


def _cgroup_limits() -> Iterator[str]:
    """The limits of this process's control group and of those around it."""
    for line in Path("/proc/self/cgroup").read_text("ascii", "replace").splitlines():
        number, _, group = line.split(":", 2)
        if number != "0":
            yield line  # version 1 of control groups, whose limits are in many places
            continue
        folder = CGROUPS / group.lstrip("/")
        while folder != CGROUPS and CGROUPS in folder.parents:
            for name in CGROUP_LIMITS:
                limit = folder / name
                if limit.is_file():
                    yield limit.read_text("ascii", "replace")
            folder = folder.parent
