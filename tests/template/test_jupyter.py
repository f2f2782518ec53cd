"""JupyterLab itself, in a browser: running and saving a notebook by hand leaves the project as the pipeline left it."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, git
from playwright.sync_api import Browser, Page, expect
from servers import answers, started
from test_run import STAGES

PATIENCE = 120_000  # milliseconds, for what needs a kernel
# Not what is said on stderr: Python warns of an import once, and not when the notebook runs again
RESULTS = '.jp-Notebook .jp-OutputArea-output:not([data-mime-type="application/vnd.jupyter.stderr"])'
WITHOUT_EXTENSION = "--ServerApp.jpserver_extensions={'bakebook.plugins.jupyter': False}"

pytestmark = pytest.mark.slow


@contextmanager
def lab(project: Path, environment: dict[str, str], *options: str) -> Iterator[str]:
    """JupyterLab, as a user without settings starts it, but with no word to the outside; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = project.parent / "home"
    home.mkdir()
    kept = {name: value for name, value in environment.items() if not name.startswith(("IPYTHON", "JUPYTER", "XDG_"))}
    server = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    unlocked = ["--ServerApp.token=", "--ServerApp.password="]
    silent = ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    variables = kept | {"HOME": str(home), "PYTHONPATH": str(project / "src")}
    with started(project, variables, "jupyter", "lab", *server, *unlocked, *silent, *options):
        answers(f"http://127.0.0.1:{port}/api")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def opened(browser: Browser, address: str, path: str) -> Iterator[Page]:
    """The notebook in a tab of its own, its kernel ready; the kernel ends with it."""
    with browser.new_page(viewport={"width": 1400, "height": 5000}) as page:  # JupyterLab draws only the cells in view
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/lab/tree/{path}?reset")
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=PATIENCE)
        yield page
        with page.expect_response(lambda response: response.request.method == "DELETE"):
            choose(page, "Kernel", "kernelmenu:shutdown")


def choose(page: Page, menu: str, command: str) -> None:
    """Clicks an entry of the menu bar."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.locator(f'.lm-Menu-item[data-command="{command}"]').click()


def run_all(page: Page, first: int, cells: int) -> None:
    """Runs all cells by the menu, and waits until each has its number, counted on from `first`."""
    choose(page, "Run", "runmenu:run-all")
    numbers = [f"[{number}]:" for number in range(first, first + cells)]
    expect(page.locator(".jp-CodeCell .jp-InputPrompt")).to_have_text(numbers, timeout=PATIENCE)
    expect(page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')).to_be_visible(timeout=PATIENCE)


def save(page: Page, file: Path) -> None:
    """Saves by the menu; the server agreed, the file was written, and nobody was asked anything."""
    before = file.stat().st_mtime_ns
    with page.expect_response(
        lambda answer: answer.request.method == "PUT" and "/api/contents/" in answer.url
    ) as saved:
        choose(page, "File", "docmanager:save")
    assert (saved.value.status, file.name in saved.value.url) == (200, True)
    assert file.stat().st_mtime_ns > before
    expect(page.locator(".jp-Dialog")).to_have_count(0)


def code_cells(file: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(file.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_every_notebook_that_is_run_and_saved_in_jupyterlab_stays_as_it_is(
    worked: Path, environment: dict[str, str], run: Run, browser: Browser
) -> None:
    with lab(worked, environment) as address:
        for stage in STAGES:
            file = worked / "notebooks" / f"{stage}.ipynb"
            before, cells = file.read_bytes(), len(code_cells(file))
            executed = code_cells(worked / "reports" / "notebooks" / f"{stage}.ipynb")
            shown = sum(output.get("name") != "stderr" for cell in executed for output in cell["outputs"])
            with opened(browser, address, f"notebooks/{stage}.ipynb") as page:
                outputs = page.locator(RESULTS)
                for first in (1, 1 + cells):
                    run_all(page, first, cells)
                    save(page, file)
                    expect(outputs).to_have_count(shown)
                    expect(outputs.first).to_be_visible()
                    assert file.read_bytes() == before, git(worked, "diff", f"notebooks/{stage}.ipynb")
    assert "up to date" in run(worked, "dvc", "status").stdout
    assert git(worked, "status", "--short") == ""


def test_an_edit_in_jupyterlab_is_kept(worked: Path, environment: dict[str, str], run: Run, browser: Browser) -> None:
    file = worked / "notebooks" / "ingest.ipynb"
    before = json.loads(file.read_text("utf-8"))
    with lab(worked, environment) as address, opened(browser, address, "notebooks/ingest.ipynb") as page:
        run_all(page, 1, len(code_cells(file)))
        page.locator(".jp-MarkdownCell").first.dblclick()
        page.locator(".jp-MarkdownCell").first.locator(".cm-content").press("Control+End")
        page.keyboard.type(" A person wrote this.")
        save(page, file)
    before["cells"][0]["source"][-1] += " A person wrote this."
    assert json.loads(file.read_text("utf-8")) == before
    assert git(worked, "status", "--short") == " M notebooks/ingest.ipynb\n"
    assert "notebooks/ingest.ipynb" in run(worked, "dvc", "status").stdout


def test_a_notebook_outside_of_notebooks_keeps_its_outputs(
    worked: Path, environment: dict[str, str], browser: Browser
) -> None:
    file = worked / "scratch.ipynb"
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "sum",
        "metadata": {},
        "outputs": [],
        "source": "40 + 2",
    }
    notebook = json.loads((worked / "notebooks" / "ingest.ipynb").read_text("utf-8")) | {"cells": [cell]}
    file.write_text(json.dumps(notebook), encoding="utf-8")
    with lab(worked, environment) as address, opened(browser, address, file.name) as page:
        run_all(page, 1, 1)
        save(page, file)
    (saved,) = code_cells(file)
    assert (saved["execution_count"], saved["outputs"][0]["data"]["text/plain"]) == (1, ["42"])


def test_without_the_extension_a_save_changes_the_notebook(
    worked: Path, environment: dict[str, str], run: Run, browser: Browser
) -> None:
    file = worked / "notebooks" / "ingest.ipynb"
    before, count = file.read_bytes(), len(code_cells(file))
    with (
        lab(worked, environment, WITHOUT_EXTENSION) as address,
        opened(browser, address, "notebooks/ingest.ipynb") as page,
    ):
        run_all(page, 1, count)
        save(page, file)
    assert file.read_bytes() != before
    assert [cell["execution_count"] for cell in code_cells(file)] == list(range(1, count + 1))
    assert "notebooks/ingest.ipynb" in run(worked, "dvc", "status").stdout
