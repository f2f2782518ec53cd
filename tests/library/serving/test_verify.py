"""A model is tried before it serves, and reads nothing but what it was given."""

import hashlib
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from bakebook.contracts import Derived, Example, Input, ModelFile, ReadOptions, Signature
from bakebook.serving.deployments import verified
from bakebook.serving.verify import verify

SECRET = b"PASSWORD"


def write_model(folder: Path, *, is_external: bool, examples: tuple[Example, ...], domain: str = "") -> None:
    """A model that answers with the byte of its data at the place that a row names."""
    data = TensorProto(name="data", data_type=TensorProto.UINT8, dims=[len(SECRET)])
    if is_external:
        data.data_location = TensorProto.EXTERNAL
        data.external_data.add(key="location", value="secret.txt")
    else:
        data.raw_data = SECRET
    nodes = [
        helper.make_node("Cast", ["place"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Gather", ["data", "whole"], ["byte"], domain=domain),
        helper.make_node("Cast", ["byte"], ["y"], to=TensorProto.FLOAT),
    ]
    inputs, outputs = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])] for name in ("place", "y"))
    graph = helper.make_graph(nodes, "graph", inputs, outputs, [data])
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    signature = Signature(
        model=ModelFile(file="model.onnx", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)),
        target="y",
        task="regression",
        inputs=(Input(name="place", role="numeric"),),
        reading=ReadOptions(columns={"place": "number"}),
        examples=examples,
    )
    (folder / "signature.json").write_text(signature.model_dump_json(), encoding="utf-8")


EXAMPLES = (Example(inputs={"place": 0.0}, predicted=float(SECRET[0])),)


def test_a_model_that_brings_its_data_is_accepted(tmp_path: Path) -> None:
    write_model(tmp_path, is_external=False, examples=EXAMPLES)
    assert verify(tmp_path) == ""


def test_a_model_cannot_read_files_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.txt").write_bytes(SECRET)
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path, is_external=True, examples=EXAMPLES)
    assert verify(tmp_path).startswith("it cannot be loaded: ")


def test_a_model_with_operators_of_its_own_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, is_external=False, examples=EXAMPLES, domain="my.own")
    assert verify(tmp_path).startswith("it cannot be loaded: ")


def test_a_model_without_examples_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, is_external=False, examples=())
    assert verify(tmp_path) == "its signature has no examples to check it with"


SEES = """
from bakebook.models.columns import column


@column
def seen(place: float) -> float:
    try:
        open("secret.txt").close()
    except OSError:
        return 0.0
    return 1.0
"""


def test_a_candidate_is_tried_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.txt").write_bytes(SECRET)
    monkeypatch.chdir(tmp_path)
    names = ("place", "seen")
    nodes = [helper.make_node("Mul", ["place", "none"], ["zero"]), helper.make_node("Add", ["zero", "seen"], ["y"])]
    none = TensorProto(name="none", data_type=TensorProto.FLOAT, dims=[1], float_data=[0.0])
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in names]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "graph", inputs, [output], [none])
    opset = helper.make_opsetid("", 17)
    content = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "columns.py").write_text(SEES, encoding="utf-8")
    seen = Derived(name="seen", reads=("place",), input=Input(name="seen", role="numeric"))
    signature = Signature(
        model=ModelFile(file="model.onnx", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)),
        target="y",
        task="regression",
        inputs=(Input(name="place", role="numeric"),),
        derived=(seen,),
        columns_sha256=hashlib.sha256(SEES.encode()).hexdigest(),
        reading=ReadOptions(columns={"place": "number"}),
        examples=(Example(inputs={"place": 0.0}, predicted=0.0),),
    )
    (tmp_path / "signature.json").write_text(signature.model_dump_json(), encoding="utf-8")
    assert verify(tmp_path).startswith("its prediction for example 1 differs")  # in this folder, it sees the file
    assert verified(tmp_path) == signature.model.sha256
