"""The model card: what the model is, for whom, how good and within which limits, for people and for catalogues."""

import platform
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

with warnings.catch_warnings():  # tqdm misses ipywidgets, and would write a path of this machine into the notebook
    warnings.filterwarnings("ignore", message="IProgress not found")
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

LIBRARIES = ("scikit-learn", "skl2onnx", "onnxruntime", "pandas", "numpy")
PLOTS = {
    "confusion": "Which classes are taken for which",
    "roc": "True against false positives, each class against the rest",
    "calibration": "How far the model's confidence can be trusted",
    "importance": "Which inputs the predictions rest on",
}


def environment() -> dict[str, str]:
    """Python and the libraries that shape the model, with their versions."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def card(
    about: Mapping[str, Any],
    data: Mapping[str, Any],
    parameters: Mapping[str, Any],
    metrics: Mapping[str, Any],
    validation: Mapping[str, Any],
    signature: Mapping[str, Any],
) -> str:
    """The card as Markdown with Hugging Face's front matter (`model-index` included).

    `about` is the `describe` section of params.yaml; `data` holds name, md5 and source; the rest is what the
    stages left.
    """
    sections = [
        f"# {about['title']}\n\n{about['summary']}",
        f"## What it is for\n\n{_bullets(about['intended_use'])}",
        f"## What it is not for\n\n{_bullets(about['not_for'])}",
        _results(metrics),
        _data(data, validation, signature),
        _training(parameters),
        _plots(),
        f"## Limits\n\n{_bullets(about['limits'])}",
        _usage(signature),
        f"## Environment\n\n{_table({'': 'version'}, environment())}",
    ]
    content = f"---\n{_metadata(about, data, metrics)}\n---\n\n" + "\n\n".join(sections) + "\n"
    return str(ModelCard(content))


def body(card: str) -> str:
    """The card without its front matter and pictures, to be shown in a notebook."""
    text = ModelCard(card).text
    return "\n".join(line for line in text.splitlines() if not line.startswith("!["))


def _metadata(about: Mapping[str, Any], data: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    shared = {
        "task_type": "tabular-classification",
        "dataset_type": "tabular",
        "dataset_name": data["name"],
        "dataset_revision": data["md5"],
        "dataset_split": "test",
    }
    results = [
        EvalResult(metric_type=name, metric_name=name.replace("_", " "), metric_value=value, **shared)
        for name, value in metrics["model"].items()
    ]
    front = ModelCardData(
        model_name=about["title"],
        license="other" if about["spdx_license"].startswith("LicenseRef") else about["spdx_license"].lower(),
        library_name="onnx",
        pipeline_tag="tabular-classification",
        tags=["tabular-classification", "scikit-learn", "onnx"],
        eval_results=results,
    )
    return front.to_yaml()


def _results(metrics: Mapping[str, Any]) -> str:
    success = metrics["success"]
    verdict = "**All success criteria are met.**" if success["passed"] else "**Not all success criteria are met.**"
    verdict = verdict if success["criteria"] else "**No success criteria are set.**"
    rows = []
    for name, value in metrics["model"].items():
        one = success["criteria"].get(name)
        asked = f"{one['bound']} {one['threshold']:g}: {'met' if one['passed'] else 'NOT met'}" if one else ""
        rows.append([name.replace("_", " "), f"{value:.4f}", f"{metrics['baseline'][name]:.4f}", asked])
    per_class = "\n".join(f"- {name}: {value:.4f}" for name, value in metrics["f1"].items())
    header = ["score", "model", "baseline", "criterion"]
    return (
        f"## How good it is\n\n{verdict} Scores are of {metrics['rows']['test']} test rows that the model never saw; "
        f"the baseline predicts the class frequencies whatever the inputs.\n\n{_rows(header, rows)}\n\n"
        f"F1 of each class:\n\n{per_class}"
    )


def _data(data: Mapping[str, Any], validation: Mapping[str, Any], signature: Mapping[str, Any]) -> str:
    kept = "keeps" if validation["success"] else "breaks"
    failed = ", ".join(f"{count} {severity}" for severity, count in validation["failed"].items())
    inputs = [[column["name"], column["type"]] for column in signature["inputs"]]
    return (
        f"## Data\n\n- table: {data['name']}, {validation['rows']} rows × {validation['columns']} columns\n"
        f"- source: {data['source']}\n- DVC hash (md5): `{data['md5']}`\n"
        f"- the table {kept} its contract of {validation['expectations']} expectations (failed: {failed})\n"
        f"- target: `{signature['target']}`, classes: {', '.join(signature['classes'])}\n\n"
        f"{_rows(['input', 'type'], inputs)}"
    )


def _training(parameters: Mapping[str, Any]) -> str:
    return f"## Training\n\n{_table({'parameter': 'value'}, parameters)}"


def _plots() -> str:
    return "## Plots\n\n" + "\n\n".join(f"{text}:\n\n![{text}](plots/{name}.png)" for name, text in PLOTS.items())


def _usage(signature: Mapping[str, Any]) -> str:
    return (
        "## How to load and call it\n\nWith onnxruntime and numpy alone; each input is a column of shape (rows, 1):\n\n"
        "```python\nimport json\n\nimport numpy as np\nimport onnxruntime\n\n"
        'signature = json.load(open("models/signature.json", encoding="utf-8"))\n'
        'session = onnxruntime.InferenceSession("models/model.onnx")\n'
        'rows = {name: [value] for name, value in signature["example"].items()}  # a list of values per input\n'
        'types = {"number": np.float32, "category": np.str_}\n'
        'feed = {c["name"]: np.array(rows[c["name"]], types[c["type"]]).reshape(-1, 1) for c in signature["inputs"]}\n'
        "label, probabilities = session.run(None, feed)\n```\n\n"
        f"The file has the sha256 `{signature['model']['sha256']}`."
    )


def _bullets(items: list[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(header: Mapping[str, str], rows: Mapping[str, Any]) -> str:
    (left, right), *_ = header.items()
    return _rows([left, right], [[f"`{name}`", f"`{value}`"] for name, value in rows.items()])


def _rows(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
