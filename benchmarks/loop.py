"""When four rules would retrain, over simulated years: `nb monitor`'s, a monthly score below the threshold, river's
Page-Hinkley test and Evidently's share of drifted columns.

uv run nox -s loop
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from bakebook.lifecycle.traffic import Traffic
from bakebook.models.runtime import Model
from bakebook.monitoring import alarm
from bakebook.params import SHIFTS, Shift

YEARS = 40
MONTHS = 12
LABELS = 90  # in each month
MANY = 20_000  # rows for a score without chance
WRONG = 0.3  # of the labels are drawn at random, so that the score begins at about 0.8
THRESHOLDS = (0.55, 0.75)
ALPHA = 0.05
PEERS = ("--with", "evidently>=0.7.21,<0.8", "--with", "river>=0.22", "--with", "pandas>=2,<3")
PEER = """
import sys
import pandas as pd
from evidently import Dataset, DataDefinition, Report
from evidently.presets import DataDriftPreset
from river.drift import PageHinkley

rows, reference = (pd.read_parquet(path) for path in sys.argv[1:3])
definition = DataDefinition(numerical_columns=list(reference))
usual = Dataset.from_pandas(reference, data_definition=definition)
found = []
for (shift, year), part in rows.groupby(["shift", "year"]):
    test, first = PageHinkley(), {"river": 0, "evidently": 0}
    for month, window in part.groupby("month"):
        for is_wrong in window["is_wrong"]:
            test.update(float(is_wrong))
            if test.drift_detected and not first["river"]:
                first["river"] = month
        if not first["evidently"]:
            current = Dataset.from_pandas(window[list(reference)], data_definition=definition)
            report = Report([DataDriftPreset()]).run(current, usual).dict()
            (share,) = (one["value"]["share"] for one in report["metrics"] if "Drifted" in one["metric_name"])
            first["evidently"] = month * (share >= 0.5)
    found.append({"shift": shift, "year": year, **first})
pd.DataFrame(found).to_parquet(sys.argv[3])
"""


@dataclass(frozen=True)
class Year:
    """Months of labelled rows: truth and prediction as places among the classes, and the inputs."""

    truth: list[np.ndarray]
    predicted: list[np.ndarray]
    inputs: list[pd.DataFrame]


class Production:
    """The demo's model, and callers."""

    def __init__(self) -> None:
        self.model = Model.load(Path("models/model.onnx"), Path("models/signature.json"))
        self.table = pd.read_parquet("data/interim/table.parquet")
        self.names = [one.name for one in self.model.signature.inputs]
        self._classes = pd.Index(self.model.classes or ())
        self._traffic = Traffic(self.table, self.model.signature, [])

    def year(self, shift: Shift, seed: int, rows: int) -> Year:
        random = np.random.default_rng(seed)
        found = Year([], [], [])
        for month in range(MONTHS):
            given, labels = self._traffic.month(rows, month / (MONTHS - 1), shift, random)
            inputs = pd.DataFrame(given)[self.names]
            answers = self.model.predict({name: inputs[name].to_numpy() for name in self.names})
            truth = self._classes.get_indexer(labels)
            is_drawn = random.random(rows) < WRONG
            truth[is_drawn] = random.integers(len(self._classes), size=is_drawn.sum())
            found.truth.append(truth)
            found.predicted.append(self._classes.get_indexer(answers.values))
            found.inputs.append(inputs)
        return found


def score(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(f1_score(truth, predicted, average="macro"))


def first_month(is_so: list[bool]) -> int:
    """The first month, from 1, in which it is so; 0 where it never is."""
    return is_so.index(True) + 1 if True in is_so else 0


def ours(year: Year, threshold: float) -> int:
    rule = alarm.Rule("f1_macro", threshold, ALPHA)
    months = list(zip(year.truth, year.predicted, strict=True))
    return first_month([alarm.is_alarm(months[: number + 1], rule) for number in range(MONTHS)])


def below(year: Year, threshold: float) -> int:
    scores = map(score, year.truth, year.predicted)
    return first_month([one < threshold for one in scores])


def peers(production: Production, years: dict[tuple[Shift, int], Year]) -> pd.DataFrame:
    """The first month in which each peer would retrain, in an environment of its own."""
    parts = []
    for (shift, number), year in years.items():
        for month, inputs in enumerate(year.inputs, start=1):
            is_wrong = year.truth[month - 1] != year.predicted[month - 1]
            parts.append(inputs.assign(shift=shift, year=number, month=month, is_wrong=is_wrong))
    with tempfile.TemporaryDirectory() as folder:
        rows, reference, found = (Path(folder) / f"{name}.parquet" for name in ("rows", "reference", "found"))
        pd.concat(parts).to_parquet(rows)
        pd.read_parquet("data/processed/test.parquet")[production.names].astype(float).to_parquet(reference)
        command = ["uv", "run", "--no-project", "--quiet", *PEERS, "python", "-c", PEER, rows, reference, found]
        variables = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        subprocess.run(command, env=variables, check=True)
        return pd.read_parquet(found).set_index(["shift", "year"])


def told(months: list[int], due: int) -> str:
    """Of how many years the rule retrained when it was due, how late (median), and when it was not."""
    wrong = sum(0 < month < (due or MONTHS + 1) for month in months)
    if not due:
        return f"{wrong} wrong"
    late = [month - due for month in months if month >= due]
    right = f"{len(late)}, {np.median(late):g} months late" if late else "none"
    return f"{right}, {wrong} too early" if wrong else right


def main() -> None:
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], check=True)
    production = Production()
    years = {(shift, number): production.year(shift, number, LABELS) for shift in SHIFTS for number in range(YEARS)}
    others = peers(production, years)
    print("| threshold | change | due | `nb monitor` | month below | Page-Hinkley (river) | drift (Evidently) |")
    print("|---|---|---|---|---|---|---|")
    for threshold in THRESHOLDS:
        for shift in SHIFTS:
            due = below(production.year(shift, YEARS, MANY), threshold)
            chosen = [years[shift, number] for number in range(YEARS)]
            cells = [
                told([ours(year, threshold) for year in chosen], due),
                told([below(year, threshold) for year in chosen], due),
                *(told(others.loc[shift][name].tolist(), due) for name in ("river", "evidently")),
            ]
            when = f"month {due}" if due else "never"
            print(f"| {threshold:g} | {shift} | {when} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
