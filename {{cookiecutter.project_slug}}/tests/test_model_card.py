"""The model card: catalogues read its front matter, and its example runs."""

import re
from typing import Any

import pytest
from huggingface_hub import ModelCard

from bakebook import artifacts, paths
from bakebook.contracts import Metrics

pytestmark = pytest.mark.skipif(
    not paths.MODEL_CARD.exists(), reason="there is no model card yet: dvc repro"
)


def test_the_card_is_read_back_with_its_metrics() -> None:
    results = ModelCard.load(paths.MODEL_CARD).data.eval_results
    found = {result.metric_type: result.metric_value for result in results}
    assert found == artifacts.read(Metrics, paths.METRICS).model


@pytest.mark.skipif(not paths.ONNX.exists(), reason="the model is not here: dvc pull, or dvc repro")
def test_the_code_in_the_card_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(paths.ROOT)
    card = paths.MODEL_CARD.read_text(encoding="utf-8")
    code = re.search(r"```python\n(.+?)```", card, re.DOTALL)
    names: dict[str, Any] = {"__name__": "card"}
    exec(code[1], names)  # noqa: S102 - our own card
    assert len(names["prediction"].values) == 1
