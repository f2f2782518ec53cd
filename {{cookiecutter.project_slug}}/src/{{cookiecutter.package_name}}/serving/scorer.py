"""Predicts and keeps: what waits together is committed together, and nothing is answered that is not committed."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..errors import Unreachable
from .models import Served
from .store import Store, new_id

FEW = 50  # rows that are predicted between two requests; more go to a thread, and the others need not wait
MOST_WAITING = 1000  # requests; who comes later is told to come again
MOST_TOGETHER = 64  # requests in one transaction
PATIENCE = 3.0  # seconds until a request is told that the database is away

Answers = list[dict[str, Any]]
Found = tuple[asyncio.Future[Answers], list[dict[str, Any]]]  # who waits, and what is kept


class Overloaded(Exception):
    """More requests wait than can be answered soon."""


@dataclass(slots=True)
class Job:
    """Rows that were checked, and the model whose signature they fit."""

    rows: list[dict[str, Any]]
    served: Served
    caller: str
    request_id: str
    started: float  # time.perf_counter


class Scorer:
    """Answers jobs in the order in which they come, on the event loop as long as the database needs no waiting for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[Job, asyncio.Future[Answers]]] = []
        self._busy = False
        self._keeping: asyncio.Task[None]
        self._thread = ThreadPoolExecutor(1, "database")
        self._model_threads = ThreadPoolExecutor(2, "model")  # their own: a file's thread waits for them

    async def answer(self, job: Job) -> Answers:
        """One dictionary per row: id, predicted, probabilities (null for a number), model_version.

        Raises Unreachable when the database is away, Overloaded when too many wait.
        """
        loop = asyncio.get_running_loop()
        if len(job.rows) > FEW:
            kept = await loop.run_in_executor(self._model_threads, _rows, job)
            await self._patiently(kept)
            return await loop.run_in_executor(self._model_threads, _answers, kept)
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded
        future: asyncio.Future[Answers] = loop.create_future()
        self._waiting.append((job, future))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._answer_waiting)  # after whoever asks in the same moment
        return await future

    def close(self) -> None:
        for threads in (self._thread, self._model_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def _answer_waiting(self) -> None:
        together, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
        found: list[Found] = []
        for job, future in together:
            if not future.done():  # who asked may have gone
                try:
                    found.append((future, _rows(job)))
                except Exception as error:
                    future.set_exception(error)
        rows = [row for _, some in found for row in some]
        try:
            kept = self._store.add_at_once(rows)
        except Exception as error:
            self._tell(found, error)
        else:
            if kept:
                self._tell(found)
            else:
                self._keeping = asyncio.create_task(self._keep(found, rows))

    async def _keep(self, found: list[Found], rows: list[dict[str, Any]]) -> None:
        try:
            await self._patiently(rows)
        except Exception as error:
            self._tell(found, error)
        else:
            self._tell(found)

    def _tell(self, found: list[Found], error: Exception | None = None) -> None:
        """Ends what was asked, and goes on with what came meanwhile."""
        self._busy = bool(self._waiting)
        if self._busy:
            asyncio.get_running_loop().call_soon(self._answer_waiting)
        for future, some in found:
            if future.done():
                continue
            if error:
                future.set_exception(error)
            else:
                future.set_result(_answers(some))

    async def _patiently(self, rows: list[dict[str, Any]]) -> None:
        """Commits in a thread, which may have to wait for the database."""
        kept = asyncio.get_running_loop().run_in_executor(self._thread, self._store.add_predictions, rows)
        try:
            async with asyncio.timeout(PATIENCE + len(rows) / 1000):
                await kept
        except TimeoutError:
            late = f"the database did not take the prediction within {PATIENCE:g} seconds → send it again"
            raise Unreachable(late) from None


def _rows(job: Job) -> list[dict[str, Any]]:
    """What is kept of each row, in the order and under the names of the table of predictions."""
    served, classes = job.served, job.served.model.classes
    said = served.model.predict(served.rows.columns(job.rows))
    values, probabilities = said.values.tolist(), None if said.probabilities is None else said.probabilities.tolist()
    now, milliseconds, version = datetime.now(UTC), (time.perf_counter() - job.started) * 1000, served.version
    found = []
    for place, inputs in enumerate(job.rows):
        likely = dict(zip(classes, probabilities[place], strict=True)) if classes and probabilities else None
        found.append(
            {
                "id": new_id(),
                "made_at": now,
                "request_id": job.request_id,
                "caller": job.caller,
                "model_version": version,
                "inputs": inputs,
                "predicted": str(values[place]),
                "probabilities": likely,
                "uncertainty": 1 - max(likely.values()) if likely else None,
                "latency_ms": milliseconds,
            }
        )
    return found


def _answers(rows: list[dict[str, Any]]) -> Answers:
    return [
        {
            "id": row["id"],
            "predicted": row["predicted"] if row["probabilities"] else float(row["predicted"]),
            "probabilities": row["probabilities"],
            "model_version": row["model_version"],
        }
        for row in rows
    ]
