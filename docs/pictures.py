"""The pictures of README and guide, made from the demo: the pipeline, a column of one's own in the importance plot,
the model card, a page to label on, MLflow's table of trainings, `nb compare`, `explore.ipynb`, a
simulated year.

Run `uv run nox -s demo` first, then `uv run nox -s pictures`. Cards and pages are drawn by Chromium.
"""

import base64
import contextlib
import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import Request, urlopen

import markdown
import matplotlib.pyplot as plt
import yaml

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent / "build" / "demo" / "wine-cultivars"
PICTURES = HERE / "pictures"
PORT = 18020
IDENTITY = ["-c", "user.name=Bakebook", "-c", "user.email=demo@example.com", "-c", "commit.gpgsign=false"]
PLACES = {
    "ingest": (0, 0), "validate": (1, 0), "prepare": (2, 0), "train": (3, 0),
    "export": (4, 0.55), "evaluate": (4, -0.55), "describe": (5, 0),
}  # fmt: skip
STYLE = "body{font:16px system-ui,sans-serif;width:820px;margin:24px} img{width:390px} td,th{padding:2px 14px 2px 0}"
STYLE += "table{border-collapse:collapse} tr{border-bottom:1px solid #ddd} th{text-align:left}"


def main() -> None:
    """Writes docs/pictures/*.png."""
    if not (DEMO / "reports" / "MODEL_CARD.md").exists():
        sys.exit("error: there is no demo → uv run nox -s demo")
    PICTURES.mkdir(exist_ok=True)
    pipeline()
    with tempfile.TemporaryDirectory() as folder:
        project = with_own_column(Path(folder))
        notebook_figure(project, "evaluate", "importance-plot", PICTURES / "importance.png")
        runs_page(project)
        comparison(project)
        exploration(project)
    card()
    label_page()
    simulation()


def simulation() -> None:
    """The chart of a simulated year."""
    subprocess.run([program("nb"), "simulate"], cwd=DEMO, env=variables(DEMO), check=True)
    shutil.copyfile(DEMO / "reports" / "simulation.png", PICTURES / "simulation.png")


def pipeline() -> None:
    """The stages and what each leaves, as dvc.yaml says; an arrow that others imply is left out."""
    stages = yaml.safe_load((DEMO / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    made = {path: name for name, stage in stages.items() for path in paths(stage, "outs", "metrics")}
    figure, axes = plt.subplots(figsize=(11, 2.6), layout="constrained")
    needs = {name: {made[dep] for dep in paths(stage, "deps") if dep in made} for name, stage in stages.items()}
    for name, stage in stages.items():
        x, y = PLACES[name]
        implied = {far for near in needs[name] for far in upstream(needs, near)}
        for before in needs[name] - implied:
            arrow = {"arrowstyle": "->", "color": "#8a97a3", "shrinkA": 34, "shrinkB": 34}
            axes.annotate("", (x, y), PLACES[before], arrowprops=arrow)
        left = [Path(path).name for path in paths(stage, "outs", "metrics") if "notebooks" not in path]
        box = {"boxstyle": "round,pad=0.5", "facecolor": "#2f6f9f", "edgecolor": "none"}
        axes.text(x, y, name, ha="center", va="center", color="white", fontsize=12, bbox=box)
        axes.text(x, y - 0.24, "\n".join(left), ha="center", va="top", fontsize=7, color="#555555")
    axes.set(xlim=(-0.5, 5.5), ylim=(-1.15, 0.8))
    axes.axis("off")
    figure.savefig(PICTURES / "pipeline.png", dpi=130, metadata={"Software": None})


def with_own_column(folder: Path) -> Path:
    """A copy of the demo that has run with the column of the README."""
    project = Path(shutil.copytree(DEMO, folder / DEMO.name, ignore=shutil.ignore_patterns(".venv")))
    readme = (HERE.parent / "README.md").read_text(encoding="utf-8")
    code = readme.partition("```python\n")[2].partition("```")[0]
    (project / "src" / "wine_cultivars" / "columns.py").write_text(code, encoding="utf-8")
    for command in ([program("dvc"), "repro", "--quiet"], ["git", *IDENTITY, "commit", "-qam", "A column of our own"]):
        subprocess.run(command, cwd=project, env=variables(project), check=True)
    return project


def program(name: str) -> Path:
    return DEMO / ".venv" / ("Scripts" if os.name == "nt" else "bin") / name


def variables(project: Path) -> dict[str, str]:
    """The demo's environment, with the sources of a copy."""
    path = f"{program('nb').parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(project / "src")}


def notebook_figure(project: Path, stage: str, cell: str, target: Path) -> None:
    """The picture that a cell of an executed notebook shows."""
    notebook = json.loads((project / "reports" / "notebooks" / f"{stage}.ipynb").read_text(encoding="utf-8"))
    (outputs,) = [one["outputs"] for one in notebook["cells"] if one["id"] == cell]
    target.write_bytes(base64.b64decode(outputs[0]["data"]["image/png"]))


def card() -> None:
    """The head of the model card, as a browser shows it."""
    text = (DEMO / "reports" / "MODEL_CARD.md").read_text(encoding="utf-8").split("\n---\n", 1)[1]
    page(markdown.markdown(text, extensions=["tables", "fenced_code"]), PICTURES / "card.png", "870,900")


def runs_page(project: Path) -> None:
    """MLflow's table of trainings, as `nb runs` opens it, after two more of them."""
    for trees in (20, 300):
        set_trees = ["--set-param", f"train.hyperparameters.n_estimators={trees}"]
        command = [program("dvc"), "exp", "run", "--quiet", *set_trees]
        subprocess.run(command, cwd=project, env=variables(project), check=True)
    command = [program("nb"), "runs", f"--port={PORT + 1}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=project, env=variables(project), stdout=pipe, text=True) as server:
        try:
            assert server.stdout  # noqa: S101 - a pipe
            draw(server.stdout.readline().strip(), PICTURES / "runs.png", "1700,640", patience_ms=20_000)
        finally:
            server.terminate()


def comparison(project: Path) -> None:
    """What `nb compare` prints of the last two commits and an experiment."""
    told = variables(project) | {"COLUMNS": "160", "NO_COLOR": "1"}
    asked = [program("dvc"), "exp", "list", "--name-only"]
    command = ["nb", "compare", "HEAD~1", "HEAD", said(asked, project, told).split()[0]]
    printed = said([program("nb"), *command[1:]], project, told)
    text = html.escape(f"$ uv run {' '.join(command)}\n{printed}")
    page(f"<pre style='font-size:14px'>{text}</pre>", PICTURES / "compare.png", "1580,480")


def said(command: list[object], project: Path, told: dict[str, str]) -> str:
    done = subprocess.run(list(map(str, command)), cwd=project, env=told, check=True, capture_output=True, text=True)
    return done.stdout


def exploration(project: Path) -> None:
    """The figures of explore.ipynb."""
    with tempfile.TemporaryDirectory() as folder:
        done = Path(folder) / "explore.ipynb"
        command = [program("papermill"), "notebooks/exploratory/explore.ipynb", str(done)]
        subprocess.run(command, cwd=project, env=variables(project), check=True, capture_output=True)
        cells = json.loads(done.read_text(encoding="utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    figures = [data["image/png"] for data in outputs if "image/png" in data]
    shown = "".join(
        f"<img style='width:49%;vertical-align:top' src='data:image/png;base64,{one.strip()}'>" for one in figures
    )
    page(shown, PICTURES / "explore.png", "870,720")


def page(body: str, target: Path, size: str) -> None:
    """Draws a page of our own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "page.html"
        place.write_text(f"<meta charset=utf-8><style>{STYLE}</style>{body}", encoding="utf-8")
        draw(place.as_uri(), target, size)


def label_page() -> None:
    """The queue of what was predicted and waits for a label."""
    examples = json.loads((DEMO / "models" / "signature.json").read_text(encoding="utf-8"))["examples"]
    with tempfile.TemporaryDirectory() as folder:
        told = variables(DEMO) | {"NB_STATE": folder, "NB_PORT": str(PORT)}
        service = subprocess.Popen([program("nb"), "serve"], cwd=DEMO, env=told, stdout=subprocess.DEVNULL)
        try:
            rows = json.dumps([example["inputs"] for example in examples]).encode()
            predict = Request(f"http://127.0.0.1:{PORT}/predict", rows, {"Content-Type": "application/json"})
            ends = time.monotonic() + 30
            while time.monotonic() < ends:
                with contextlib.suppress(OSError), urlopen(predict, timeout=5):  # noqa: S310 - of our own
                    break
                time.sleep(0.2)
            draw(f"http://127.0.0.1:{PORT}/label", PICTURES / "label.png", "1080,640")
        finally:
            service.terminate()
            service.wait(timeout=30)


def draw(address: str, target: Path, size: str, patience_ms: int = 3000) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        sys.exit("error: there is no Chromium to draw with → install it")
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with tempfile.TemporaryDirectory() as folder:
        how = [f"--user-data-dir={folder}", "--hide-scrollbars", f"--window-size={size}", f"--screenshot={target}"]
        how += [f"--virtual-time-budget={patience_ms}"]  # until all of it is painted
        subprocess.run([chromium, *quiet, *how, address], check=True, capture_output=True)


def upstream(needs: dict[str, set[str]], name: str) -> set[str]:
    """All stages that come before one."""
    return needs[name] | {far for near in needs[name] for far in upstream(needs, near)}


def paths(stage: dict[str, list[object]], *kinds: str) -> list[str]:
    entries = [entry for kind in kinds for entry in stage.get(kind, [])]
    return [next(iter(entry)) if isinstance(entry, dict) else str(entry) for entry in entries]


if __name__ == "__main__":
    main()
