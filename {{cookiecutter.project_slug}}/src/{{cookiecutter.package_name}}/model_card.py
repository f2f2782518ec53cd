"""The model card: what the model is, for whom, how good and within which limits, for people and for
catalogues.
"""

import platform
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from sklearn.pipeline import Pipeline

from bakebook.contracts import (
    Input,
    Metrics,
    Schema,
    Signature,
    SplitReport,
    Success,
    ValidationResult,
)
from bakebook.errors import first_few
from bakebook.models import estimators
from bakebook.validation.report import counts

from .evaluation.scores import shown_success, task_of, wanted

LIBRARIES = ("scikit-learn", "skl2onnx", "onnxruntime", "pandas", "numpy")
MOST_LEVELS = 8  # categories of an input that the card names
EXAMPLE = """```python
from bakebook.models.runtime import Model

model = Model.load("models/model.onnx", "models/signature.json")
row = model.signature.examples[0].inputs
rows = {name: [value] for name, value in row.items()}  # a list of values per input
prediction = model.predict(rows)
prediction.values
```"""


@dataclass(frozen=True)
class About:
    """What people say about the model: the section `describe` of params.yaml."""

    title: str
    summary: str
    intended_use: Sequence[str]
    not_for: Sequence[str]
    limits: Sequence[str]
    spdx_license: str


@dataclass(frozen=True)
class TableSource:
    """Where the table comes from, and DVC's hash of it."""

    name: str
    source: str
    license: str
    md5: str


@dataclass(frozen=True)
class Results:
    """What the stages wrote."""

    schema: Schema
    split: SplitReport
    validation: ValidationResult
    metrics: Metrics
    signature: Signature


def card(about: About, table: TableSource, model: Pipeline, results: Results) -> str:
    """The card as Markdown, with the front matter of Hugging Face (`model-index` included)."""
    sections = [
        f"# {about.title}\n\n{about.summary}",
        f"## Intended use\n\n{_bullets(about.intended_use)}",
        f"## Out of scope\n\n{_bullets(about.not_for)}",
        _evaluation(results),
        _data(table, results),
        _training(model),
        _plots(results.schema),
        f"## Limitations\n\n{_bullets(about.limits)}",
        _usage(results.signature),
        f"## Environment\n\n{_rows(['', 'version'], _environment())}",
    ]
    return f"---\n{_front_matter(about, table, results)}\n---\n\n" + "\n\n".join(sections) + "\n"


def body(card: str) -> str:
    """The card without its front matter and pictures, for a notebook."""
    _, _, text = card.partition("\n---\n\n")
    lines = [line for line in text.splitlines() if not line.startswith("![")]
    return "\n".join(lines)


def _front_matter(about: About, table: TableSource, results: Results) -> str:
    # tqdm warns that ipywidgets is missing, with a path of this machine
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        from huggingface_hub import EvalResult, ModelCardData

    task = f"tabular-{results.schema.task}"
    scores = []
    for name, value in results.metrics.model.items():
        score = EvalResult(
            metric_type=name,
            metric_name=name.replace("_", " "),
            metric_value=value,
            task_type=task,
            dataset_type="tabular",
            dataset_name=table.name,
            dataset_revision=table.md5,
            dataset_split="test",
        )
        scores.append(score)
    is_custom = about.spdx_license.startswith("LicenseRef")
    data = ModelCardData(
        model_name=about.title,
        license="other" if is_custom else about.spdx_license.lower(),
        library_name="onnx",
        pipeline_tag=task,
        tags=[task, "scikit-learn", "onnx"],
        eval_results=scores,
    )
    return data.to_yaml()


def _evaluation(results: Results) -> str:
    metrics = results.metrics
    task = task_of(results.schema.task)
    rows = []
    for name, value in metrics.model.items():
        criterion = metrics.success.criteria.get(name)
        required = f"{wanted(criterion)}: {criterion.verdict}" if criterion else ""
        interval = str(metrics.intervals.get(name, ""))
        baseline = f"{metrics.baseline[name]:.4f}" if name in metrics.baseline else ""
        rows.append([name.replace("_", " "), f"{value:.4f}", interval, baseline, required])
    intro = (
        f"{_verdict(metrics.success)} The scores were measured on {metrics.rows.test} test"
        " rows that were not used for training; the interval shows how far a score moves when these"
        " rows are resampled. A criterion is met within chance when the score meets it and part of"
        " the interval does not. The baseline ignores the inputs and"
        f" {task.baseline_text}."
    )
    warned = [f"> **Warning:** {warning}" for warning in metrics.warnings]
    table = _rows(["score", "model", "95 % interval", "baseline", "criterion"], rows)
    parts = ["## Evaluation", intro, *warned, table]
    if metrics.cross_validation:
        folds = metrics.cross_validation
        parts.append(
            f"Cross-validated {folds.scoring}: {folds}, the mean and the standard deviation over"
            f" {len(folds.folds)} folds of the training rows. Compare models by it: a model that is"
            " chosen by its test score has seen the test rows."
        )
    return "\n\n".join([*parts, task.describe_details(metrics, results.schema)])


def _verdict(success: Success) -> str:
    """The verdict, in bold where a person set a criterion."""
    sentence = shown_success(success)
    is_own = any(not one.is_baseline for one in success.criteria.values())
    if is_own:
        return f"**{sentence}**"
    if success.criteria:
        return f"{sentence} Nobody set a criterion: the model is only compared with a guess."
    return sentence


def _data(table: TableSource, results: Results) -> str:
    schema = results.schema
    validation = results.validation
    verdict = "meets" if validation.success else "breaks"
    classes = f"classes: {', '.join(schema.classes)}" if schema.classes else "a number"
    facts = [
        f"table: {table.name}, {validation.rows} rows × {validation.columns} columns",
        f"source: {table.source}",
        f"licence of the data: {table.license}",
        f"DVC hash (md5): `{table.md5}`",
        f"the table {verdict} its contract of {validation.expectations} expectations"
        f" (failed: {counts(validation)})",
        f"target: `{schema.target}`, {classes}",
        f"rows without a target, which are excluded: {results.split.rows_without_target}",
    ]
    computed = {one.name: ", ".join(one.reads) for one in schema.derived}
    inputs = []
    for column in schema.inputs:
        name = column.name
        if name in computed:
            name = f"{name} (computed from {computed[name]})"
        inputs.append([name, column.role, _range(column)])
    parts = ["## Data", _bullets(facts), _rows(["input", "role", "training values"], inputs)]
    if schema.excluded:
        excluded = [[name, role] for name, role in schema.excluded.items()]
        parts += ["Columns that are not inputs:", _rows(["column", "role"], excluded)]
    return "\n\n".join(parts)


def _range(column: Input) -> str:
    if column.levels is not None:
        return first_few([level or "(none)" for level in column.levels], MOST_LEVELS)
    if column.minimum is None:
        return ""
    return f"{_bound(column.minimum)} to {_bound(column.maximum)}"


def _bound(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _training(model: Pipeline) -> str:
    """The estimator, its preprocessing and the hyperparameters that differ from the defaults."""
    estimator = estimators.dotted(type(estimators.inner(model)))
    table = estimators.hyperparameters(model)
    changed = [
        [f"`{name}`", f"`{value}`"] for name, value in table.loc[table["changed"], "value"].items()
    ]
    defaults = [
        f"`{name}={value}`" for name, value in table.loc[~table["changed"], "value"].items()
    ]
    parts = ["## Training", f"`{estimator}`, after preprocessing: {_preprocessing(model)}."]
    if changed:
        parts.append(_rows(["hyperparameter", "value"], changed))
    if defaults:
        parts.append(f"All other hyperparameters are defaults: {', '.join(defaults)}.")
    return "\n\n".join(parts)


def _preprocessing(model: Pipeline) -> str:
    names = []
    for _, step, _ in model.named_steps["preprocessor"].transformers_:
        if isinstance(step, Pipeline):
            names += [type(one).__name__ for _, one in step.steps]
        elif not isinstance(step, str):  # drop or passthrough
            names.append(type(step).__name__)
    return ", ".join(dict.fromkeys(names)) or "none"


def _plots(schema: Schema) -> str:
    parts = ["## Plots"]
    for plot in task_of(schema.task).plots:
        parts.append(f"![{plot.title}. {plot.caption}](plots/{plot.png})")
    return "\n\n".join(parts)


def _usage(signature: Signature) -> str:
    found = f"the predicted `{signature.target}`"
    if signature.classes:
        found = "the classes; `prediction.probabilities` has a column for each of `model.classes`"
    return "\n\n".join(
        [
            "## How to load and call it",
            "It needs onnxruntime, numpy and pydantic, and the folder `src` on the Python path."
            " Pass rows by column, with plain numbers, true or false, and times in ISO 8601:",
            EXAMPLE,
            f"`prediction.values` has {found}. The file has the sha256 `{signature.model.sha256}`.",
        ]
    )


def _environment() -> list[list[str]]:
    """Python and the libraries that shape the model, with their versions."""
    versions = [("python", platform.python_version())]
    versions += [(name, version(name)) for name in LIBRARIES]
    return [[f"`{name}`", f"`{value}`"] for name, value in versions]


def _bullets(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
