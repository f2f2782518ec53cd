"""Takes labelled predictions into the project: `nb data feedback`."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pyarrow import parquet

from bakebook.contract.project import Project, load, write_params, write_pipeline
from bakebook.contracts import ReadOptions
from bakebook.datasets.fetch import RAW, dvc
from bakebook.errors import BadInput
from bakebook.files import atomic
from bakebook.tables import labelled

FEEDBACK = RAW / "feedback.parquet"
DEPENDENCY = "${ingest.feedback}"
PREDICTED = "predicted"  # the column of what the model said
MOST_NAMED = 10  # classes in a message


def take_feedback(root: Path, file: Path) -> list[str]:
    """Adds labelled predictions to those of the project and returns lines for the user; a later
    label replaces one.
    """
    project = load(root)
    ingest = project.section("ingest", "columns", "feedback")
    target = str(project.section("prepare", "target")["target"])
    if not file.is_file():
        raise BadInput(f"there is no file {file}", f"nb db export {file}")
    given = labelled.read(file, ReadOptions(columns=dict(ingest["columns"])))
    rows = _merged(root, file, has_feedback=bool(ingest["feedback"]))
    for column in (target, PREDICTED):
        if column not in rows:
            what = f"{file} has no column '{column}'"
            raise BadInput(what, f"export it from this project's service: nb db export {file}")
    with atomic(root / FEEDBACK) as part:
        rows.to_parquet(part, index=False)
    dvc(root, "add", str(FEEDBACK))
    if not ingest["feedback"]:
        ingest["feedback"] = str(FEEDBACK)
        project.pipeline["stages"]["ingest"]["deps"].insert(1, DEPENDENCY)
        write_params(project)
        write_pipeline(project)
    counts = given[target].value_counts().head(MOST_NAMED)
    labels = ", ".join(f"{count} {name}" for name, count in counts.items())
    wrong = (rows[PREDICTED].astype(str) != rows[target].astype(str)).sum()
    return [
        f"{FEEDBACK}: {len(rows)} labelled predictions, "
        f"{len(given)} of them from {file} ({labels})",
        f"the model predicted {wrong} of them differently; review them, then run dvc repro",
    ]


def forget_feedback(project: Project) -> None:
    """Removes the feedback from the parameters: labels of another table mean nothing."""
    if project.params["ingest"]["feedback"]:
        project.params["ingest"]["feedback"] = ""
        project.pipeline["stages"]["ingest"]["deps"].remove(DEPENDENCY)


def rename_in_feedback(project: Project, renamed: Mapping[str, str]) -> None:
    """Gives the columns of the feedback the names that they have in the table now."""
    final = project.root / FEEDBACK
    if not renamed or not project.params["ingest"]["feedback"] or not final.is_file():
        return
    rows = parquet.read_table(final)
    names = [renamed.get(name, name) for name in rows.column_names]
    with atomic(final) as part:
        parquet.write_table(rows.rename_columns(names), part)
    dvc(project.root, "add", str(FEEDBACK))


def _merged(root: Path, file: Path, *, has_feedback: bool) -> pd.DataFrame:
    rows = parquet.read_table(file).to_pandas()
    final = root / FEEDBACK
    if not has_feedback or not final.is_file():
        return rows
    known = pd.read_parquet(final)
    return pd.concat([known, rows]).drop_duplicates(labelled.ID, keep="last")
