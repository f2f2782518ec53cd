"""What a parameters cell may contain, and how a mistake is reported."""

import ast
import json
import shutil
from pathlib import Path

import pytest
from conftest import PROJECT
from ruamel.yaml import YAML

from bakebook.contract import annotations, notebooks, sync
from bakebook.contract.project import Project
from bakebook.errors import BadInput


@pytest.mark.parametrize("annotation", ["int[", "'int['", "open", "Nothing", "list[", "__import__('os')"])
def test_a_type_that_cannot_be_read_is_an_error_of_its_own(annotation: str) -> None:
    with pytest.raises(annotations.UnknownType):
        annotations.mismatch(1, annotation)


@pytest.mark.parametrize(("value", "name"), [(True, "bool"), (1, "int"), (1.5, "float"), ("a", "str"), ([], "list")])
def test_the_type_of_a_value_is_one_that_a_cell_may_use(value: object, name: str) -> None:
    assert annotations.type_name(value) == name
    assert annotations.mismatch(value, name) is None


def test_only_a_code_cell_declares_parameters() -> None:
    text = {"cell_type": "markdown", "metadata": {"tags": ["parameters"]}, "source": "Set these:"}
    code = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "a: int = p['a']"}
    assert notebooks.parameters_cell({"cells": [text, code]}) is code
    assert ast.unparse(notebooks.parameters(code)[0].annotation or ast.Constant(None)) == "int"


@pytest.mark.parametrize("params", ["", "ingest: {}", "ingest:\n  columns:\n", "ingest: [columns]"])
def test_a_section_without_a_key_is_named_in_one_sentence(tmp_path: Path, params: str) -> None:
    project = Project(tmp_path, YAML().load(params) or {}, {}, {})
    with pytest.raises(BadInput, match=r"params\.yaml has no 'ingest\.columns'"):
        project.section("ingest", "columns")


def test_a_parameters_cell_that_is_not_python_is_named(tmp_path: Path) -> None:
    project = Path(shutil.copytree(PROJECT, tmp_path / "project"))
    (project / "params.yaml").write_text("a: {}\n", encoding="utf-8")
    cell = {"cell_type": "code", "id": "a", "metadata": {"tags": ["parameters"]}, "source": "a: int = ("}
    cell |= {"execution_count": None, "outputs": []}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (project / "notebooks" / "mine.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    with pytest.raises(BadInput, match=r"the parameters cell of notebooks/mine.ipynb is not valid Python"):
        sync.new(project, "mine")
