"""What is removed from executed notebooks so that two runs give the same bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

from bakebook.contract import notebooks
from bakebook.errors import BadInput


@pytest.mark.parametrize(
    ("text", "stable"),
    [
        ("<object at 0x7f4b0ff34900>", "<object at 0x…>"),
        ("<function low...x7f4b0ff34900>", "<function low...0x…>"),
        ("&lt;function low...x7fc13d1a5d00&gt;", "&lt;function low...0x…&gt;"),
        ("<function low...4b0ff34900>", "<function low...0x…>"),
        ("colours from #aabbcc to ...facade", "colours from #aabbcc to ...facade"),
    ],
)
def test_addresses_are_removed_also_where_reprlib_shortened_them(text: str, stable: str) -> None:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": [], "execution_count": 1}
    outputs = [{"output_type": "display_data", "data": {"text/html": [text]}, "metadata": {}}]
    executed = {"cells": [{**cell, "outputs": outputs}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}

    found = notebooks.normalised(executed, Path("/nowhere"))

    assert found["cells"][0]["outputs"][0]["data"]["text/html"] == [stable]


def notebook(metadata: dict[str, Any] | None = None, **of_notebook: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": "a", "metadata": metadata or {}, "source": "1", "outputs": []}
    return {"cells": [cell], "metadata": of_notebook, "nbformat": 4, "nbformat_minor": 5}


EDITORS = {
    "Colab": {"executionInfo": {"user": {"displayName": "Ada Lovelace"}}, "id": "x", "outputId": "y", "colab": {}},
    "VS Code": {"vscode": {"languageId": "python"}},
    "Deepnote": {"cell_id": "x", "deepnote_cell_type": "code", "execution_start": 1, "source_hash": "x"},
    "Kaggle": {"_uuid": "x", "_kg_hide-input": True, "execution": {"iopub.execute_input": "x"}, "trusted": True},
    "Databricks": {"application/vnd.databricks.v1+cell": {"title": "x"}},
    "papermill": {"papermill": {"duration": 1}},
    "Jupyter": {"ExecuteTime": {}, "collapsed": True, "scrolled": True, "jupyter": {"outputs_hidden": True}},
    "nobody": {"tags": [], "jupyter": {}},
}


@pytest.mark.parametrize("editor", EDITORS)
def test_what_an_editor_keeps_for_itself_is_dropped(editor: str) -> None:
    canonical = notebooks.canonical(notebook(EDITORS[editor], colab={"name": "Ada"}, widgets={}))
    assert canonical["cells"][0]["metadata"] == {}
    assert canonical["metadata"] == {"kernelspec": notebooks.KERNEL}


def test_what_a_person_means_is_kept() -> None:
    metadata = {"tags": ["parameters"], "slideshow": {"slide_type": "slide"}, "jupyter": {"source_hidden": True}}
    assert notebooks.canonical(notebook(metadata))["cells"][0]["metadata"] == metadata


def test_a_paired_notebook_stays_paired() -> None:
    pairing = {"formats": "ipynb,py:percent"}
    found = notebooks.canonical(notebook(jupytext=pairing | {"text_representation": {"jupytext_version": "1"}}))
    assert found["metadata"]["jupytext"] == pairing
    assert notebooks.canonical(found) == found


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"worksheets": [], "nbformat": 3, "metadata": {}}, "is of nbformat 3, .* → jupyter nbconvert"),
        (notebook(kernelspec={"language": "R", "name": "ir"}), "is written in R; stages are Python"),
        (notebook(language_info={"name": "julia"}), "is written in julia"),
        ({"cells": "none"}, "cannot be read as a notebook"),
        ([], "cannot be read as a notebook"),
    ],
)
def test_what_cannot_be_a_stage_is_refused_in_one_sentence(tmp_path: Path, content: object, sentence: str) -> None:
    path = tmp_path / "notebooks" / "train.ipynb"
    path.parent.mkdir()
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BadInput, match=f"notebooks/train.ipynb {sentence}"):
        notebooks.read(path)


def test_a_notebook_without_a_kernel_is_read_and_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "notebooks" / "train.ipynb"
    path.parent.mkdir()
    path.write_text(json.dumps(notebook()), encoding="utf-8")
    assert notebooks.canonical(notebooks.read(path))["metadata"] == {"kernelspec": notebooks.KERNEL}
