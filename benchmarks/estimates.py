"""How near the estimated score of `nb monitor` is to the true one where inputs move: the table of docs/guide.md.

uv run nox -s estimates
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB

from bakebook.contracts import Input, Metrics, ModelFile, ReadOptions, RowCounts, Signature, Success
from bakebook.monitoring.estimated import estimator
from bakebook.monitoring.influence import SCORES
from bakebook.monitoring.observations import Observations
from bakebook.monitoring.reference import Reference

NAMES = ("x0", "x1", "x2", "x3")
LEARNT, TESTED, SEEN = 1500, 800, 500  # rows
SHIFTS = np.linspace(0, 1.5, 6)  # standard deviations by which two inputs move
SEEDS = range(10)
CLASSES = ("a", "b", "c")
METRICS = Metrics(
    rows=RowCounts(train=1, test=1), model={}, baseline={}, success=Success(passed=True, verdict="met", criteria={})
)
Truth = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Case:
    """How the target comes from the inputs, the model, and the scores that are estimated."""

    name: str
    truth: Truth
    model: BaseEstimator
    scores: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...] | None:
        return CLASSES if "accuracy" in self.scores else None


def three_classes(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Sure far from two bent borders, a guess near them."""
    place = x[:, 0] + 0.5 * x[:, 1] ** 2 + x[:, 2] / 2
    noisy = place + random.logistic(scale=0.3 + 0.3 * (x[:, 0] > 0), size=len(x))
    return np.digitize(noisy, [-0.3, 1.0])


def number(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A curve, whose noise grows with one input."""
    return np.sin(x[:, 0]) + x[:, 1] * x[:, 2] / 2 + random.normal(size=len(x)) * (0.2 + 0.3 * np.abs(x[:, 0]))


CASES = (
    Case("classes, random forest", three_classes, RandomForestClassifier(random_state=0), ("f1_macro", "accuracy")),
    Case("classes, logistic regression", three_classes, LogisticRegression(), ("f1_macro", "accuracy")),
    Case("classes, naive Bayes", three_classes, GaussianNB(), ("f1_macro", "accuracy")),
    Case("numbers, random forest", number, RandomForestRegressor(random_state=0), ("mae", "rmse")),
    Case("numbers, linear regression", number, LinearRegression(), ("mae", "rmse")),
)


def inputs(rows: int, shift: float, random: np.random.Generator) -> np.ndarray:
    x = random.normal(size=(rows, len(NAMES)))
    x[:, :2] += shift
    return x


def table(x: np.ndarray) -> pa.Table:
    return pa.table(dict(zip(NAMES, x.T, strict=True)))


def answers(case: Case, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """What the model predicts, and its probabilities."""
    if not case.classes:
        return case.model.predict(x), None  # type: ignore[attr-defined]
    given = case.model.predict_proba(x)  # type: ignore[attr-defined]
    return given.argmax(axis=1), given


def reference(case: Case, random: np.random.Generator) -> Reference:
    x = inputs(LEARNT, 0, random)
    case.model.fit(x, case.truth(x, random))  # type: ignore[attr-defined]
    x = inputs(TESTED, 0, random)
    signature = Signature(
        model=ModelFile(file="model.onnx", sha256="0" * 64, bytes=1),
        target="y",
        task="classification" if case.classes else "regression",
        classes=case.classes,
        inputs=tuple(Input(name=name, role="numeric", minimum=-4.0, maximum=4.0) for name in NAMES),
        reading=ReadOptions(),
    )
    return Reference(signature, METRICS, table(x), case.truth(x, random), *answers(case, x))


def tried(case: Case) -> dict[str, np.ndarray]:
    """For each score the windows (n, 3): the distance of the estimate, that of the test score, whether the interval
    covers.
    """
    found: dict[str, list[tuple[float, float, bool]]] = {name: [] for name in case.scores}
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        known = reference(case, random)
        model = estimator(known, dict.fromkeys(case.scores, 0.5))
        for shift in SHIFTS:
            x = inputs(SEEN, shift, random)
            predicted, given = answers(case, x)
            truth = case.truth(x, random)
            estimates = model.estimate(Observations(predicted, given, table(x), np.ones(SEEN)))
            for name in case.scores:
                true = SCORES[name](truth, predicted)[0]
                tested = SCORES[name](known.truth, known.predicted)[0]
                one = estimates[name]
                covers = bool(one.interval) and one.interval.low <= true <= one.interval.high
                found[name].append((abs(one.score - true), abs(tested - true), covers))
    return {name: np.array(rows, float) for name, rows in found.items()}


def main() -> None:
    print("| model | score | estimate | test score | interval covers |\n|---|---|---|---|---|")
    for case in CASES:
        for name, rows in tried(case).items():
            estimate, assumed, covered = rows.mean(axis=0)
            print(f"| {case.name} | {name} | {estimate:.3f} | {assumed:.3f} | {covered:.0%} |", flush=True)


if __name__ == "__main__":
    main()
