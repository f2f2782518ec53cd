"""Gets a table's source into the project: a file, several, an address that DVC knows, or a database's answer."""

import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd
from pyarrow import parquet

from . import sources
from .errors import BadInput, Unreachable, first_line
from .paths import STATE

RAW = PurePosixPath("data/raw")
DATABASES = ("sqlite", "postgresql", "mysql", "mariadb", "mssql", "oracle", "duckdb")


@contextmanager
def brought(root: Path, source: str, query: str) -> Iterator[tuple[Path, PurePosixPath]]:
    """Where the source can be looked at, and where in the project it is to stay; nothing remains of a failure."""
    waiting = root / STATE / "intake"
    shutil.rmtree(waiting, ignore_errors=True)
    waiting.mkdir(parents=True)
    try:
        scheme = urlsplit(source).scheme.split("+")[0] if "://" in source else ""
        if scheme in {"http", "https"} and "@" in urlsplit(source).netloc:
            raise BadInput("the address holds a password, which DVC would write down → see: dvc remote modify --local")
        if scheme in DATABASES:
            yield _queried(source, query, waiting), RAW / "query.parquet"
        elif scheme:
            name = PurePosixPath(urlsplit(source).path).name or "table.csv"
            dvc(root, "get-url", source, str(waiting / name))
            yield waiting / name, _apart(name)
        else:
            yield _local(root, source, waiting)
    finally:
        shutil.rmtree(waiting, ignore_errors=True)


def _queried(address: str, query: str, waiting: Path) -> Path:
    """The answer of a database, as Parquet. Needs the driver of the database, such as psycopg."""
    import sqlalchemy

    if not query:
        raise BadInput('a database needs a query → nb data use ADDRESS --query "SELECT …"')
    if address.startswith("postgresql://"):
        address = address.replace("postgresql://", "postgresql+psycopg://", 1)
    if address.startswith("sqlite:///") and not Path(address.removeprefix("sqlite:///")).is_file():
        raise BadInput(f"there is no file {address.removeprefix('sqlite:///')} → name a SQLite file")
    try:
        engine = sqlalchemy.create_engine(address)
        with engine.connect() as connection:
            table = pd.read_sql_query(sqlalchemy.text(query), connection)
    except ModuleNotFoundError as error:
        install = "uv sync --group postgresql" if error.name == "psycopg" else f"uv add {error.name}"
        raise BadInput(f"{error.name}, which speaks to this database, is not installed → {install}") from None
    except sqlalchemy.exc.OperationalError as error:
        kind = BadInput if address.startswith("sqlite") else Unreachable
        raise kind(f"{masked(address)}: {first_line(error)} → mend the address or the query") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise BadInput(f"{masked(address)}: {first_line(error)} → mend the address or the query") from None
    parquet.write_table(sources.typed(table), waiting / "query.parquet")
    return waiting / "query.parquet"


def _local(root: Path, source: str, waiting: Path) -> tuple[Path, PurePosixPath]:
    """A file, a folder, or several files by a pattern, copied to be looked at unless it is in the project already."""
    given = Path(source).expanduser()
    inside = root / source
    if inside.exists() and PurePosixPath(Path(os.path.relpath(inside, root)).as_posix()).is_relative_to(RAW):
        return inside, PurePosixPath(Path(os.path.relpath(inside, root)).as_posix())
    if given.exists():
        with suppress(ValueError):
            within = PurePosixPath(given.resolve().relative_to(root.resolve()).as_posix())
            if within.is_relative_to(RAW):
                return given, within
        copied = waiting / given.resolve().name
        shutil.copytree(given, copied) if given.is_dir() else shutil.copy2(given, copied)
        return copied, _apart(copied.name)
    found = sorted(one for one in map(Path, glob.glob(str(given))) if one.is_file())  # noqa: PTH207 - the pattern may begin anywhere
    if not found:
        raise BadInput(f"there is no {source} → name a file, a pattern such as 'part-*.csv', a URL or a database")
    if len({one.name for one in found}) < len(found):
        raise BadInput(f"{source} matches two files of one name, which cannot lie in one folder → rename one of them")
    folder = waiting / (re.sub(r"[^\w-]+", "", given.stem) or "parts")
    folder.mkdir()
    for one in found:
        shutil.copy2(one, folder / one.name)
    return folder, _apart(folder.name)


def _apart(name: str) -> PurePosixPath:
    """The place of a source in the project; table.parquet is what `ingest` leaves."""
    return RAW / ("given.parquet" if name == "table.parquet" else name)


@contextmanager
def moved_in(root: Path, place: Path, final: PurePosixPath) -> Iterator[None]:
    """The source in its place of the project; what was there before comes back when something fails."""
    target, before = root / final, place.parent / f"before-{final.name}"
    if place.resolve() == target.resolve():
        yield
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.move(target, before)
    try:
        shutil.move(place, target)
        yield
    except BaseException:
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        if before.exists():
            shutil.move(before, target)
        raise


def track(root: Path, final: PurePosixPath, source: str) -> None:
    """By DVC, with the address it came from where DVC can fetch it again; what git keeps stays with git."""
    listed = ["git", "ls-files", "--", str(final)]
    if subprocess.run(listed, cwd=root, capture_output=True, text=True, check=False).stdout.strip():
        return
    if urlsplit(source).scheme in {"http", "https"}:
        dvc(root, "import-url", "--force", source, str(final))
    else:
        dvc(root, "add", str(final))


def dvc(root: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
        what = lines[0].removeprefix("ERROR: ").strip()
        raise (Unreachable if "url" in arguments[0] else BadInput)(f"dvc {arguments[0]}: {what} → mend it, then again")


def masked(address: str) -> str:
    """Scheme, host and path of an address: users, passwords and keys may stand anywhere else."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
