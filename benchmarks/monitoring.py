"""What `nb monitor` computes, against Evidently's default drift report on the same rows: time and memory.

uv run nox -s monitoring
uv run nox -s monitoring -- 10000x12 100000x12
"""

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bakebook.contracts import Input, Metrics, ModelFile, ReadOptions, RowCounts, Signature, Success
from bakebook.database.backup import upgrade
from bakebook.database.fast_insert import INSERT
from bakebook.database.store import Store
from bakebook.monitoring.reference import Reference
from bakebook.monitoring.watch import watch

SIZES = ("10000x12", "100000x12", "1000000x12", "100000x100")
REFERENCE_ROWS = 20_000
MONTHS = 12
SAMPLE = 0.1  # of the predictions, and half of it has a label
SHA256 = "0" * 64
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
EVIDENTLY = ("--with", "evidently>=0.7.21,<0.8", "--with", "pandas>=2,<3")
PEER = """
import resource, sys, time
import pandas as pd
from evidently import Dataset, DataDefinition, Report
from evidently.presets import DataDriftPreset

reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
begin = time.perf_counter()
definition = DataDefinition(numerical_columns=list(reference))
given = [Dataset.from_pandas(table, data_definition=definition) for table in (current, reference)]
Report([DataDriftPreset()]).run(*given).save_html(sys.argv[3])
print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def names(columns: int) -> list[str]:
    return [f"x{number}" for number in range(columns)]


def answered(inputs: np.ndarray) -> np.ndarray:
    """Probabilities (n, 2) of a model that looks at three inputs."""
    second = 1 / (1 + np.exp(-inputs[:, :3].sum(axis=1)))
    return np.column_stack([1 - second, second])


def reference_of(columns: int) -> Reference:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(REFERENCE_ROWS, columns))
    given = answered(inputs)
    return Reference(
        Signature(
            model=ModelFile(file="model.onnx", sha256=SHA256, bytes=1),
            target="y",
            task="classification",
            classes=("no", "yes"),
            inputs=tuple(Input(name=name, role="numeric", minimum=-4.0, maximum=4.0) for name in names(columns)),
            reading=ReadOptions(),
        ),
        Metrics(
            rows=RowCounts(train=1, test=1),
            model={"f1_macro": 0.8},
            baseline={},
            success=Success(passed=True, verdict="met", criteria={}),
        ),
        pa.table(dict(zip(names(columns), inputs.T, strict=True))),
        (random.random(REFERENCE_ROWS) < given[:, 1]).astype(int),
        given.argmax(axis=1),
        given,
    )


def fill(folder: Path, rows: int, columns: int) -> None:
    """The database, and the same inputs as Parquet."""
    store = Store(f"sqlite:///{folder / 'service.db'}")
    upgrade(store)
    store.close()
    random = np.random.default_rng(1)
    inputs = random.normal(size=(rows, columns)).round(6)
    given = answered(inputs)
    truth = np.where(random.random(rows) < given[:, 1], "yes", "no")
    is_sample = random.random(rows) < SAMPLE
    is_labelled = is_sample & (random.random(rows) < 0.5)
    pd.DataFrame(inputs, columns=names(columns)).to_parquet(folder / "current.parquet")
    usual = np.random.default_rng(0).normal(size=(REFERENCE_ROWS, columns))
    pd.DataFrame(usual, columns=names(columns)).to_parquet(folder / "reference.parquet")
    known = names(columns)
    ids = [f"{place:020d}{digits:016x}" for place, digits in enumerate(random.integers(2**62, size=rows).tolist())]
    with closing(sqlite3.connect(folder / "service.db")) as database:
        for place in range(rows):
            made_at = BEGIN + timedelta(days=360 * place / rows)
            second = float(given[place, 1])
            row = (
                ids[place],
                made_at.replace(tzinfo=None).isoformat(" ", "microseconds"),
                "r",
                "c",
                SHA256[:12],
                json.dumps(dict(zip(known, inputs[place].tolist(), strict=True))),
                "yes" if second > 0.5 else "no",
                json.dumps({"no": 1 - second, "yes": second}),
                min(second, 1 - second),
                1.0,
                bool(is_sample[place]),
                0,
            )
            database.execute(INSERT, row)
        labels = [(ids[place], str(truth[place])) for place in np.flatnonzero(is_labelled)]
        statement = (
            "INSERT INTO labels (prediction_id, label, labelled_by, labelled_at, number) VALUES (?, ?, 'me', ?, 1)"
        )
        database.executemany(statement, [(*label, "2026-12-31 00:00:00.000000") for label in labels])
        database.commit()


def measure(columns: int) -> None:
    """Looks at the database of DATABASE_URL and prints seconds and megabytes."""
    reference = reference_of(columns)
    begin = time.perf_counter()
    found = watch(reference, "month", MONTHS, {"f1_macro": 0.5}, 0.05)
    seconds = time.perf_counter() - begin
    if len(found.windows) != MONTHS or found.alarms:
        raise SystemExit(f"{len(found.windows)} windows, alarms: {found.alarms}")
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def called(*command: str, **variables: str) -> tuple[float, float]:
    """The two numbers that a program prints last."""
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds, megabytes = done.stdout.split()[-2:]
    return float(seconds), float(megabytes)


def main(sizes: list[str]) -> None:
    print("| predictions × inputs | nb monitor | Evidently | ratio of the times |\n|---|---|---|---|")
    for size in sizes:
        rows, columns = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            fill(folder, rows, columns)
            address = f"sqlite:///{folder / 'service.db'}"
            own = called(sys.executable, __file__, "--measure", str(columns), DATABASE_URL=address)
            isolated = ["uv", "run", "--isolated", "--no-project", *EVIDENTLY, "python", "-c", PEER]
            files = [str(folder / name) for name in ("reference.parquet", "current.parquet", "report.html")]
            peer = called(*isolated, *files)
        shown = [f"{seconds:.1f} s, {megabytes:.0f} MB" for seconds, megabytes in (own, peer)]
        print(f"| {rows:,} × {columns} | {shown[0]} | {shown[1]} | {peer[0] / own[0]:.1f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(int(sys.argv[2]))
    else:
        main(sys.argv[1:] or list(SIZES))
