"""Which model answers: verified copies only; and that many requests leave the event loop free."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from bakebook.artifacts import write_bytes, write_json
from bakebook.contracts import ReadOptions, Schema
from bakebook.database.backup import upgrade
from bakebook.database.store import Store
from bakebook.models import estimators, export
from bakebook.models.runtime import Model
from bakebook.models.schema import to_X_y
from bakebook.serving.deployments import Deployments, Refused
from bakebook.serving.predictor import MOST_TOGETHER, Job, Predictor

REQUESTS = 600


@pytest.fixture
def candidate(
    table: pd.DataFrame,
    schema: Schema,
    options: ReadOptions,
    make_pipeline: Callable[..., Pipeline],
    tmp_path: Path,
) -> Path:
    """A folder with a small model, as the pipeline would write it."""
    tree = estimators.build("sklearn.tree.DecisionTreeClassifier", {}, "classification", random_state=0)
    model = make_pipeline(schema, tree).fit(*to_X_y(table, schema))
    onnx = export.convert(model, schema)
    served = Model(onnx, export.signature(onnx, schema, options))
    write_bytes(onnx, tmp_path / "candidate" / "model.onnx")
    write_json(export.with_examples(served, table), tmp_path / "candidate" / "signature.json")
    return tmp_path / "candidate"


def test_a_model_that_does_not_predict_its_examples_is_refused_and_not_tried_again(
    candidate: Path, tmp_path: Path
) -> None:
    deployments = Deployments(tmp_path / "models")
    deployments.adopt(candidate, "first", "a test")
    version = deployments.load(10).version
    signature = json.loads((candidate / "signature.json").read_text("utf-8"))
    signature["examples"][0]["probabilities"] = dict.fromkeys(signature["classes"], 0.3)
    write_json(signature, candidate / "signature.json")
    with pytest.raises(Refused, match="its prediction for example 1 differs"):
        deployments.adopt(candidate, "second", "a test")
    assert "second" in deployments.ledger().refused
    assert deployments.load(10).version == version


def test_a_model_without_examples_is_refused(candidate: Path, tmp_path: Path) -> None:
    signature = json.loads((candidate / "signature.json").read_text("utf-8"))
    write_json(signature | {"examples": []}, candidate / "signature.json")
    with pytest.raises(Refused, match="no examples"):
        Deployments(tmp_path / "models").adopt(candidate, "first", "a test")


def test_other_work_of_the_event_loop_runs_between_two_transactions(candidate: Path, tmp_path: Path) -> None:
    deployments = Deployments(tmp_path / "models")
    deployments.adopt(candidate, "first", "a test")
    served = deployments.load(10)
    rows = [{"size": 1.0, "noise": 0.5, "colour": "red"}]
    store = Store(f"sqlite:///{tmp_path / 'service.db'}")
    upgrade(store)

    async def answer_all() -> tuple[int, int]:
        predictor = Predictor(store)
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count_turns())
        jobs = [Job(rows, served, "me", "r", time.perf_counter()) for _ in range(REQUESTS)]
        answers = await asyncio.gather(*(predictor.answer(job) for job in jobs))
        counting.cancel()
        predictor.close()
        return len(answers), turns

    answered, turns = asyncio.run(answer_all())
    store.close()
    assert answered == REQUESTS
    assert turns > REQUESTS // MOST_TOGETHER
