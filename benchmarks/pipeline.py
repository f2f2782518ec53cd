"""The baked pipeline, started cold and warm, against its peers: all figures come from one run.

- one process: the cells of all notebooks one after the other, which is the least that this work can take
- Kedro: the cells of each notebook as a function, a node each, in one process
- scripts: the cells of each notebook as a script, a DVC stage each
- papermill by hand: the same notebooks, a DVC stage each, with a kernel of its own each; with and without MLflow
- bakebook, cold (NB_WARM=0), first (no fork server runs) and warm (the fork server has imported everything)

The CPU time of the fork server and its children counts. `+ mlflow` logs what the baked project logs, from its four
model stages, as a person would write it.

    uv run nox -s benchmarks [-- --rounds 5]
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parents[1]
BUILD = HERE / "build" / "benchmarks"
KEDRO = "kedro==1.7.0"
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
    """Prints each variant's median seconds, and its ratio to the limit, the first row."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5, help="how often each variant runs, in turn")
    rounds = arguments.parse_args().rounds
    shutil.rmtree(BUILD, ignore_errors=True)
    bake_cost = [cost(["cookiecutter", str(HERE), "--no-input", "--output-dir", str(BUILD / str(n))]) for n in range(5)]
    project = BUILD / "0" / "wine-cultivars"
    warm = install(project, "environment")
    cold = warm | {"NB_WARM": "0"}
    kedro = install(project, "kedro", KEDRO) | {"NB_WARM": "0"}
    by_mlflow = variant(project, "papermill-mlflow", by_hand, logs=True)
    places = {
        "one process (the limit)": one_process(project),
        f"Kedro {KEDRO.partition('==')[2]}": as_kedro(project),
        "scripts under DVC": variant(project, "scripts", as_script, logs=False),
        "papermill by hand under DVC": variant(project, "papermill", by_hand, logs=False),
        "papermill by hand + mlflow under DVC": by_mlflow,
        "bakebook, cold": project,
    }
    repro = ["dvc", "repro", "--force"]
    runs = {name: partial(call, repro, place, cold) for name, place in places.items()}
    runs["one process (the limit)"] = partial(call, ["python", "cells.py"], places["one process (the limit)"], cold)
    runs[f"Kedro {KEDRO.partition('==')[2]}"] = partial(call, ["kedro", "run"], BUILD / "kedro-project", kedro)
    runs["bakebook, first run"] = partial(call, repro, project, warm)
    runs["bakebook, warm"] = partial(call, repro, project, warm)
    full: dict[str, list[Cost]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            if name == "bakebook, first run":
                call(["nb", "doctor", "--fix"], project, warm)
            found = run()
            if number:  # the first round makes stores and warms files
                full[name].append(found)
    table(f"the whole pipeline, median of {rounds}", full)
    table("a stage with an empty notebook, median of 10", empty_stage(project, warm))
    idle = {name: [call(["dvc", "repro"], project, warm) for _ in range(10)] for name in ("dvc repro, nothing to do",)}
    table("median of 10", idle)
    checks = {
        "nb check": [call(["nb", "check"], project, warm) for _ in range(10)],
        "python -c pass": [call(["python", "-c", "pass"], project, warm) for _ in range(10)],
    }
    table("nb check, median of 10", checks)
    table("baking, median of 5", {"cookiecutter --no-input": bake_cost})
    print(f"\n{memory(project, warm)}")


def empty_stage(project: Path, environment: dict[str, str]) -> dict[str, list[Cost]]:
    """What a stage costs that does nothing, and one whose notebook is as `nb new` writes it."""
    place = Path(shutil.copytree(project, BUILD / "empty" / project.name))
    call(["nb", "new", "empty"], place, environment)
    pipeline = {"stages": {"nothing": {"cmd": "true"}, "empty": {"cmd": "nb run empty", "params": ["empty"]}}}
    pipeline["stages"]["empty"] |= {"deps": ["notebooks/empty.ipynb"], "outs": ["reports/notebooks/empty.ipynb"]}
    (place / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    call(["nb", "sync"], place, environment)
    names = {"cmd: true": "nothing", "an empty notebook, warm": "empty"}
    for stage in names.values():
        call(["dvc", "repro", "--force", stage], place, environment)
    return {
        shown: [call(["dvc", "repro", "--force", stage], place, environment) for _ in range(10)]
        for shown, stage in names.items()
    }


def memory(project: Path, environment: dict[str, str]) -> str:
    """What the fork server and all that it has forked take together (PSS), while stages run and after; and what a
    child has for itself.
    """
    process = subprocess.Popen(["dvc", "repro", "--force"], cwd=project, env=environment, stdout=subprocess.DEVNULL)
    child = most = 0
    while process.poll() is None:
        found = fork_servers()
        most = max(most, sum(kilobytes(pid, "Pss") for pid in found))
        for pid, parent in found.items():
            if parent in found:
                child = max(child, kilobytes(pid, "Private_Dirty"))
        time.sleep(0.1)
    time.sleep(2)  # while the last spares prepare
    idle = sum(kilobytes(pid, "Pss") for pid in fork_servers())
    shown = [f"{size // 1024} MB" for size in (most, idle, child)]
    return "memory: at most {}, idle with two spares {}; each child at most {} of its own".format(*shown)


def kilobytes(pid: int, name: str) -> int:
    with suppress(OSError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0


def fork_servers() -> dict[int, int]:
    """The fork servers and what they have forked, which has the same command line; each with its parent."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if b"bakebook.warm.server" in (entry / "cmdline").read_bytes():
                    found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def server_cpu() -> float:
    """CPU seconds of the fork servers, of their children and of those that have ended."""
    ticks = 0
    for pid in fork_servers():
        with suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def one_process(project: Path) -> Path:
    place = Path(shutil.copytree(project, BUILD / "one-process" / project.name))
    stages = yaml.safe_load((place / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    code = "import matplotlib\nmatplotlib.use('Agg')\n" + "\n\n".join(cells_of(place, stage) for stage in stages)
    (place / "cells.py").write_text(code, encoding="utf-8")
    return place


def as_kedro(project: Path) -> Path:
    """A Kedro project whose nodes are functions with the cells of the notebooks."""
    place = Path(shutil.copytree(project, BUILD / "kedro-project"))
    stages = list(yaml.safe_load((place / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    package = place / "src" / "in_kedro"
    (package / "pipelines").mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "settings.py").write_text("", encoding="utf-8")
    functions = [
        f"def {stage}(before):\n{textwrap.indent(cells_of(place, stage), '    ')}\n    return True" for stage in stages
    ]
    nodes = [
        f"node({stage}, '{before}', 'after_{stage}')"
        for stage, before in zip(stages, ["params:start", *(f"after_{stage}" for stage in stages)], strict=False)
    ]
    (package / "pipeline_registry.py").write_text(
        "import matplotlib\nmatplotlib.use('Agg')\nfrom kedro.pipeline import node, pipeline\n\n"
        + "\n\n".join(functions)
        + f"\n\ndef register_pipelines():\n    return {{'__default__': pipeline([{', '.join(nodes)}])}}\n",
        encoding="utf-8",
    )
    (place / "conf" / "base").mkdir(parents=True)
    (place / "conf" / "local").mkdir()
    (place / "conf" / "base" / "parameters.yml").write_text("start: true\n", encoding="utf-8")
    (place / "conf" / "base" / "catalog.yml").write_text("{}\n", encoding="utf-8")
    with (place / "pyproject.toml").open("a", encoding="utf-8") as file:
        version = KEDRO.partition("==")[2]
        file.write(
            f'\n[tool.kedro]\npackage_name = "in_kedro"\nproject_name = "wine"\nkedro_init_version = "{version}"\n'
            'source_dir = "src"\n'
        )
    return place


def cells_of(place: Path, stage: str) -> str:
    """The code cells of a notebook as plain Python; a bare last expression shows nothing, as in any script."""
    notebook = json.loads((place / "notebooks" / f"{stage}.ipynb").read_text(encoding="utf-8"))
    return "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")


def table(title: str, found: dict[str, list[Cost]]) -> None:
    print(f"\n{title:<44} {'wall s':>8} {'cpu s':>8} {'wall ratio':>11} {'cpu ratio':>10}")
    medians = {name: [statistics.median(one) for one in zip(*costs, strict=True)] for name, costs in found.items()}
    first = next(iter(medians.values()))
    for name, (wall, cpu) in medians.items():
        print(f"{name:<44} {wall:8.2f} {cpu:8.2f} {wall / first[0]:11.2f} {cpu / first[1]:10.2f}")


def cost(command: list[str], cwd: Path = HERE, environment: dict[str, str] | None = None) -> Cost:
    """Wall and CPU seconds of a command with all its children."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    program = shutil.which(command[0], path=(environment or os.environ)["PATH"]) or command[0]
    done = subprocess.run([program, *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} in {cwd} → {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def call(command: list[str], place: Path, environment: dict[str, str]) -> Cost:
    """The cost of a command in a project, with what the fork server did for it."""
    before = server_cpu()
    wall, cpu = cost(command, place, environment | {"PYTHONPATH": str(place / "src")})
    time.sleep(0.3)  # until the server has heard of the end of its children
    return wall, cpu + max(0.0, server_cpu() - before)


def install(project: Path, name: str, *more: str) -> dict[str, str]:
    """The variables of an environment with the project and with more distributions."""
    left_out = ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "CI", "NB_WARM")
    place = BUILD / name
    outer = {name: value for name, value in os.environ.items() if name not in left_out}
    outer |= {"UV_PROJECT_ENVIRONMENT": str(place)}
    subprocess.run(["uv", "sync", "--quiet", "--compile-bytecode"], cwd=project, env=outer, check=True)
    (project / "uv.lock").unlink()
    outer |= {"VIRTUAL_ENV": str(place)}
    if more:
        date = ["--exclude-newer", "2026-11-15"]
        subprocess.run(["uv", "pip", "install", "--quiet", "--compile-bytecode", *date, *more], env=outer, check=True)
    return outer | {"PATH": f"{place / 'bin'}{os.pathsep}{outer['PATH']}"}


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
    (place / "scripts").mkdir(exist_ok=True)
    (place / "scripts" / f"{stage}.py").write_text(f"{cells_of(place, stage)}\n\n{code}", encoding="utf-8")
    return f"python scripts/{stage}.py"


if __name__ == "__main__":
    main()
