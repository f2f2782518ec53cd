"""What a parameters cell may contain, and how a mistake is reported."""

import ast

import pytest

from bakebook.contract import annotations, notebooks


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
