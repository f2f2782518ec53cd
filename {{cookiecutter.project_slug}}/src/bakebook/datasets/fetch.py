"""Gets a table's source into the project: a file, several files, an address that DVC knows, or a
database's answer.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, urlsplit

import pandas as pd
from pyarrow import parquet

from bakebook.errors import BadInput, Unreachable, first_line
from bakebook.paths import STATE
from bakebook.tables.readers import limit, to_arrow

RAW = PurePosixPath("data/raw")
QUERY_RESULT = "query.parquet"
DATABASES = ("sqlite", "postgresql", "mysql", "mariadb", "mssql", "oracle", "duckdb")
DOWNLOAD = "NB_MAX_DOWNLOAD"
MOST_BYTES = 10_000_000_000  # that an address may give
LOOK_S = 0.2  # how often what came is measured
FIX_QUERY = "fix the address or the query"


@dataclass(frozen=True)
class Fetched:
    """A source that can be inspected: where it is now, and where in the project it will be."""

    place: Path
    final: PurePosixPath


@contextmanager
def fetched(root: Path, source: str, query: str) -> Iterator[Fetched]:
    """The source, fetched to a temporary folder unless it is in the project already."""
    folder = root / STATE / "fetch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    address = _address(source)
    try:
        if address is None:
            yield _from_files(root, source, folder)
        elif address.scheme.split("+")[0] in DATABASES:
            yield Fetched(_from_database(source, query, folder), RAW / QUERY_RESULT)
        elif "@" in address.netloc and address.scheme in ("http", "https"):
            what = "the address contains a password, which DVC would write down"
            raise BadInput(what, "dvc remote modify --local stores passwords outside git")
        else:
            name = PurePosixPath(address.path).name or "table.csv"
            dvc(root, "get-url", source, str(folder / name), fills=folder)
            yield Fetched(folder / name, RAW / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _address(source: str) -> SplitResult | None:
    """The parts of a URL; None for a path. Raises BadInput."""
    if "://" not in source:
        return None
    try:
        return urlsplit(source)
    except ValueError as error:
        raise BadInput(f"'{source}' is not a valid URL ({error})", "correct it") from None


@contextmanager
def moved_in(root: Path, source: Fetched) -> Iterator[None]:
    """The source in its place of the project; if the block fails, the previous file is restored."""
    target = root / source.final
    if source.place.resolve() == target.resolve():
        yield
        return
    before = source.place.parent / f"before-{target.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.move(target, before)
    try:
        shutil.move(source.place, target)
        yield
    except BaseException:
        _remove(target)
        if before.exists():
            shutil.move(before, target)
        raise


def track(root: Path, final: PurePosixPath, source: str) -> None:
    """Adds the source to DVC, with its address where DVC can fetch it again; files that git tracks
    stay in git.
    """
    command = ["git", "ls-files", "--", str(final)]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if listed.stdout.strip():
        return
    if urlsplit(source).scheme in ("http", "https"):
        dvc(root, "import-url", "--force", source, str(final))
    else:
        dvc(root, "add", str(final))


def dvc(root: Path, command: str, *arguments: str, fills: Path | None = None) -> None:
    """Runs a command of DVC that `fills` a folder. Raises Unreachable when it fails on an address,
    BadInput otherwise, also where the folder grows without end.
    """
    most = limit(DOWNLOAD, MOST_BYTES)
    pipe = subprocess.PIPE
    whole = [sys.executable, "-m", "dvc", command, *arguments]
    with subprocess.Popen(
        whole, cwd=root, stdout=pipe, stderr=pipe, text=True, encoding="utf-8"
    ) as process:
        stderr = _said(process, fills, most)
    if process.returncode:
        errors = [line for line in stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[0] if errors else stderr.strip()
        failure = Unreachable if "url" in command else BadInput
        raise failure(
            f"dvc {command}: {reason.removeprefix('ERROR: ').strip()}",
            "fix it, then run the command again",
        )


def _said(process: "subprocess.Popen[str]", fills: Path | None, most: int) -> str:
    """What a process writes to stderr until it ends. Raises BadInput where the folder that it fills
    has more than `most` bytes.
    """
    while True:
        try:
            return process.communicate(timeout=LOOK_S)[1]
        except subprocess.TimeoutExpired:
            if fills and _size(fills) > most:
                process.kill()
                what = f"the address gives more than {most / 1e6:,.0f} MB"
                remedy = f"save a part as a file, or set the variable {DOWNLOAD} to more bytes"
                raise BadInput(what, remedy) from None


def _size(folder: Path) -> int:
    """The bytes of all files in a folder, some of which may go away meanwhile."""
    total = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def without_secrets(address: str) -> str:
    """Scheme, host and path of an address: users, passwords and keys may stand anywhere else."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _from_database(address: str, query: str, folder: Path) -> Path:
    """The answer of a database, as Parquet. It needs the driver of
    the database, such as psycopg.
    """
    import sqlalchemy

    if not query:
        raise BadInput("a database needs a query", 'nb data use ADDRESS --query "SELECT …"')
    shown = without_secrets(address)
    is_sqlite = address.startswith("sqlite")
    if address.startswith("sqlite:///"):
        file = address.removeprefix("sqlite:///")
        if not Path(file).is_file():
            raise BadInput(f"there is no file {file}", "name a SQLite file")
    if address.startswith("postgresql://"):
        address = address.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        engine = sqlalchemy.create_engine(address)
        with engine.connect() as connection:
            table = pd.read_sql_query(sqlalchemy.text(query), connection)
    except ModuleNotFoundError as error:
        install = (
            "uv sync --group postgresql" if error.name == "psycopg" else f"uv add {error.name}"
        )
        raise BadInput(
            f"{error.name}, the driver of this database, is not installed", install
        ) from None
    except sqlalchemy.exc.OperationalError as error:
        failure = BadInput if is_sqlite else Unreachable
        raise failure(f"{shown}: {first_line(error)}", FIX_QUERY) from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise BadInput(f"{shown}: {first_line(error)}", FIX_QUERY) from None
    parquet.write_table(to_arrow(table), folder / QUERY_RESULT)
    return folder / QUERY_RESULT


def _from_files(root: Path, source: str, folder: Path) -> Fetched:
    """A file, a folder, or several files by a pattern, copied
    unless they are in data/raw already.
    """
    within = _place_in_raw(root, source)
    if within:
        return Fetched(root / within, within)
    given = Path(source).expanduser()
    if given.exists() and not (given.is_file() or given.is_dir()):
        what = f"{source} is a device or a pipe, which may have no end"
        raise BadInput(what, "save it as a file first")
    if given.exists():
        copy = folder / given.resolve().name
        _copy(given, copy)
        return Fetched(copy, RAW / copy.name)
    # glob.glob, because the pattern may begin in any folder
    found = sorted(one for one in map(Path, glob.glob(str(given))) if one.is_file())  # noqa: PTH207
    if not found:
        raise BadInput(
            f"there is no {source}",
            "name a file, a pattern such as 'part-*.csv', a URL or a database",
        )
    if len({one.name for one in found}) < len(found):
        what = f"{source} matches two files of one name, which cannot be in one folder"
        raise BadInput(what, "rename one of them")
    copy = folder / (re.sub(r"[^\w-]+", "", given.stem) or "parts")
    copy.mkdir()
    for one in found:
        shutil.copy2(one, copy / one.name)
    return Fetched(copy, RAW / copy.name)


def _place_in_raw(root: Path, source: str) -> PurePosixPath | None:
    """The path from the root of a source that is in data/raw, given from the root or from the
    working directory.
    """
    for given in (root / source, Path(source).expanduser().absolute()):
        place = PurePosixPath(Path(os.path.relpath(given, root)).as_posix())
        if given.exists() and place.is_relative_to(RAW):
            return place
    return None


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
