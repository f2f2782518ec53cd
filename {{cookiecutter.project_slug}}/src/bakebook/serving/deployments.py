"""The models that may answer: verified copies in the order of their deployment, and the one that
answers now.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from bakebook.contracts import Signature
from bakebook.errors import BadInput, CheckFailed, first_line
from bakebook.files import PART, write_text
from bakebook.models.runtime import Model
from bakebook.serving.schemas import Rows

VERIFY_TIMEOUT_S = 60  # in which a candidate must load and predict its examples
LOCK_TIMEOUT_S = 10
MOST_KEPT = 5  # verified copies
VERSION_LENGTH = 12  # letters of the sha256
TRAIN_AGAIN = "dvc repro makes another"


class Refused(CheckFailed):
    """A candidate must not answer, for a `reason`; the reason is `permanent` when it lies in the
    candidate itself.
    """

    def __init__(self, reason: str, *, permanent: bool = True) -> None:
        super().__init__(f"the model cannot be served: {reason}", TRAIN_AGAIN)
        self.reason = reason
        self.permanent = permanent


@dataclass(frozen=True)
class Deployment:
    """A verified copy: its hash, where it came from, what its source looked like, and when (ISO
    8601).
    """

    sha256: str
    mark: str
    source: str
    at: str

    @property
    def version(self) -> str:
        return self.sha256[:VERSION_LENGTH]


@dataclass(frozen=True)
class Ledger:
    """The deployments, the newest last, and the reason for each sha256 or mark that must not
    answer.
    """

    adopted: tuple[Deployment, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Served:
    """A verified model with everything that its answers need."""

    folder: Path
    deployment: Deployment
    model: Model
    rows: Rows

    @property
    def version(self) -> str:
        return self.deployment.version

    @property
    def signature(self) -> Signature:
        return self.model.signature

    def text(self, name: str) -> str:
        """A file that came with the model; empty if there is none."""
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.is_file() else ""


class Deployments:
    """The folder of verified copies, shared by the service and `nb rollback`; `ledger.json` lists
    them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "ledger.json"

    def ledger(self) -> Ledger:
        """The ledger as it is now."""
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Ledger()
        adopted = tuple(Deployment(**one) for one in content["adopted"])
        return Ledger(adopted, dict(content["refused"]))

    def modified_ns(self) -> int:
        """When the ledger was written last, in ns since the epoch."""
        return self._file.stat().st_mtime_ns if self._file.exists() else 0

    def adopt(self, candidate: Path, mark: str, source: str) -> None:
        """Verifies the model in a folder, which another process loads first, and keeps a copy.
        Raises Refused.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            sha256 = verified(candidate)
        except Refused as error:
            if error.permanent:
                self.refuse(mark, error.reason)
            raise
        now = datetime.now(UTC).isoformat(timespec="seconds")
        deployment = Deployment(sha256, mark, source, now)
        if reason := self.ledger().refused.get(sha256):
            raise Refused(f"model {deployment.version}: {reason}")
        self._copy(candidate, deployment)
        with self._lock():
            ledger = self.ledger()
            others = [one for one in ledger.adopted if one.sha256 != sha256]
            self._write(replace(ledger, adopted=(*others, deployment)[-MOST_KEPT:]))
        self._remove_old()

    def roll_back(self, version: str = "") -> tuple[str, str]:
        """Refuses the model that answers, so that the one before it, or the named one, answers;
        both versions. The first is empty where the named one answers already.
        """
        with self._lock():
            ledger = self.ledger()
            *earlier, current = ledger.adopted or (Deployment("", "", "", ""),)
            is_refused = current.sha256 in ledger.refused
            if version and current.sha256.startswith(version) and not is_refused:
                return "", current.version
            possible = [one for one in earlier if version or one.sha256 not in ledger.refused]
            possible = [one for one in possible if one.sha256.startswith(version)]
            if not possible:
                kept = ", ".join(one.version for one in earlier) or "none"
                remedy = "nb rollback VERSION takes one of these" if earlier else TRAIN_AGAIN
                raise BadInput(f"there is no earlier model that may serve (kept: {kept})", remedy)
            chosen = possible[-1]
            refused = {
                sha256: reason
                for sha256, reason in ledger.refused.items()
                if sha256 != chosen.sha256
            }
            refused[current.sha256] = "it was rolled back"
            others = [one for one in ledger.adopted if one != chosen]
            self._write(Ledger((*others, chosen), refused))
        return current.version, chosen.version

    def load(self, most_rows: int) -> Served:
        """The newest deployment that is not refused and still what was verified. Raises BadInput
        without one.
        """
        ledger = self.ledger()
        for deployment in reversed(ledger.adopted):
            if deployment.sha256 in ledger.refused:
                continue
            folder = self.folder / deployment.version
            try:
                model = Model.load(folder / "model.onnx", folder / "signature.json")
                rows = Rows(model.signature, most_rows)
            except Exception:  # noqa: S112 - onnxruntime raises anything for a damaged file
                continue
            if model.signature.model.sha256 == deployment.sha256:
                return Served(folder, deployment, model, rows)
        raise BadInput("there is no verified model to serve", "dvc repro makes one")

    def _copy(self, candidate: Path, deployment: Deployment) -> None:
        part = self.folder / f".{os.getpid()}{PART}"
        final = self.folder / deployment.version
        before = self.folder / ".before"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(candidate, part)
        shutil.rmtree(before, ignore_errors=True)
        if final.exists():
            final.rename(before)
        part.rename(final)

    def _remove_old(self) -> None:
        kept = {one.version for one in self.ledger().adopted}
        for folder in self.folder.glob("*/"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def refuse(self, model: str, reason: str) -> None:
        """Lets a model, by its sha256 or mark, not answer any more."""
        with self._lock():
            ledger = self.ledger()
            self._write(replace(ledger, refused=ledger.refused | {model: reason}))

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with FileLock(self.folder / "ledger.lock", timeout=LOCK_TIMEOUT_S):
            yield

    def _write(self, ledger: Ledger) -> None:
        write_text(json.dumps(asdict(ledger), indent=2) + "\n", self._file)


def verified(candidate: Path) -> str:
    """The sha256 of a model whose examples another process predicted, in an empty folder: a broken
    file may crash that process.
    """
    try:
        signature = Signature.model_validate_json((candidate / "signature.json").read_bytes())
        found = hashlib.sha256((candidate / "model.onnx").read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise Refused(f"it cannot be read ({first_line(error)})") from None
    if signature.model.sha256 != found:
        raise Refused("the ONNX file is not the model that its signature describes")
    command = [sys.executable, "-m", "bakebook.serving.verify", str(candidate.resolve())]
    empty = tempfile.TemporaryDirectory()
    try:
        done = subprocess.run(
            command,
            cwd=empty.name,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=VERIFY_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"it did not predict its examples within {VERIFY_TIMEOUT_S} seconds"
        raise Refused(reason, permanent=False) from None
    finally:
        empty.cleanup()
    if done.returncode:
        lines = done.stdout.strip().splitlines()
        reason = lines[-1] if lines else f"its process ended with {done.returncode}"
        raise Refused(reason, permanent=done.returncode == 1)
    return found
