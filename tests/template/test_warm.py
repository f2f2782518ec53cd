"""Notebooks that start warm do what those that start cold do."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import BUILD, Run, commit
from faults import WARM, gone, warmed, within
from playwright.sync_api import Browser, expect
from test_contract import replace
from test_jupyter import RESULTS, choose, lab, opened

pytestmark = pytest.mark.slow
PARENT = "import os; print('parent', os.getppid(), 'imported', 'sklearn' in __import__('sys').modules)"
NATIVE = """
import hashlib
import io
import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression
import skl2onnx

rng = np.random.default_rng(0)
X = rng.normal(size=(1500, 40))
y = X @ rng.normal(size=40) + rng.normal(size=1500)
found = [np.linalg.svd(X @ X.T[:, :300])[1]]  # BLAS
found.append(HistGradientBoostingRegressor(max_iter=20).fit(X, y).predict(X))  # OpenMP
found.append(RandomForestClassifier(20, n_jobs=2, random_state=0).fit(X, y > 0).predict_proba(X))
text = "\\n".join(["a,b", *(f"{i},{i % 7}" for i in range(50_000))])
table = pa.csv.read_csv(io.BytesIO(text.encode()))  # Arrow's own threads
found.append(pc.sum(pc.multiply(table["a"], table["b"])).as_py())
model = skl2onnx.to_onnx(LinearRegression().fit(X, y), X[:1].astype("float32"))
session = ort.InferenceSession(model.SerializeToString())
found.append(session.run(None, {session.get_inputs()[0].name: X.astype("float32")})[0])
"""
FAMILIES = {
    "lightgbm": "from lightgbm import LGBMRegressor\nfound.append(LGBMRegressor(verbose=-1).fit(X, y).predict(X))\n",
    "xgboost": "from xgboost import XGBRegressor\nfound.append(XGBRegressor(n_estimators=20).fit(X, y).predict(X))\n",
    "torch": "import torch\nfound.append((torch.tensor(X) @ torch.tensor(X.T[:, :300])).numpy())\n",
}
SAVE = """
from bakebook import paths
digest = hashlib.sha256(b"".join(np.asarray(one).tobytes() for one in found)).hexdigest()
(paths.REPORTS / "native.txt").write_text(digest)
"""
KERNEL = """
import json, sys, time
from jupyter_client import KernelManager
manager = KernelManager(kernel_name="python3")
manager.start_kernel()
def ask(code, client):
    said = []
    client.execute_interactive(code, timeout=60, output_hook=lambda message: said.append(message["content"]))
    return " ".join(one.get("text", one.get("ename", "")) for one in said).strip()
def client():
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return client
first = client()
found = {"first": ask(sys.argv[1], first)}
first.execute("import time; time.sleep(100)")
time.sleep(1)
manager.interrupt_kernel()
found["after interrupt"] = ""
while not found["after interrupt"]:  # what is asked before the interrupt has arrived is dropped
    time.sleep(0.5)
    found["after interrupt"] = ask("print('still here')", first)
first.stop_channels()  # or its outputs are lost now and then, also after a cold start
manager.restart_kernel()
time.sleep(1)
second = client()
found["emptied"] = ask("print('X' in dir())", second)
found["restarted"] = ask(sys.argv[1], second)
manager.shutdown_kernel()
found["alive"] = manager.is_alive()
print(json.dumps(found))
"""

CELL: dict[str, object] = {"cell_type": "code", "id": "one", "metadata": {}, "outputs": [], "execution_count": None}
START_KERNEL = """
from jupyter_client import KernelManager
manager = KernelManager()
manager.start_kernel()
print(manager.provisioner.pid, flush=True)
__import__("time").sleep(100)
"""


def add_stage(project: Path, run: Run, source: str, out: str) -> None:
    """A stage `native` of one more cell."""
    assert run(project, "nb", "new", "native").returncode == 0
    path = project / "notebooks" / "native.ipynb"
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"].append(CELL | {"source": source.strip()})
    path.write_text(json.dumps(notebook), encoding="utf-8")
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text("utf-8"))
    pipeline["stages"]["native"].setdefault("outs", []).append(out)
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    assert run(project, "nb", "sync").returncode == 0


def one_cell(path: Path, source: str, before: bool = False) -> Path:
    """A notebook of one code cell; or the one that is there, with a cell before its own."""
    notebook: dict[str, Any] = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    if before:
        notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"].insert(0, CELL | {"source": source})
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def is_forked(said: str) -> bool:
    """Whether what PARENT prints names a fork server."""
    found = re.search(r"parent (\d+)", said)
    assert found, said
    return "bakebook.warm" in Path(f"/proc/{found[1]}/cmdline").read_text("utf-8")


def locked(project: Path) -> object:
    return yaml.safe_load((project / "dvc.lock").read_text("utf-8"))


def test_two_clones_one_warm_one_cold_write_one_lock(baked: Path, tmp_path: Path, run: Run) -> None:
    clones = {mode: Path(shutil.copytree(baked, tmp_path / mode / baked.name)) for mode in WARM}
    for mode, clone in clones.items():
        done = run(clone, "dvc", "repro", NB_WARM=WARM[mode])
        assert done.returncode == 0, done.stderr
        assert "cold start" not in done.stderr
    assert locked(clones["warm"]) == locked(clones["cold"])
    for executed in (clones["warm"] / "reports" / "notebooks").iterdir():
        assert executed.read_bytes() == (clones["cold"] / "reports" / "notebooks" / executed.name).read_bytes()


@pytest.mark.parametrize(
    ("forks", "families"),
    [
        (6, []),
        pytest.param(20, [], marks=pytest.mark.chaos),
        pytest.param(20, ["lightgbm", "xgboost"], marks=pytest.mark.chaos),
        pytest.param(20, ["torch"], marks=pytest.mark.chaos),  # it downloads gigabytes
    ],
    ids=str,
)
def test_forks_of_every_library_with_threads_give_the_cold_bytes(
    project: Path, run: Run, forks: int, families: list[str], environment: dict[str, str]
) -> None:
    variables = own_environment(project, environment, families) if families else {}
    add_stage(project, run, NATIVE + "".join(FAMILIES[name] for name in families) + SAVE, "reports/native.txt")
    commit(project)
    nb = str(shutil.which("nb", path=variables.get("PATH", environment["PATH"])))
    assert run(project, nb, "run", "ingest", **variables).returncode == 0
    made = [project / "reports" / "native.txt", project / "reports" / "notebooks" / "native.ipynb"]
    found = []
    for mode in ["cold", *["warm"] * forks]:
        done = run(project, nb, "run", "native", NB_WARM=WARM[mode], **variables)
        assert done.returncode == 0 and "cold start" not in done.stderr, done.stderr
        found.append([path.read_bytes() for path in made])
    assert found == found[:1] * (forks + 1)


def own_environment(project: Path, environment: dict[str, str], groups: list[str]) -> dict[str, str]:
    """The variables of an environment with more groups, where their libraries are installed and can be forked."""
    place = BUILD / "-".join(groups)
    options = [word for name in groups for word in ("--group", name)]
    outer = environment | {"UV_PROJECT_ENVIRONMENT": str(place)}
    subprocess.run(["uv", "sync", "--quiet", *options], cwd=project, env=outer, check=True)
    (project / "uv.lock").unlink()
    return {"VIRTUAL_ENV": str(place), "PATH": f"{place / 'bin'}{os.pathsep}{environment['PATH']}"}


def test_jupyters_own_kernels_are_forked_interrupted_and_restarted(project: Path, run: Run) -> None:
    done = run(project, "python", "-c", KERNEL, PARENT + "; X = 1", cwd=project / "notebooks")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert is_forked(found["first"]) and is_forked(found["restarted"])
    assert (found["after interrupt"], found["emptied"], found["alive"]) == ("still here", "False", False)


def test_the_provisioner_is_the_default_here_and_nowhere_else(project: Path, run: Run) -> None:
    """Jupyter's own variable would reach programs of other environments, which cannot start such a kernel."""
    default = (
        "import os; from jupyter_client.provisioning.factory import KernelProvisionerFactory as Factory;"
        "print(Factory.instance().default_provisioner_name, os.environ.get('JUPYTER_DEFAULT_PROVISIONER_NAME'))"
    )
    assert run(project, "python", "-c", default).stdout == "warm None\n"
    own = run(project, "python", "-c", default, JUPYTER_DEFAULT_PROVISIONER_NAME="local-provisioner")
    assert own.stdout == "local-provisioner local-provisioner\n"


def test_papermill_by_hand_gets_a_warm_kernel(project: Path, run: Run, tmp_path: Path) -> None:
    notebook = one_cell(project / "notebooks" / "look.ipynb", PARENT)
    done = run(project, "papermill", str(notebook), str(tmp_path / "out.ipynb"), "--cwd", "notebooks", "-k", "python3")
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads((tmp_path / "out.ipynb").read_text("utf-8"))["cells"]
    assert is_forked("".join(cell["outputs"][0]["text"]))


def test_nbconvert_which_names_a_folder_from_its_own_gets_a_warm_kernel(project: Path, run: Run) -> None:
    one_cell(project / "notebooks" / "look.ipynb", PARENT)
    words = ["--to", "notebook", "--execute", "--output", "out.ipynb", "notebooks/look.ipynb"]
    done = run(project, "jupyter", "nbconvert", *words)
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads((project / "notebooks" / "out.ipynb").read_text("utf-8"))["cells"]
    assert is_forked("".join(cell["outputs"][0]["text"]))


def test_a_stage_runs_in_the_processes_that_were_prepared(project: Path, run: Run) -> None:
    one_cell(project / "notebooks" / "ingest.ipynb", "import os; print('kernel', os.getpid())", before=True)
    spares = warmed(project, run)
    done = run(project, "nb", "run", "ingest")
    assert done.returncode == 0, done.stderr
    said = re.search(r"kernel (\d+)", (project / "reports" / "notebooks" / "ingest.ipynb").read_text("utf-8"))
    assert said and said[1] in spares
    assert len(warmed(project, run) & spares) == 1  # a kernel is used once, the runner is copied


EDITS: dict[str, Callable[[Path], object]] = {
    "params.yaml": replace("params.yaml", "keep_warm: 300", "keep_warm: edited"),
    "dvc.yaml": replace("dvc.yaml", "cmd: nb run ingest", "cmd: nb run edited"),
    "the notebook": lambda project: one_cell(project / "notebooks" / "ingest.ipynb", "edited", before=True),
    "a module of the runner": replace("src/bakebook/runner/run.py", "STATE\n", "STATE\nprint('edited')\n"),
    "a module of the kernel": replace(
        "src/bakebook/params.py", "import Path\n", "import Path\nraise ValueError('edited')\n"
    ),
    "a module that hides another": lambda project: hide(project / "src" / "bakebook" / "errors"),
}


def hide(package: Path) -> None:
    package.mkdir()
    (package / "__init__.py").write_text("raise ValueError('edited')\n", encoding="utf-8")


@pytest.mark.parametrize("edited", EDITS)
def test_an_edit_reaches_the_next_stage_though_it_was_prepared(project: Path, run: Run, edited: str) -> None:
    warmed(project, run)
    EDITS[edited](project)
    done = run(project, "nb", "run", "ingest")
    assert "edited" in done.stdout + done.stderr


def test_an_edited_module_is_read_by_the_next_stage(project: Path, run: Run) -> None:
    assert run(project, "nb", "run", "ingest").returncode == 0
    library = project / "src" / "bakebook" / "tables" / "readers.py"
    library.write_text(library.read_text("utf-8") + "\nraise ValueError('edited just now')\n", encoding="utf-8")
    done = run(project, "nb", "run", "ingest")
    assert done.returncode == 1 and "edited just now" in done.stderr, done.stderr


def test_two_projects_run_at_once(project: Path, run: Run, tmp_path: Path) -> None:
    other = Path(shutil.copytree(project, tmp_path / "other" / project.name))
    replace("params.yaml", "test_size: 0.25", "test_size: 0.5")(other)
    ends = {}

    def repro(place: Path) -> None:
        ends[place] = run(place, "dvc", "repro", "prepare")

    threads = [threading.Thread(target=repro, args=(place,)) for place in (project, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [done.returncode for done in ends.values()] == [0, 0], ends
    sizes = [json.loads((place / "reports" / "split.json").read_text("utf-8")) for place in (project, other)]
    assert sizes[0] != sizes[1]


@pytest.mark.parametrize("value", ["soon", "-1", "true", "[1]"])
def test_a_wrong_keep_warm_costs_time_only(project: Path, run: Run, value: str) -> None:
    replace("params.yaml", "keep_warm: 300", f"keep_warm: {value}")(project)
    done = run(project, "nb", "run", "ingest")
    assert done.returncode == 0
    assert done.stderr.count("note: cold start: pipeline.keep_warm is ") == 1
    assert (project / "data" / "interim" / "table.parquet").exists()
    checked = run(project, "nb", "check")
    assert checked.returncode == 1 and "pipeline.keep_warm is" in checked.stderr


def test_nb_doctor_shows_the_fork_server_and_ends_it(project: Path, run: Run) -> None:
    assert run(project, "nb", "run", "ingest").returncode == 0
    shown = run(project, "nb", "doctor").stdout
    servers = [int(pid) for pid in re.findall(r"ok +fork server: process (\d+), ", shown)]
    assert servers and re.search(
        r"process \d+, \d+ s old, \d+ MB, 0 children, \d spares; libraries: .*pandas.* → nb doctor", shown
    )
    fixed = run(project, "nb", "doctor", "--fix").stdout
    assert f"fixed   fork server: process {servers[0]}" in fixed
    assert within(5, lambda: all(map(gone, servers)))
    assert re.search(r"(?m)^ok +fork server$", run(project, "nb", "doctor").stdout)


def test_a_kernel_without_memory_takes_neither_server_nor_sibling_with_it(project: Path, run: Run) -> None:
    assert run(project, "nb", "run", "ingest").returncode == 0
    servers = re.findall(r"fork server: process (\d+)", run(project, "nb", "doctor").stdout)
    add_stage(
        project, run, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)  # as the system does", "reports/x"
    )
    done = run(project, "nb", "run", "native")
    assert done.returncode == 1 and "the kernel died, often for lack of memory" in done.stderr
    assert run(project, "nb", "run", "ingest").returncode == 0
    assert re.findall(r"fork server: process (\d+)", run(project, "nb", "doctor").stdout) == servers


def test_what_is_not_plain_is_explained_as_ever(project: Path, run: Run) -> None:
    assert "error: missing argument 'stage'" in run(project, "nb", "run").stderr.lower()
    assert "Usage" in run(project, "nb", "run", "--help").stdout
    done = run(project, "nb", "run", "ingest", "--nonsense")
    assert done.returncode == 2 and done.stderr.startswith("error: no such option")


def test_jupyterlab_has_imported_what_a_notebook_needs(
    worked: Path, environment: dict[str, str], browser: Browser
) -> None:
    one_cell(worked / "notebooks" / "train.ipynb", PARENT, before=True)
    with lab(worked, environment) as address, opened(browser, address, "notebooks/train.ipynb") as page:
        choose(page, "Run", "runmenu:run")
        output = page.locator(RESULTS).first
        expect(output).to_be_visible()
        said = output.inner_text()
        assert is_forked(said) and "imported True" in said


def test_nobody_is_left_when_jupyterlab_is_killed(worked: Path, environment: dict[str, str]) -> None:
    program = shutil.which("python", path=environment["PATH"])
    command = [str(program), "-c", START_KERNEL]
    with subprocess.Popen(
        command, cwd=worked / "notebooks", env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        kernel = int(process.stdout.readline())
        assert not gone(kernel)
        process.send_signal(signal.SIGKILL)
    assert within(5, lambda: gone(kernel))
