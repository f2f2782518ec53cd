"""The result of a validation for people: a table, and a page that needs nothing else to be read."""

from html import escape
from typing import Any

import pandas as pd

from bakebook.contracts import ValidationResult

COLUMNS = (
    "valid",
    "severity",
    "column",
    "expectation",
    "expected",
    "observed",
    "unexpected",
    "rows",
    "problem",
)
STYLE = """
body { font: 15px system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { padding: .35rem .6rem; text-align: left; border-bottom: 1px solid #ddd }
"""
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{verdict}</title>
<style>{style}</style>
<h1>{verdict}</h1>
<p>{rows} rows, {columns} columns, {expectations} expectations; failed: {failed}.</p>
{table}
</html>
"""


def results_table(validation: ValidationResult) -> pd.DataFrame:
    """One row per expectation, failures first."""
    rows = []
    for result in validation.results:
        fields = result.model_dump()
        fields["valid"] = fields.pop("success")
        rows.append([readable(fields[name]) for name in COLUMNS])
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values("valid", kind="stable").reset_index(drop=True)


def page(validation: ValidationResult) -> str:
    """The result as one HTML page."""
    verdict = (
        "The table meets its contract" if validation.success else "The table breaks its contract"
    )
    return PAGE.format(
        verdict=verdict,
        style=STYLE,
        rows=validation.rows,
        columns=validation.columns,
        expectations=validation.expectations,
        failed=escape(counts(validation)),
        table=results_table(validation).to_html(index=False, border=0),
    )


def counts(validation: ValidationResult) -> str:
    """How many expectations fail: 0 critical, 1 warning, 0 info."""
    return ", ".join(f"{count} {severity}" for severity, count in validation.failed.items())


def readable(value: Any) -> str:
    """A value of a result in plain words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        named = [
            f"{name.strip('_').replace('_', ' ')}: {readable(one)}" for name, one in value.items()
        ]
        return "; ".join(named)
    if isinstance(value, list):
        return ", ".join("missing" if one is None else str(one) for one in value)
    return "" if value is None else str(value)
