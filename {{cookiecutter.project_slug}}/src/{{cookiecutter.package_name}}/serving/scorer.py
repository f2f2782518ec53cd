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
        self._work: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "database")
        self._model_threads = ThreadPoolExecutor(2, "model")  # their own: a file's thread waits for them

    async def answer(self, job: Job) -> Answers:
        """One dictionary per row: id, predicted, probabilities (null for a number), model_version.

        Raises Unreachable when the database is away, Overloaded when too many wait.
        """
        if len(job.rows) > FEW:
            loop = asyncio.get_running_loop()
            kept = await loop.run_in_executor(self._model_threads, _rows, job)
            await self._patiently(kept)
            return await loop.run_in_executor(self._model_threads, _answers, kept)
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._work is None:
            self._work = asyncio.create_task(self._answer_waiting())
        return await future

    def close(self) -> None:
        for threads in (self._thread, self._model_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _answer_waiting(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                await self._answer_together([(job, future) for job, future in together if not future.done()])
        finally:
            self._work = None

    async def _answer_together(self, jobs: list[tuple[Job, asyncio.Future[Answers]]]) -> None:
        found: list[tuple[asyncio.Future[Answers], Answers]] = []
        for job, future in jobs:
            try:
                found.append((future, _rows(job)))
            except Exception as error:
                future.set_exception(error)
        rows = [row for _, some in found for row in some]
        try:
            if not self._store.add_at_once(rows):
                await self._patiently(rows)
        except Exception as error:
            for future, _ in found:
                if not future.done():
                    future.set_exception(error)
            return
        for future, some in found:
            if not future.done():
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
