"""The pipeline on tables of 10⁴ to 10⁷ rows: seconds and peak memory of each stage, and how they grow.

A CSV file of 13 inputs and a class, made here; `nb data use`, then each stage by `nb run`. Memory is the sum of the
peaks of a command's processes above what it needs for the smallest of the tables, in tables (rows × 14 columns × 8
bytes). The estimator is one whose time is linear in rows: histogram gradient boosting, 30 rounds, two folds.

    uv run nox -s rows [-- --powers 4 5 6 7]
"""

import argparse
import contextlib
import math
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pipeline
import psutil

HERE = Path(__file__).resolve().parents[1]
COMMANDS = ["data use", "ingest", "validate", "prepare", "train", "export", "evaluate", "describe"]
COLUMNS = 14
SETTINGS = {
    r"estimator: sklearn\.\w+\.\w+": "estimator: sklearn.ensemble.HistGradientBoostingClassifier",
    r"hyperparameters:.*\n(?:    .*\n)+": "hyperparameters: {max_iter: 30, early_stopping: false}\n",
    r"cv: 5": "cv: 2",
}
Cost = tuple[float, float]


def main() -> None:
    """Prints seconds and memory of each stage for each size, and the ratios that matter."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--powers", type=int, nargs="+", default=[4, 5, 6, 7], help="of ten: how many rows")
    sizes = [10**power for power in arguments.parse_args().powers]
    shutil.rmtree(pipeline.BUILD, ignore_errors=True)
    pipeline.cost(["cookiecutter", str(HERE), "--no-input", "--output-dir", str(pipeline.BUILD / "rows")])
    project = pipeline.BUILD / "rows" / "wine-cultivars"
    environment = pipeline.install(project) | {"PYTHONPATH": str(project / "src")}
    found: dict[int, dict[str, Cost]] = {}
    for rows in sizes:
        source = make(pipeline.BUILD / "rows" / "measured.csv", rows)
        use = ["data", "use", str(source), "--target", "kind", "--task", "classification", "--reset"]
        found[rows] = {"data use": cost(use, project, environment)}
        settle(project / "params.yaml")
        for stage in COMMANDS[1:]:
            found[rows][stage] = cost(["run", stage], project, environment)
        show(rows, found)
    growth(found)


def make(path: Path, rows: int) -> Path:
    """Writes numbers of six digits, of which some decide the class, in parts that need little memory."""
    random = np.random.default_rng(rows)
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join([*(f"x{place}" for place in range(COLUMNS - 1)), "kind"]) + "\n")
        for first in range(0, rows, 100_000):
            inputs = random.normal(size=(min(100_000, rows - first), COLUMNS - 1)).round(5)
            signal = inputs[:, 0] + inputs[:, 1] * inputs[:, 2] + random.normal(0, 0.5, len(inputs))
            kind = np.digitize(signal, [-0.7, 0.7])
            np.savetxt(file, np.column_stack([inputs, kind]), fmt=["%.5f"] * (COLUMNS - 1) + ["%d"], delimiter=",")
    return path


def settle(params: Path) -> None:
    text = params.read_text(encoding="utf-8")
    for old, new in SETTINGS.items():
        text = re.sub(old, new, text)
    params.write_text(text, encoding="utf-8")


def cost(command: list[str], project: Path, environment: dict[str, str]) -> Cost:
    """Wall seconds of an `nb` command, and the sum of the peak memory of its processes in bytes."""
    program, peaks, started = shutil.which("nb", path=environment["PATH"]), dict[int, int](), time.monotonic()
    with (pipeline.BUILD / "said.txt").open("w+", encoding="utf-8") as said:
        running = psutil.Popen([program, *command], cwd=project, env=environment, stdout=said, stderr=said)
        threading.Thread(target=watch, args=(running, peaks), daemon=True).start()
        if running.wait():
            said.seek(0)
            sys.exit(f"error: nb {' '.join(command)} → {said.read()[-2000:]}")
    return time.monotonic() - started, float(sum(peaks.values()))


def watch(running: psutil.Popen, peaks: dict[int, int]) -> None:
    """Looks twenty times a second at what the processes needed so far."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while running.is_running():
            for process in [running, *running.children(recursive=True)]:
                with contextlib.suppress(OSError):
                    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
                    if peak := re.search(r"VmHWM:\s+(\d+) kB", status):
                        peaks[process.pid] = int(peak[1]) * 1024
            time.sleep(0.05)


def show(rows: int, found: dict[int, dict[str, Cost]]) -> None:
    table, first = rows * COLUMNS * 8, next(iter(found.values()))
    print(f"\n{rows:>10,} rows, a table of {table / 1e6:,.0f} MB {'seconds':>10} {'peak MB':>10} {'tables':>8}")
    for name, (seconds, peak) in found[rows].items():
        print(f"{name:<40} {seconds:10.1f} {peak / 1e6:10,.0f} {(peak - first[name][1]) / table:8.2f}", flush=True)


def growth(found: dict[int, dict[str, Cost]]) -> None:
    """How many times longer each stage takes for how many times more rows: an exponent of 1 is linear."""
    sizes = sorted(found)
    print(
        f"\n{'growth of seconds (exponent)':<40} " + " ".join(f"{'to ' + format(rows, ','):>14}" for rows in sizes[1:])
    )
    for name in COMMANDS:
        seconds = [found[rows][name][0] for rows in sizes]
        pairs = zip(sizes, sizes[1:], seconds, seconds[1:], strict=False)
        exponents = [math.log(after / before) / math.log(more / few) for few, more, before, after in pairs]
        print(f"{name:<40} " + " ".join(f"{one:14.2f}" for one in exponents))
    last = found[sizes[-1]]
    for over, under in (("data use", "ingest"), ("validate", "train")):
        print(f"{over} / {under}, {sizes[-1]:,} rows: {last[over][0] / last[under][0]:.2f}")


if __name__ == "__main__":
    main()
