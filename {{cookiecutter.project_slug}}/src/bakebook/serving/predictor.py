"""Predicts and stores: requests that wait together are committed together, and no answer is sent
before its commit.
"""

import asyncio
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import random
from typing import Any

from bakebook.database.store import Store, new_id
from bakebook.errors import Unreachable
from bakebook.models.columns import NotComputed
from bakebook.serving.deployments import Served
from bakebook.serving.problems import Overloaded, not_computed
from bakebook.serving.schemas import Row
from bakebook.serving.unfamiliar import Warning_

# Rows that are predicted between two requests; more go to a thread, so that others need not wait
FEW_ROWS = 50
MOST_WAITING = 1000  # requests
MOST_TOGETHER = 64  # requests in one transaction
FAILURE_LASTS_S = 10.0  # in which a prediction that could not be stored says that none can be
DATABASE_TIMEOUT_S = 3.0  # after which a request is told that the database is away
ROWS_PER_S = 1000  # by which the timeout grows

Stored = dict[str, Any]  # a row of the table of predictions
Predicted = tuple[Stored, list[Warning_]]
Answer = dict[str, Any]  # id, predicted, probabilities (None for a number), model_version, warnings


@dataclass(frozen=True, slots=True)
class Job:
    """Rows that were checked, and the model whose signature they fit."""

    rows: list[Row]
    served: Served
    caller: str
    request_id: str
    started: float  # time.perf_counter
    sample: float = 0.0  # the share that is drawn at random


@dataclass(frozen=True, slots=True)
class _Waiting:
    job: Job
    answer: asyncio.Future[list[Answer]]


class Predictor:
    """Answers small jobs in the order in which they arrive, on the event loop as long as the
    database does not block; large ones in threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._worker: asyncio.Task[None] | None = None
        self._failed_at = -math.inf  # when the last commit failed, by time.monotonic
        self._database_thread = ThreadPoolExecutor(1, "database")
        # Not those of file uploads, which wait for these
        self._model_threads = ThreadPoolExecutor(2, "model")

    async def answer(self, job: Job) -> list[Answer]:
        """One answer per row. Raises Unreachable when the database is away, Overloaded when too
        many requests wait.
        """
        loop = asyncio.get_running_loop()
        if len(job.rows) > FEW_ROWS:
            predicted = await loop.run_in_executor(self._model_threads, _predict, job)
            with self._watched():
                await self._store_in_thread([row for row, _ in predicted])
            return await loop.run_in_executor(self._model_threads, _answers, predicted)
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded("too many requests are waiting", "send it again later")
        waiting = _Waiting(job, loop.create_future())
        self._waiting.append(waiting)
        if not self._worker or self._worker.done():
            self._worker = asyncio.create_task(self._answer_waiting())
        return await waiting.answer

    def check(self) -> None:
        """Raises Unreachable where the last prediction could not be stored, some seconds ago."""
        if time.monotonic() - self._failed_at < FAILURE_LASTS_S:
            what = "the database did not store the last prediction"
            raise Unreachable(what, "see its log and its disk")

    def close(self) -> None:
        for threads in (self._database_thread, self._model_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _answer_waiting(self) -> None:
        """Answers what waits, in transactions of several requests, until nothing waits."""
        while self._waiting:
            together = self._waiting[:MOST_TOGETHER]
            self._waiting = self._waiting[MOST_TOGETHER:]
            predicted = _predict_each([one for one in together if not one.answer.done()])
            rows = [row for _, some in predicted for row, _ in some]
            try:
                with self._watched():
                    if not self._store.add_predictions_now(rows):
                        await self._store_in_thread(rows)
            except Exception as error:
                for waiting, _ in predicted:
                    _fail(waiting, error)
            else:
                for waiting, some in predicted:
                    if not waiting.answer.done():  # the caller may have left
                        waiting.answer.set_result(_answers(some))
            await asyncio.sleep(0)  # sends these answers before the next transaction

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Remembers whether the commit in this block failed."""
        try:
            yield
        except Exception:
            self._failed_at = time.monotonic()
            raise
        self._failed_at = -math.inf

    async def _store_in_thread(self, rows: list[Stored]) -> None:
        """Commits in a thread, which may have to wait for the database."""
        loop = asyncio.get_running_loop()
        stored = loop.run_in_executor(self._database_thread, self._store.add_predictions, rows)
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S + len(rows) / ROWS_PER_S):
                await stored
        except TimeoutError:
            what = (
                f"the database did not store the prediction within {DATABASE_TIMEOUT_S:g} seconds"
            )
            raise Unreachable(what, "send it again") from None


def _predict_each(waiting: list[_Waiting]) -> list[tuple[_Waiting, list[Predicted]]]:
    """What is predicted for each request; one that fails is answered with its error."""
    found = []
    for one in waiting:
        try:
            found.append((one, _predict(one.job)))
        except Exception as error:
            _fail(one, error)
    return found


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _predict(job: Job) -> list[Predicted]:
    """What is stored of each row, and how it is unlike the training."""
    served = job.served
    classes = served.model.classes
    try:
        prediction = served.model.predict(served.rows.columns(job.rows))
    except NotComputed as error:
        raise not_computed(error) from None
    values = prediction.values.tolist()
    likelihoods = None if prediction.probabilities is None else prediction.probabilities.tolist()
    now = datetime.now(UTC)
    latency_ms = (time.perf_counter() - job.started) * 1000
    rows = []
    for place, inputs in enumerate(job.rows):
        warnings = served.rows.warnings(served.rows.meant(inputs))
        probabilities = None
        uncertainty = None
        if classes and likelihoods:
            probabilities = dict(zip(classes, likelihoods[place], strict=True))
            uncertainty = 1 - max(likelihoods[place])
        row = {
            "id": new_id(),
            "made_at": now,
            "request_id": job.request_id,
            "caller": job.caller,
            "model_version": served.version,
            "inputs": inputs,
            "predicted": str(values[place]),
            "probabilities": probabilities,
            "uncertainty": uncertainty,
            "latency_ms": latency_ms,
            "is_sample": random() < job.sample,  # noqa: S311 - no secret
            "unfamiliar": len(warnings),
        }
        rows.append((row, warnings))
    return rows


def _answers(predicted: list[Predicted]) -> list[Answer]:
    return [
        {
            "id": row["id"],
            "predicted": row["predicted"] if row["probabilities"] else float(row["predicted"]),
            "probabilities": row["probabilities"],
            "model_version": row["model_version"],
            "warnings": warnings,
        }
        for row, warnings in predicted
    ]
