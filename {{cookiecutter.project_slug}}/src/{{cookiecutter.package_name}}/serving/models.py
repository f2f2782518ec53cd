"""The models that may answer: verified copies, one after the other, and the one that answers now."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..errors import BadInput, GateClosed, first_line
from ..inference import Model
from ..paths import METRICS, MODEL_CARD, ONNX, PLOTS, SIGNATURE
from .rows import Rows

LONGEST_LOOK = 60  # seconds that a candidate may take to load and to answer its examples
KEPT = 5  # verified copies
FILES = {"model.onnx": ONNX, "signature.json": SIGNATURE, "MODEL_CARD.md": MODEL_CARD, "metrics.json": METRICS}


class Refused(GateClosed):
    """A candidate must not answer, for a `reason`; one that `lasts` lies in the candidate itself."""

    def __init__(self, reason: str, *, lasts: bool = True) -> None:
        super().__init__(f"the model cannot be served: {reason} → dvc repro makes another")
        self.reason, self.lasts = reason, lasts


@dataclass(frozen=True)
class Served:
    """A verified model with all that its answers need."""

    folder: Path
    model: Model
    rows: Rows
    source: str
    mark: str  # of the source, when it was copied
    adopted_at: str

    @property
    def sha256(self) -> str:
        return str(self.model.signature["model"]["sha256"])

    @property
    def version(self) -> str:
        return self.sha256[:12]

    def text(self, name: str) -> str:
        """What came with the model under this name; nothing, if it did not."""
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.is_file() else ""


class Models:
    """The folder of verified copies, shared by the service and `nb rollback`.

    `ledger.json` holds them in the order in which they were adopted (the last one answers), and the refused with the
    reason, by their hash or by the mark of their source, so that none is tried twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ledger = folder / "ledger.json"

    def adopted(self) -> list[dict[str, str]]:
        return list(self._read()["adopted"])

    def refused(self) -> dict[str, str]:
        """The reason for each sha256 or mark that must not answer."""
        return dict(self._read()["refused"])

    def stamp(self) -> int:
        """Changes whenever the ledger does."""
        return self._ledger.stat().st_mtime_ns if self._ledger.exists() else 0

    def adopt(self, candidate: Path, mark: str, source: str) -> None:
        """Verifies the model in a folder (a process of its own loads it first) and keeps a copy. Raises Refused."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            sha256 = _verified(candidate)
        except Refused as error:
            if error.lasts:
                with self._changed() as ledger:
                    ledger["refused"][mark] = error.reason
            raise
        if reason := self.refused().get(sha256):
            raise Refused(f"model {sha256[:12]}: {reason}")
        part, final, before = (self.folder / name for name in (f".part-{os.getpid()}", sha256[:12], ".before"))
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(candidate, part)
        shutil.rmtree(before, ignore_errors=True)
        if final.exists():
            final.rename(before)
        part.rename(final)
        with self._changed() as ledger:
            kept = [one for one in ledger["adopted"] if one["sha256"] != sha256]
            now = datetime.now(UTC).isoformat(timespec="seconds")
            ledger["adopted"] = [*kept, {"sha256": sha256, "mark": mark, "source": source, "at": now}][-KEPT:]
        for old in self.folder.glob("*/"):
            if old.name not in {one["sha256"][:12] for one in self.adopted()}:
                shutil.rmtree(old, ignore_errors=True)

    def roll_back(self, version: str = "") -> tuple[str, str]:
        """Refuses the model that answers and lets the one before it answer, or the named one; both versions."""
        with self._changed() as ledger:
            *earlier, now = ledger["adopted"] or [{}]
            back = [one for one in earlier if one["sha256"] not in ledger["refused"] or version]
            back = [one for one in back if one["sha256"].startswith(version)]
            if not back:
                kept = ", ".join(one["sha256"][:12] for one in earlier) or "none"
                remedy = "nb rollback VERSION takes one of these" if earlier else "dvc repro makes another"
                raise BadInput(f"there is no earlier model that may serve (kept: {kept}) → {remedy}")
            ledger["refused"].pop(back[-1]["sha256"], None)
            ledger["refused"][now["sha256"]] = "it was rolled back"
            ledger["adopted"] = [*(one for one in ledger["adopted"] if one != back[-1]), back[-1]]
            return now["sha256"][:12], back[-1]["sha256"][:12]

    def load(self, most_rows: int) -> Served:
        """The last adopted model that still is what was verified. Raises BadInput when there is none."""
        refused = self.refused()
        for one in reversed(self.adopted()):
            if one["sha256"] in refused:
                continue
            folder = self.folder / one["sha256"][:12]
            try:
                model = Model.load(folder / "model.onnx", folder / "signature.json")
                rows = Rows(model.signature, most_rows)
                if model.signature["model"]["sha256"] != one["sha256"] or "reading" not in model.signature:
                    continue
            except Exception:  # noqa: S112 - rotten, or of another version of this code: onnxruntime raises what it likes
                continue
            return Served(folder, model, rows, one["source"], one.get("mark", ""), one["at"])
        raise BadInput("there is no verified model to serve → dvc repro makes one")

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._ledger.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {"adopted": [], "refused": {}}

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        with FileLock(self.folder / "ledger.lock", timeout=10):
            ledger = self._read()
            yield ledger
            part = self._ledger.with_name(".part-ledger.json")
            part.write_text(json.dumps(ledger, indent=2) + "\n", encoding="utf-8", newline="\n")
            part.replace(self._ledger)


class PipelineFiles:
    """The model that the pipeline left in this project."""

    name = "the pipeline's files"

    def mark(self) -> str:
        """Changes whenever model or card do; the card, which names its model, is written last.

        Raises BadInput when there is no model.
        """
        for needed in (ONNX, SIGNATURE):
            if not needed.is_file():
                raise BadInput(f"there is no {needed.name} to serve → dvc repro, or dvc pull")
        found = [one.stat() for one in (ONNX, SIGNATURE, MODEL_CARD) if one.is_file()]
        return " ".join(f"{one.st_size}-{one.st_mtime_ns}" for one in found)

    def fetch(self, folder: Path) -> None:
        """Copies model, signature, card, metrics and plots."""
        for name, path in FILES.items():
            if path.is_file():
                shutil.copyfile(path, folder / name)
        if PLOTS.is_dir():
            shutil.copytree(PLOTS, folder / "plots")


def _verified(candidate: Path) -> str:
    """The sha256 of a model that was loaded in a child, which a broken file may crash, and knew its examples."""
    try:
        signature = json.loads((candidate / "signature.json").read_text(encoding="utf-8"))
        said, _ = signature["model"]["sha256"], signature["reading"]
        found = hashlib.sha256((candidate / "model.onnx").read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"it cannot be read ({first_line(error)})") from None
    if said != found:
        raise Refused("the ONNX file is not the model that its signature describes")
    command = [sys.executable, "-m", f"{__package__}.candidate", str(candidate)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", timeout=LONGEST_LOOK, check=False
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"it did not answer its examples within {LONGEST_LOOK} seconds", lasts=False) from None
    if done.returncode:
        reason = (done.stdout.strip().splitlines() or [f"its process ended with {done.returncode}"])[-1]
        raise Refused(reason, lasts=done.returncode == 1)
    return found
