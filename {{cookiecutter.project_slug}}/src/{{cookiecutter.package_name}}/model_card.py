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
    "classification": {
        "predictions": "Which classes are taken for which",
        "errors": "True against false positives, each class against the rest",
        "calibration": "How far the model's confidence can be trusted",
        "importance": "Which inputs the predictions rest on",
    },
    "regression": {
        "predictions": "What was predicted, and what was true",
        "errors": "How far off, by what was predicted",
        "calibration": "The mean error of each tenth of the predictions",
        "importance": "Which inputs the predictions rest on",
    },
}
SHOWN = 8  # categories of an input that the card names
BASELINES = {"classification": "predicts the class frequencies", "regression": "predicts the mean"}


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
    schema: Mapping[str, Any],
) -> str:
    """The card as Markdown with Hugging Face's front matter (`model-index` included).

    `about` is the `describe` section of params.yaml; `data` holds name, source, license and md5; the rest is what the
    stages left.
    """
    sections = [
        f"# {about['title']}\n\n{about['summary']}",
        f"## What it is for\n\n{_bullets(about['intended_use'])}",
        f"## What it is not for\n\n{_bullets(about['not_for'])}",
        _results(metrics, schema),
        _data(data, validation, schema),
        _training(parameters),
        _plots(schema),
        f"## Limits\n\n{_bullets(about['limits'])}",
        _usage(signature),
        f"## Environment\n\n{_table({'': 'version'}, environment())}",
    ]
    content = f"---\n{_metadata(about, data, metrics, schema)}\n---\n\n" + "\n\n".join(sections) + "\n"
    return str(ModelCard(content))


def body(card: str) -> str:
    """The card without its front matter and pictures, to be shown in a notebook."""
    text = ModelCard(card).text
    return "\n".join(line for line in text.splitlines() if not line.startswith("!["))


def _metadata(
    about: Mapping[str, Any], data: Mapping[str, Any], metrics: Mapping[str, Any], schema: Mapping[str, Any]
) -> str:
    task = f"tabular-{schema['task']}"
    shared = {
        "task_type": task,
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
        pipeline_tag=task,
        tags=[task, "scikit-learn", "onnx"],
        eval_results=results,
    )
    return front.to_yaml()


def _results(metrics: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    success = metrics["success"]
    verdict = "**All success criteria are met.**" if success["passed"] else "**Not all success criteria are met.**"
    verdict = verdict if success["criteria"] else "**No success criteria are set.**"
    rows = []
    for name, value in metrics["model"].items():
        one = success["criteria"].get(name)
        asked = f"{one['bound']} {one['threshold']:g}: {'met' if one['passed'] else 'NOT met'}" if one else ""
        rows.append([name.replace("_", " "), f"{value:.4f}", f"{metrics['baseline'][name]:.4f}", asked])
    header = ["score", "model", "baseline", "criterion"]
    warned = "".join(f"\n\n> **Warning:** {one}" for one in metrics["warnings"])
    return (
        f"## How good it is\n\n{verdict} Scores are of {metrics['rows']['test']} test rows that the model never saw; "
        f"the baseline {BASELINES[schema['task']]} whatever the inputs.{warned}\n\n{_rows(header, rows)}"
        f"\n\n{_details(metrics, schema)}"
    )


def _details(metrics: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if schema["task"] == "regression":
        spread = ", ".join(f"{name} {value:g}" for name, value in metrics["target"].items())
        return f"mae and rmse are in the unit of `{schema['target']}`, which among the test rows has {spread}."
    return "F1 of each class:\n\n" + "\n".join(f"- {name}: {value:.4f}" for name, value in metrics["f1"].items())


def _data(data: Mapping[str, Any], validation: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    kept = "keeps" if validation["success"] else "breaks"
    failed = ", ".join(f"{count} {severity}" for severity, count in validation["failed"].items())
    classes = f", classes: {', '.join(schema['classes'])}" if schema["classes"] else ", a number"
    inputs = [[column["name"], column["type"], _range(column)] for column in schema["inputs"]]
    left_out = [[name, role] for name, role in schema["left_out"].items()]
    return (
        f"## Data\n\n- table: {data['name']}, {validation['rows']} rows × {validation['columns']} columns\n"
        f"- source: {data['source']}\n- licence of the data: {data['license']}\n- DVC hash (md5): `{data['md5']}`\n"
        f"- the table {kept} its contract of {validation['expectations']} expectations (failed: {failed})\n"
        f"- target: `{schema['target']}`{classes}\n"
        f"- rows without a target, left out: {schema['dropped_rows']}\n\n"
        f"{_rows(['input', 'type', 'seen in training'], inputs)}"
        + (f"\n\nNot learned from:\n\n{_rows(['column', 'because it is'], left_out)}" if left_out else "")
    )


def _range(column: Mapping[str, Any]) -> str:
    if "levels" in column:
        named = [level or "(none)" for level in column["levels"][:SHOWN]]
        more = len(column["levels"]) - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")
    return f"{column['least']} to {column['greatest']}" if "least" in column else ""


def _training(parameters: Mapping[str, Any]) -> str:
    return f"## Training\n\n{_table({'parameter': 'value'}, parameters)}"


def _plots(schema: Mapping[str, Any]) -> str:
    plots = PLOTS[schema["task"]]
    return "## Plots\n\n" + "\n\n".join(f"{text}:\n\n![{text}](plots/{name}.png)" for name, text in plots.items())


def _usage(signature: Mapping[str, Any]) -> str:
    found = "the classes, and a column of `probabilities` for each of `model.classes`"
    if not signature["classes"]:
        found = f"the predicted `{signature['target']}`"
    return (
        "## How to load and call it\n\nWith onnxruntime and numpy alone, and `inference.py` and `encoding.py` "
        f"of `src/{__package__}`; the rows are given by column, with plain"
        " numbers, true or false, and times in ISO 8601:\n\n"
        f"```python\nfrom {__package__}.inference import Model\n\n"
        'model = Model.load("models/model.onnx", "models/signature.json")\n'
        'row = model.signature["examples"][0]["inputs"]\n'
        "rows = {name: [value] for name, value in row.items()}  # a list of values per input\n"
        f"prediction = model.predict(rows)\nprediction.values\n```\n\n`values` holds {found}. "
        f"The file has the sha256 `{signature['model']['sha256']}`."
    )


def _bullets(items: list[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(header: Mapping[str, str], rows: Mapping[str, Any]) -> str:
    (left, right), *_ = header.items()
    return _rows([left, right], [[f"`{name}`", f"`{value}`"] for name, value in rows.items()])


def _rows(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
