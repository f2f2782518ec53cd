"""Checks a table against its data contract with Great Expectations."""

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import pandas as pd

from bakebook.contracts import ExpectationResult, FeedbackRows, ValidationResult
from bakebook.errors import BadInput, CheckFailed, first_line
from bakebook.params import Severity
from bakebook.validation.report import readable, results_table
from bakebook.validation.suite import (
    OWN_SUITE_FILE,
    SEVERITIES,
    SUITE_FILE,
    Expectation,
    expectations_of,
)

REMEDY = f"read reports/validation.html, then fix the data or {SUITE_FILE}"
NO_LABELS = FeedbackRows()
Numbered = dict[int, Expectation]  # by their places in the suite
Outcome = Mapping[str, Any]  # of one expectation, as Great Expectations writes it to JSON


def check(
    table: pd.DataFrame,
    suite: object,
    file: str = SUITE_FILE,
    labelled: FeedbackRows = NO_LABELS,
) -> ValidationResult:
    """The outcome of every expectation, in the suite's order; it succeeds when no critical
    expectation fails.

    What Great Expectations accepts fails here: an empty table, an empty suite, an expectation that
    it ignores because it does not know it, and one that raises. Raises BadInput when the suite is
    no suite; `file` is its name in messages. What is expected of a column that labelled predictions
    lack is not expected of these rows.
    """
    expected = expectations_of(suite, file)
    outcomes: dict[int, Outcome] = {}
    if len(table):
        drawn = table.drop(index=table.index[list(labelled.rows)])
        about_all, about_drawn = _about(expected, labelled)
        outcomes = _evaluate(table, about_all, file) | _evaluate(drawn, about_drawn, file)
    results = [
        _built_in("the table has rows", len(table) > 0),
        _built_in("the suite has expectations", len(expected) > 0),
    ]
    for number, expectation in enumerate(expected):
        if number in outcomes:
            results.append(_result(expectation, outcomes[number]))
        else:
            results.append(_not_evaluated(expectation, table.empty))
    failed = {severity: _count_failed(results, severity) for severity in SEVERITIES}
    return ValidationResult(
        success=failed["critical"] == 0,
        rows=len(table),
        columns=len(table.columns),
        expectations=len(expected),
        failed=failed,
        results=tuple(results),
    )


def check_own_columns(parts: Sequence[pd.DataFrame], suite: object) -> pd.DataFrame | str:
    """The outcome of every expectation about the project's own columns in all parts of the table
    together, or a sentence that there are none. Raises CheckFailed where a critical one fails.
    """
    if not expectations_of(suite, OWN_SUITE_FILE):
        return f"{OWN_SUITE_FILE} has no expectations."
    table = pd.concat(parts, ignore_index=True)
    validation = check(table, suite, OWN_SUITE_FILE)
    stop_if_failed(validation, "critical", f"fix columns.py or {OWN_SUITE_FILE}")
    return results_table(validation)


def stop_if_failed(validation: ValidationResult, stop_at: Severity, remedy: str = REMEDY) -> str:
    """Says that the table meets its contract, or raises CheckFailed with failures of severity
    `stop_at` or worse.
    """
    stopping = SEVERITIES[: SEVERITIES.index(stop_at) + 1]
    failed = [one for one in validation.results if not one.success and one.severity in stopping]
    if not failed:
        return f"{validation.rows} rows meet every expectation of severity {' or '.join(stopping)}"
    first = failed[0]
    subject = f"{first.expectation} ({first.column})" if first.column else first.expectation
    detail = (
        first.problem or f"expected {readable(first.expected)}, observed {readable(first.observed)}"
    )
    rows = f", in row {readable(first.rows)} counted from 0" if first.rows else ""
    count = "1 expectation fails" if len(failed) == 1 else f"{len(failed)} expectations fail"
    raise CheckFailed(f"{count}, first: {subject}: {detail}{rows}", remedy)


def _about(expected: list[Expectation], labelled: FeedbackRows) -> tuple[Numbered, Numbered]:
    """What is expected of all rows, and what only of those that are no labelled predictions."""
    about_all: Numbered = {}
    about_drawn: Numbered = {}
    for number, one in enumerate(expected):
        is_lacking = not one.columns.isdisjoint(labelled.lacking)
        (about_drawn if is_lacking else about_all)[number] = one
    return about_all, about_drawn


def _evaluate(table: pd.DataFrame, expected: Numbered, file: str) -> dict[int, Outcome]:
    """Great Expectations' outcome of each expectation that it knows, by its place in the suite."""
    if not expected:
        return {}
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("project").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": table})
    numbered = []
    for number, expectation in expected.items():
        numbered.append({**deepcopy(expectation.source), "meta": {"number": number}})
    try:
        suite = gx.ExpectationSuite(name="table", expectations=numbered)
    except Exception as error:  # pydantic's, with one line per wrong argument
        raise BadInput(f"{file}: {' '.join(str(error).split())}", "fix it") from None
    outcomes: dict[int, Outcome] = {}
    for one in batch.validate(suite, result_format="SUMMARY").results:
        outcome: Any = one.to_json_dict()
        outcomes[outcome["expectation_config"]["meta"]["number"]] = outcome
    return outcomes


def _built_in(name: str, success: bool) -> ExpectationResult:
    return ExpectationResult(
        expectation=name,
        column=None,
        severity="critical",
        success=success,
        problem=None if success else "it has none",
    )


def _not_evaluated(expectation: Expectation, is_empty: bool) -> ExpectationResult:
    reason = "the table is empty" if is_empty else "Great Expectations does not know it"
    column, kwargs = _split_kwargs(expectation)
    return ExpectationResult(
        expectation=expectation.name,
        column=column,
        severity=expectation.severity,
        success=False,
        expected=kwargs,
        problem=f"not evaluated: {reason}",
    )


def _result(expectation: Expectation, outcome: Outcome) -> ExpectationResult:
    found = outcome["result"]
    unexpected = found.get("partial_unexpected_list")
    observed = found.get("observed_value", unexpected and _distinct(unexpected))
    column, kwargs = _split_kwargs(expectation)
    return ExpectationResult(
        expectation=expectation.name,
        column=column,
        severity=expectation.severity,
        success=bool(outcome["success"]),
        expected=kwargs,
        observed=observed,
        unexpected=found.get("unexpected_count"),
        rows=found.get("partial_unexpected_index_list") or None,
        problem=_problem(outcome),
    )


def _split_kwargs(expectation: Expectation) -> tuple[str | None, dict[str, object]]:
    kwargs = dict(expectation.kwargs)
    return kwargs.pop("column", None), kwargs


def _distinct(values: list[object]) -> list[object]:
    """Each value once, also values of several columns together, which cannot be hashed."""
    return list({repr(value): value for value in values}.values())


def _problem(outcome: Outcome) -> str | None:
    """The message of an exception that the expectation raised."""
    info = outcome["exception_info"]
    nested = [value for value in info.values() if isinstance(value, dict)]
    for one in (info, *nested):
        if one.get("raised_exception"):
            return first_line(Exception(one["exception_message"]))
    return None


def _count_failed(results: list[ExpectationResult], severity: Severity) -> int:
    return sum(not result.success and result.severity == severity for result in results)
