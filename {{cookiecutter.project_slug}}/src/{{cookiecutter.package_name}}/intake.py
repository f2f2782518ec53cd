"""Brings a table into the project and writes what was understood of it: `nb data use`."""

import io
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from pyarrow import parquet
from ruamel.yaml.comments import CommentedMap

from . import expectations, fetching, labelled, sources, understanding
from .data import write_json
from .errors import BadInput
from .kinds import Reading
from .parameters import LEFT_OUT
from .pipeline.project import Project, load, writer
from .understanding import Proposal

NUMERIC = ("number", "integer", "amount")
FEEDBACK = fetching.RAW / "feedback.parquet"
TRAINING: dict[str, dict[str, Any]] = {
    "classification": {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "scoring": "f1_macro",
        "criteria": {"f1_macro": 0.55},
    },
    "regression": {"estimator": "sklearn.ensemble.RandomForestRegressor", "scoring": "r2", "criteria": {"r2": 0.5}},
}
PLOTS = {
    "classification": {
        "Predicted beside actual": ("confusion", "predicted", "predictions", "actual"),
        "ROC of each class against the rest": ("simple", "false_positive_rate", "errors", "true_positive_rate"),
        "Calibration": ("linear", "confidence", "calibration", "right"),
        "Permutation importance": ("bar_horizontal", "importance", "importance", "input"),
    },
    "regression": {
        "Predicted beside actual": ("scatter", "predicted", "predictions", "actual"),
        "Residuals": ("scatter", "predicted", "errors", "residual"),
        "Error by tenth of the predictions": ("linear", "predicted", "calibration", "error"),
        "Permutation importance": ("bar_horizontal", "importance", "importance", "input"),
    },
}


@dataclass(frozen=True)
class Wish:
    """What a person says of the table; what is left empty is guessed, or stays as params.yaml has it."""

    source: str = ""
    target: str = ""
    task: str = "auto"
    query: str = ""
    encoding: str = ""
    missing: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()  # column=kind
    licence: str = ""
    anew: bool = False  # as if nothing were known of the columns


def use(root: Path, wish: Wish) -> list[str]:
    """Takes the table into the project and returns what to tell. Raises BadInput before anything is changed.

    Of columns that the project knows, what params.yaml says is kept, and so are contract, estimator and description.
    """
    project = load(root)
    source = wish.source or str(project.params["ingest"]["source"])
    target = wish.target or str(project.params["prepare"]["target"])
    with fetching.brought(root, source, wish.query) as (place, final):
        proposal, known = _proposed(project, wish, place, target)
        table = sources.read(place, proposal.reading)
        identifiers = [name for name, (role, _) in proposal.roles.items() if role == "identifier"]
        suite = expectations.draft(table, target, identifiers)
        with fetching.moved_in(root, place, final):
            fetching.track(root, final, source)
    _write_reading(project, final, proposal)
    if known:
        _correct_roles(project, proposal)
    else:
        _write_description(project, source, target, proposal, table)
        _write_training(project, proposal)
        _write_roles(project, target, proposal)
        _forget_feedback(project)
        write_json(suite, root / "expectations" / "suite.json")
    if wish.licence:
        project.params["describe"]["data_license"] = _one_line(wish.licence)
    _dump(project.params, root / "params.yaml")
    _dump(project.pipeline, root / "dvc.yaml")
    _write_readme(root, project.params, table)
    return _summary(final, target, proposal, table, known)


def take_feedback(root: Path, file: Path) -> list[str]:
    """Adds labelled predictions to those of the project, a later label in place of an earlier; what to tell."""
    project = load(root)
    ingest, target = project.params["ingest"], str(project.params["prepare"]["target"])
    if not file.is_file():
        raise BadInput(f"there is no file {file} → nb db export {file}")
    reading = Reading(columns=dict(ingest["columns"]))
    given = labelled.read(file, reading)
    if target not in given:
        raise BadInput(f"{file} has no column '{target}', which the project predicts → nb db export of its own service")
    final = root / FEEDBACK
    found = parquet.read_table(file).to_pandas()
    if ingest["feedback"] and final.is_file():
        known = pd.read_parquet(final)
        found = pd.concat([known, found]).drop_duplicates(labelled.ID, keep="last")
    part = final.with_name(f".part-{final.name}")
    found.to_parquet(part, index=False)
    part.replace(final)
    fetching.dvc(root, "add", str(FEEDBACK))
    if not ingest["feedback"]:
        ingest["feedback"] = str(FEEDBACK)
        project.pipeline["stages"]["ingest"]["deps"].insert(1, "${ingest.feedback}")
        _dump(project.params, root / "params.yaml")
        _dump(project.pipeline, root / "dvc.yaml")
    labels = ", ".join(f"{count} {name}" for name, count in given[target].value_counts().head(10).items())
    other = (found["predicted"].astype(str) != found[target].astype(str)).sum()
    return [
        f"{FEEDBACK}: {len(found)} labelled predictions, {len(given)} of them from {file} ({labels})",
        f"the model had said otherwise of {other}; look at them, then dvc repro",
    ]


def _forget_feedback(project: Project) -> None:
    """Of another table, what was labelled before says nothing."""
    if project.params["ingest"]["feedback"]:
        project.params["ingest"]["feedback"] = ""
        project.pipeline["stages"]["ingest"]["deps"].remove("${ingest.feedback}")


def _proposed(project: Project, wish: Wish, place: Path, target: str) -> tuple[Proposal, bool]:
    """What is understood of the table, and whether the project knows its columns, target and task already."""
    ingest, prepare = project.params["ingest"], project.params["prepare"]
    told = {name: kind for name, _, kind in (one.rpartition("=") for one in wish.kinds)}
    names = understanding.columns(place, wish.encoding)
    known = not wish.anew and set(names) == set(ingest["columns"]) and target == prepare["target"]
    known = known and wish.task in ("auto", prepare["task"])
    if known:
        told = {**ingest["columns"], **told}
    missing = [*(ingest["missing"] if known else ()), *wish.missing]
    task = prepare["task"] if known else wish.task
    look = understanding.look(place, target, task=task, encoding=wish.encoding, missing=missing, told=told)
    return look, known


def _write_reading(project: Project, final: PurePosixPath, proposal: Proposal) -> None:
    section, reading = project.params["ingest"], proposal.reading
    section["source"] = str(final)
    for name in ("file_format", "encoding", "delimiter", "decimal"):
        section[name] = getattr(reading, name)
    _refill(section["missing"], list(reading.missing))
    if dict(section["columns"]) != reading.columns:
        _refill(section["columns"], reading.columns)


def _correct_roles(project: Project, proposal: Proposal) -> None:
    """Of known columns, the roles that their kinds no longer allow."""
    fits = {"numeric": NUMERIC, "datetime": ("datetime",), "boolean": ("boolean", *NUMERIC)}
    known = project.params["prepare"]["roles"]
    for name, role in known.items():
        kind = proposal.reading.columns[name].split()[0]
        if kind not in fits.get(role, (kind,)) or (role == "categorical" and kind == "datetime"):
            known[name] = proposal.roles[name][0]


def _write_roles(project: Project, target: str, proposal: Proposal) -> None:
    section = project.params["prepare"]
    section["target"], section["task"] = target, proposal.task
    section["split"], section["split_by"] = "stratified", ""
    _refill(section["roles"], {name: role for name, (role, _) in proposal.roles.items()})
    for name, (role, reason) in proposal.roles.items():
        section["roles"].yaml_add_eol_comment(_one_line(reason), name, column=len(f"    {name}: {role}  "))


def _write_training(project: Project, proposal: Proposal) -> None:
    """A first criterion for the table; estimator, search and plots for the task, where they were for the other."""
    train, fitting = project.params["train"], TRAINING[proposal.task]
    _refill(project.params["evaluate"]["criteria"], fitting["criteria"])
    if project.params["prepare"]["task"] == proposal.task:
        return
    train["estimator"], train["scoring"], train["search"] = fitting["estimator"], fitting["scoring"], "none"
    _refill(train["hyperparameters"], {"n_estimators": 100, "min_samples_leaf": 2})
    plots = []
    for title, (template, x, file, y) in PLOTS[proposal.task].items():
        plot = {"template": template, "x": x, "y": {f"reports/plots/{file}.csv": y}}
        plots.append({title: plot | ({"x_label": x, "y_label": y} if template == "confusion" else {})})
    project.pipeline["plots"] = plots


def _write_description(project: Project, source: str, target: str, proposal: Proposal, table: pd.DataFrame) -> None:
    """What can be said of any table; a person is to say the rest."""
    describe = project.params["describe"]
    used = [name for name, (role, _) in proposal.roles.items() if role not in LEFT_OUT]
    if target != project.params["prepare"]["target"]:
        describe["summary"] = f"Predicts {_one_line(target)}"
    describe["data_name"] = _one_line(PurePosixPath(project.params["ingest"]["source"]).stem)
    describe["data_source"], describe["data_license"] = _one_line(_origin(source)), "not said"
    _refill(describe["intended_use"], [f"To predict {target} from {len(used)} columns of the table."])
    _refill(describe["not_for"], ["Rows unlike those of the table, until somebody has tried it on such rows."])
    _refill(describe["limits"], [f"It has seen {len(table)} rows. Nobody has written down yet what is weak."])


def _write_readme(root: Path, params: Any, table: pd.DataFrame) -> None:
    """The section *The table* of README.md, where there still is one."""
    path, prepare, describe = root / "README.md", params["prepare"], params["describe"]
    lines = [
        f"`{params['ingest']['source']}`: {len(table)} rows × {len(table.columns)} columns;"
        f" `{prepare['target']}` is predicted ({prepare['task']}).\n",
        f"- {describe['data_name']}, from {describe['data_source']}; licence: {describe['data_license']}",
    ]
    for role in dict.fromkeys(prepare["roles"].values()):
        names = ", ".join(name for name, one in prepare["roles"].items() if one == role)
        lines.append(f"- {role}{' (not learned from)' if role in LEFT_OUT else ''}: {_one_line(names)}")
    section = "## The table\n\n" + "\n".join(lines) + "\n\n"
    with suppress(FileNotFoundError):
        text = path.read_text(encoding="utf-8")
        found = re.sub(r"(?ms)^## The table\n.*?(?=^## )", lambda match: section, text)
        path.write_text(found, encoding="utf-8", newline="\n")


def _origin(source: str) -> str:
    return fetching.masked(source) if "://" in source else Path(source).name


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


def _refill(old: Any, new: Any) -> None:
    """Puts other content into a mapping or a list of params.yaml, whose own comment stays."""
    if isinstance(old, list):
        del old[:]
        old.extend(new)
        return
    for name in list(old):
        del old[name]
    old.ca.items.clear()
    old.update(CommentedMap(new))


def _dump(content: Any, path: Path) -> None:
    text = io.StringIO()
    writer().dump(content, text)
    spaced = re.sub(r"(?m)^(?!#)(.+)\n(?=[a-z_]+:)", r"\1\n\n", text.getvalue()) if path.name == "params.yaml" else ""
    part = path.with_name(f".part-{path.name}")
    part.write_text(spaced or text.getvalue(), encoding="utf-8", newline="\n")
    part.replace(path)


def _summary(final: PurePosixPath, target: str, proposal: Proposal, table: pd.DataFrame, known: bool) -> list[str]:
    reading = proposal.reading
    how = f"{reading.file_format}, {reading.encoding}, delimiter {reading.delimiter!r}, decimal {reading.decimal!r}"
    form = how if reading.file_format == "csv" else reading.file_format
    lines = [f"{final}: {len(table)} rows × {len(table.columns)} columns"]
    lines.append(f"read as {form}; missing: {', '.join(map(repr, reading.missing))}")
    if known:
        return [
            *lines,
            "The columns are those that the project knows: roles, contract and estimator stay as they were.",
        ]
    width = max(len(name) for name in table.columns)
    lines.append(f"predict {target}: {proposal.task}, for it has {proposal.task_reason}")
    lines += [f"  {name:<{width}}  {role:<12} {reason}" for name, (role, reason) in proposal.roles.items()]
    lines.append(
        "Written to params.yaml, and a contract drafted in expectations/suite.json: review both, then dvc repro"
    )
    return lines
