"""A notebook that stops before its end, in whatever way, is no result: the stage fails and names the cell."""

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, commit
from test_run import repro

pytestmark = pytest.mark.slow
SILENT = "class Stop(Exception):\n    def _render_traceback_(self):\n        return {}\n\nraise Stop"
WAYS = {
    "sys.exit()": "import sys\nsys.exit()",
    "sys.exit(0)": "import sys\nsys.exit(0)",
    "sys.exit(None)": "import sys\nsys.exit(None)",
    "raise SystemExit": "raise SystemExit",
    "raise SystemExit('0')": "raise SystemExit('0')",
    "an exit with a status": "import sys\nsys.exit(3)",
    "exit()": "exit()",
    "quit": "quit",
    "exit(keep_kernel=True)": "exit(keep_kernel=True)",
    "in a function": "import sys\n\ndef leave():\n    sys.exit()\n\nleave()",
    "in a captured cell": "%%capture\nimport sys\nsys.exit()",
    "in a timed cell": "%%time\nimport sys\nsys.exit()",
    "in another cell's call": "get_ipython().run_cell('import sys; sys.exit()')",
    "an exception without a traceback": SILENT.format("None"),
    "an exception with an empty traceback": SILENT.format("[]"),
    "an exception that a handler hides": (
        "get_ipython().set_custom_exc((ValueError,), lambda *_, **__: None)\nraise ValueError('hidden')"
    ),
    "an interrupt": "raise KeyboardInterrupt",
    "a process that ends": "import os\nos._exit(0)",
    "a kernel that is shut down": "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(30)",
    "a generator's end": "raise GeneratorExit",
    "a cancelled task": "import asyncio\nraise asyncio.CancelledError",
}
STAGES = ["validate", "prepare", "train", "export", "evaluate", "describe"]
TAGS = ["skip-execution", "raises-exception"]


def insert(project: Path, stage: str, source: str, tags: list[str] | None = None) -> None:
    """A cell before the one that saves the results."""
    path = project / "notebooks" / f"{stage}.ipynb"
    notebook = json.loads(path.read_text("utf-8"))
    place = max(number for number, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "code")
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "stop-here",
        "metadata": {"tags": tags} if tags else {},
        "outputs": [],
        "execution_count": None,
        "source": source,
    }
    notebook["cells"].insert(place, cell)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def results(project: Path) -> dict[str, bytes]:
    """What the pipeline has published."""
    folders = ("data/interim", "data/processed", "models", "reports")
    files = [path for folder in folders for path in (project / folder).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files if ".failed." not in path.name}


@pytest.mark.parametrize("way", WAYS)
def test_a_stage_that_ends_early_fails_and_publishes_nothing(worked: Path, run: Run, way: str) -> None:
    insert(worked, "ingest", WAYS[way])
    before = results(worked)
    done = run(worked, "nb", "run", "ingest")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ingest") and " → " in last
    assert "code cell 7" in last or "the kernel died" in last
    assert "ingest, code cell 7 (id stop-here):" in done.stderr
    assert "Traceback" not in done.stderr
    assert (worked / "reports/notebooks/ingest.failed.ipynb").is_file()
    assert results(worked) == before


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_leaves_out_no_cell_and_no_error(worked: Path, run: Run, tag: str) -> None:
    insert(worked, "ingest", "raise ValueError('the gate is closed')", [tag])
    before = results(worked)
    done = run(worked, "nb", "run", "ingest")
    assert done.returncode == 1
    assert "code cell 7" in done.stderr.splitlines()[-1]
    assert results(worked) == before


@pytest.mark.parametrize(("way", "stage"), list(zip(list(WAYS)[::2], cycle(STAGES), strict=False)))
def test_dvc_takes_no_early_end_for_a_result(worked: Path, run: Run, way: str, stage: str) -> None:
    insert(worked, stage, WAYS[way])
    run(worked, "nb", "sync")
    commit(worked)
    lock = (worked / "dvc.lock").read_bytes()
    before = results(worked)
    code, ran, said = repro(worked, run)
    assert code != 0
    assert ran == {stage}
    assert f"error: {stage}" in said and "Traceback" not in said
    assert (worked / "dvc.lock").read_bytes() == lock
    assert results(worked).items() <= before.items()  # DVC itself removes what the stage made before


def test_a_gate_that_is_never_reached_stops_the_pipeline(worked: Path, run: Run) -> None:
    path = worked / "notebooks" / "export.ipynb"
    text = path.read_text("utf-8")
    gate = "export.stop_if_different(comparison, tolerance)"
    path.write_text(text.replace(gate, f"import sys; sys.exit(); {gate}"), "utf-8")
    code, _, said = repro(worked, run)
    assert code != 0
    assert "error: export ended early in code cell" in said and "(id stop): SystemExit" in said


def test_an_end_within_a_condition_is_only_one_if_it_is_reached(worked: Path, run: Run) -> None:
    insert(worked, "ingest", "import sys\nif table.empty:\n    sys.exit()")
    done = run(worked, "nb", "run", "ingest")
    assert done.returncode == 0, done.stderr
