"""The baked pipeline against the same code as plain scripts, and as notebooks that papermill runs by hand.

Each variant is the whole wine project under DVC, with the same dependencies. The `+ mlflow` variants log what the baked
project logs (parameters, metrics, datasets, files, the ONNX model) from their own four model stages, as a person would
write it; the others log nothing. All figures come from one run:

    uv run nox -s benchmarks [-- --rounds 3]
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parents[1]
BUILD = HERE / "build" / "benchmarks"
MODEL_STAGES = {"train", "export", "evaluate", "describe"}
LOGGING = """
import mlflow, pandas
mlflow.set_tracking_uri("sqlite:///{store}")
mlflow.set_experiment("by hand")
with mlflow.start_run(run_name="{stage}"):
    mlflow.log_params({{name: str(value) for name, value in p.items()}})
    for path in {tables}:
        mlflow.log_input(mlflow.data.from_pandas(pandas.read_parquet(path), name=path), context="{stage}")
    for path in {outs}:
        mlflow.log_artifact(path) if "." in path.rsplit("/", 1)[-1] else mlflow.log_artifacts(path)
    if "{stage}" == "export":
        import onnx as onnx_library
        needs = ["mlflow", "onnxruntime"]  # given, since finding them out takes MLflow several seconds
        mlflow.onnx.log_model(onnx_library.load_from_string(onnx), name="model", pip_requirements=needs)
    if "{stage}" == "evaluate":
        mlflow.log_metrics(metrics.model)
"""
Cost = tuple[float, float]


def main() -> None:
    """Prints each variant's median seconds, and its ratio to the baked project."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3, help="how often each variant runs, in turn")
    rounds = arguments.parse_args().rounds
    shutil.rmtree(BUILD, ignore_errors=True)
    bake_cost = [cost(["cookiecutter", str(HERE), "--no-input", "--output-dir", str(BUILD / str(n))]) for n in range(5)]
    project = BUILD / "0" / "wine-cultivars"
    environment = install(project)
    variants = {
        "bakebook (logs to MLflow)": project,
        "papermill by hand + mlflow": variant(project, "papermill-mlflow", by_hand, logs=True),
        "papermill by hand": variant(project, "papermill", by_hand, logs=False),
        "plain scripts + mlflow": variant(project, "scripts-mlflow", as_script, logs=True),
        "plain scripts": variant(project, "scripts", as_script, logs=False),
    }
    for place in variants.values():
        dvc(place, environment, "repro")  # a first run, not counted: the store is made, the files are warm
    full: dict[str, list[Cost]] = {name: [] for name in variants}
    idle: dict[str, list[Cost]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, place in variants.items():
            full[name].append(dvc(place, environment, "repro", "--force"))
    for _ in range(rounds * 3):
        for name, place in variants.items():
            idle[name].append(dvc(place, environment, "repro"))
    table(f"dvc repro --force, median of {rounds}", full)
    table(f"dvc repro with nothing to do, median of {rounds * 3}", idle)
    checks = {
        "nb check": [cost(["nb", "check"], project, environment) for _ in range(10)],
        "python -c pass": [cost(["python", "-c", "pass"], project, environment) for _ in range(10)],
    }
    table("nb check, median of 10", checks)
    table("baking, median of 5", {"cookiecutter --no-input": bake_cost})


def table(title: str, found: dict[str, list[Cost]]) -> None:
    print(f"\n{title:<44} {'wall s':>8} {'cpu s':>8} {'wall ratio':>11} {'cpu ratio':>10}")
    medians = {name: [statistics.median(one) for one in zip(*costs, strict=True)] for name, costs in found.items()}
    first = next(iter(medians.values()))
    for name, (wall, cpu) in medians.items():
        print(f"{name:<44} {wall:8.2f} {cpu:8.2f} {first[0] / wall:11.2f} {first[1] / cpu:10.2f}")


def cost(command: list[str], cwd: Path = HERE, environment: dict[str, str] | None = None) -> Cost:
    """Wall and CPU seconds of a command with all its children."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    program = shutil.which(command[0], path=(environment or os.environ)["PATH"]) or command[0]
    done = subprocess.run([program, *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} in {cwd} → {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def dvc(place: Path, environment: dict[str, str], *arguments: str) -> Cost:
    return cost(["dvc", *arguments], place, environment | {"PYTHONPATH": str(place / "src")})


def install(project: Path) -> dict[str, str]:
    outer = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    }
    outer |= {"CI": "true", "UV_PROJECT_ENVIRONMENT": str(BUILD / "environment")}
    subprocess.run(["uv", "sync", "--quiet", "--compile-bytecode"], cwd=project, env=outer, check=True)
    (project / "uv.lock").unlink()
    return outer | {"PATH": f"{BUILD / 'environment' / 'bin'}{os.pathsep}{outer['PATH']}"}


def variant(project: Path, name: str, command: Callable[[Path, str, str], str], *, logs: bool) -> Path:
    """A copy of the project whose stages call something else than `nb run`."""
    place = Path(shutil.copytree(project, BUILD / name / project.name))
    pipeline = yaml.safe_load((place / "dvc.yaml").read_text(encoding="utf-8"))
    params = yaml.safe_load((place / "params.yaml").read_text(encoding="utf-8"))
    (place / "params").mkdir()
    for stage, entry in pipeline["stages"].items():
        (place / "params" / f"{stage}.yaml").write_text(yaml.safe_dump(params[stage]), encoding="utf-8")
        outs = [next(iter(out)) if isinstance(out, dict) else out for out in entry["outs"] + entry.get("metrics", [])]
        outs = [out for out in outs if not out.startswith("reports/notebooks")]
        tables = [str(place / dep) for dep in entry["deps"] if dep.endswith(".parquet")]
        outs = [str(place / out) for out in outs]
        code = LOGGING.format(store=place / "mlflow.db", stage=stage, outs=outs, tables=tables)
        entry["cmd"] = command(place, stage, code if logs and stage in MODEL_STAGES else "")
        if command is as_script:
            entry["outs"] = [out for out in entry["outs"] if out != f"reports/notebooks/{stage}.ipynb"]
            entry["deps"] = [dep.replace(f"notebooks/{stage}.ipynb", f"scripts/{stage}.py") for dep in entry["deps"]]
    (place / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    return place


def by_hand(place: Path, stage: str, code: str) -> str:
    """The notebook, with its logging as a last cell, run by papermill's own command."""
    path = place / "notebooks" / f"{stage}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    if code:
        cell = {
            "cell_type": "code",
            "id": "log",
            "metadata": {},
            "source": code,
            "execution_count": None,
            "outputs": [],
        }
        notebook["cells"].append(cell)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (place / "reports" / "notebooks").mkdir(parents=True, exist_ok=True)
    return (
        f"papermill notebooks/{stage}.ipynb reports/notebooks/{stage}.ipynb "
        f"-f params/{stage}.yaml --cwd notebooks -k python3 --no-progress-bar"
    )


def as_script(place: Path, stage: str, code: str) -> str:
    """The code cells as one script; a bare last expression shows nothing, as in any script."""
    notebook = json.loads((place / "notebooks" / f"{stage}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (place / "scripts").mkdir(exist_ok=True)
    (place / "scripts" / f"{stage}.py").write_text("\n\n".join([*cells, code]), encoding="utf-8")
    return f"python scripts/{stage}.py"


if __name__ == "__main__":
    main()
