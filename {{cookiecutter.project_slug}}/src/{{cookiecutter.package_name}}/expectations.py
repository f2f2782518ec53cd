"""The data contract: a Great Expectations suite drafted from a table, edited by a person, checked by `validate`."""

import logging
from collections.abc import Collection
from copy import deepcopy
from typing import Any, get_args

import pandas as pd

from .errors import BadInput, GateClosed, first_line
from .parameters import Severity

Suite = dict[str, Any]
Validation = dict[str, Any]
FEW, MANY = 20, 200  # different texts up to which a draft lists them: in a column, in the target
SEVERITIES: tuple[str, ...] = get_args(Severity)  # the gravest first


def draft(table: pd.DataFrame, target: str, unique: Collection[str] = (), margin: float = 0.1) -> Suite:
    """A suite that the table meets, to be reviewed: ranges reach `margin` of their width beyond what was seen.

    The columns `unique` are to hold another value in each row.
    """
    found = [
        _expect("table_columns_to_match_set", "critical", column_set=list(table.columns), exact_match=True),
        _expect("table_row_count_to_be_between", "critical", min_value=max(1, len(table) // 2)),
        _expect("compound_columns_to_be_unique", "warning", column_list=list(table.columns)),
    ]
    for name in table.columns:
        found += _draft_column(table[name], is_target=name == target, margin=margin)
    found += [_expect("column_values_to_be_unique", "warning", column=name) for name in unique]
    return {"name": "table", "expectations": found}


def check(table: pd.DataFrame, suite: Suite) -> Validation:
    """Every expectation of the suite with its outcome, in the suite's order.

    Succeeds when no critical expectation fails. What Great Expectations lets pass fails here: an empty table, an
    empty suite, an expectation that it drops because it does not know it, and one that raises.
    """
    expected = _expected(suite)
    outcomes = _evaluate(table, expected) if len(table) and expected else {}
    results = [
        _built_in("the table has rows", len(table) > 0),
        _built_in("the suite has expectations", len(expected) > 0),
        *(_result(one, outcomes.get(number), is_empty=table.empty) for number, one in enumerate(expected)),
    ]
    failed = {s: sum(not r["success"] and r["severity"] == s for r in results) for s in SEVERITIES}
    return {
        "success": failed["critical"] == 0,
        "rows": len(table),
        "columns": len(table.columns),
        "expectations": len(expected),
        "failed": failed,
        "results": results,
    }


def results_table(validation: Validation) -> pd.DataFrame:
    """The outcomes as a table, failures first."""
    rows = [{name: _readable(value) for name, value in result.items()} for result in validation["results"]]
    columns = ["kept", "severity", "column", "expectation", "expected", "observed", "unexpected", "rows", "problem"]
    table = pd.DataFrame(rows).rename(columns={"success": "kept"})[columns]
    return table.sort_values("kept", kind="stable").reset_index(drop=True)


def page(validation: Validation) -> str:
    """The outcomes as one HTML page that needs nothing else to be read."""
    verdict = "The table keeps its contract" if validation["success"] else "The table breaks its contract"
    counts = ", ".join(f"{count} {severity}" for severity, count in validation["failed"].items())
    rows = results_table(validation).to_html(index=False, border=0)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{verdict}</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{verdict}</h1>\n<p>{validation['rows']} rows, {validation['columns']} columns, "
        f"{validation['expectations']} expectations; failed: {counts}.</p>\n{rows}\n</html>\n"
    )


def stop_if_broken(validation: Validation, stop_at: str) -> str:
    """Says that the contract is kept, or raises GateClosed with the failures of severity `stop_at` or worse."""
    stopping = SEVERITIES[: SEVERITIES.index(stop_at) + 1]
    broken = [r for r in validation["results"] if not r["success"] and r["severity"] in stopping]
    if not broken:
        return f"{validation['rows']} rows keep every expectation of severity {' or '.join(stopping)}"
    first = broken[0]
    subject = f"{first['expectation']} ({first['column']})" if first["column"] else first["expectation"]
    detail = first["problem"] or f"expected {_readable(first['expected'])}, observed {_readable(first['observed'])}"
    rows = f", in row {_readable(first['rows'])} counted from 0" if first["rows"] else ""
    count = "1 expectation fails" if len(broken) == 1 else f"{len(broken)} expectations fail"
    raise GateClosed(
        f"{count}, first: {subject}: {detail}{rows}"
        " → read reports/validation.html, then mend the data or expectations/suite.json"
    )


_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.35rem .6rem;text-align:left;border-bottom:1px solid #ddd}"
)


def _readable(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, dict):
        return "; ".join(f"{name.strip('_').replace('_', ' ')}: {_readable(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join("missing" if one is None else str(one) for one in value)
    return "" if value is None else str(value)


def _expect(kind: str, severity: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity}


def _type(column: pd.Series) -> dict[str, Any]:
    """Whole numbers and booleans have another type when one is missing: either will do."""
    alike = [{"int64", "float64"}, {"bool", "object"}]
    types = next((one for one in alike if str(column.dtype) in one), None)
    if types is None:
        return _expect("column_values_to_be_of_type", "critical", column=column.name, type_=str(column.dtype))
    return _expect("column_values_to_be_in_type_list", "critical", column=column.name, type_list=sorted(types))


def _draft_column(column: pd.Series, is_target: bool, margin: float) -> list[dict[str, Any]]:
    name = column.name
    found = [_type(column)]
    gaps = float(column.isna().mean())
    if not gaps:
        found.append(_expect("column_values_to_not_be_null", "critical", column=name))
    elif gaps < 1:
        mostly = round(max(0.0, 1 - gaps - margin), 4)
        found.append(_expect("column_values_to_not_be_null", "warning", column=name, mostly=mostly))
    if gaps < 1 and pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        least, greatest = float(column.min()), float(column.max())
        spare = round((greatest - least) * margin, 6)
        bounds = {"min_value": round(least - spare, 6), "max_value": round(greatest + spare, 6)}
        found.append(_expect("column_values_to_be_between", "warning", column=name, **bounds))
    elif pd.api.types.is_string_dtype(column) and 0 < column.nunique() <= (MANY if is_target else FEW):
        values = sorted(column.dropna().astype(str).unique())
        severity = "critical" if is_target else "warning"
        found.append(_expect("column_values_to_be_in_set", severity, column=name, value_set=values))
    return found


def _expected(suite: Suite) -> list[dict[str, Any]]:
    """The suite's expectations, whole. Raises BadInput on what no suite can hold."""
    found = suite.get("expectations") if isinstance(suite, dict) else None
    if not isinstance(found, list):
        raise BadInput("expectations/suite.json has no list 'expectations' → write one with notebooks/exploratory")
    for number, one in enumerate(found, start=1):
        if not isinstance(one, dict) or not isinstance(one.get("type"), str):
            raise BadInput(f"expectation {number} of expectations/suite.json has no 'type' → mend it")
        if one.setdefault("severity", "critical") not in SEVERITIES:
            raise BadInput(f"expectation {number} has severity '{one['severity']}' → choose {', '.join(SEVERITIES)}")
    return found


def _evaluate(table: pd.DataFrame, expected: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Great Expectations' outcome of each expectation that it knows, by its place in the suite."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("project").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": table})
    try:
        numbered = [one | {"meta": {"number": number}} for number, one in enumerate(deepcopy(expected))]
        known = gx.ExpectationSuite(name="table", expectations=numbered)
    except Exception as error:  # pydantic's, with one line per wrong argument
        raise BadInput(f"expectations/suite.json: {' '.join(str(error).split())} → mend it") from None
    outcomes: list[Any] = [one.to_json_dict() for one in batch.validate(known, result_format="SUMMARY").results]
    return {outcome["expectation_config"]["meta"]["number"]: outcome for outcome in outcomes}


def _built_in(name: str, success: bool) -> dict[str, Any]:
    return _row(name, "critical", success, None, None, None if success else "it has none")


def _result(expectation: dict[str, Any], outcome: dict[str, Any] | None, *, is_empty: bool) -> dict[str, Any]:
    name = expectation["type"].removeprefix("expect_").replace("_", " ")
    kwargs = dict(expectation.get("kwargs", {}))
    column = kwargs.pop("column", None)
    if outcome is None:
        problem = f"not evaluated: {'the table is empty' if is_empty else 'Great Expectations does not know it'}"
        return _row(name, expectation["severity"], False, column, kwargs, problem)
    found = outcome["result"]
    row = _row(name, expectation["severity"], outcome["success"], column, kwargs, _problem(outcome))
    unexpected = found.get("partial_unexpected_list")
    row["observed"] = found.get("observed_value", unexpected and _once_each(unexpected))
    row["unexpected"] = found.get("unexpected_count")
    row["rows"] = found.get("partial_unexpected_index_list") or None
    return row


def _once_each(values: list[Any]) -> list[Any]:
    """Values, or those of several columns together, which have no hash."""
    return list({repr(value): value for value in values}.values())


def _row(
    name: str, severity: str, success: bool, column: str | None, expected: Any, problem: str | None
) -> dict[str, Any]:
    row = {"expectation": name, "column": column, "severity": severity, "success": bool(success)}
    return row | {"expected": expected, "observed": None, "unexpected": None, "rows": None, "problem": problem}


def _problem(outcome: dict[str, Any]) -> str | None:
    raised = outcome["exception_info"]
    for one in (raised, *(value for value in raised.values() if isinstance(value, dict))):
        if one.get("raised_exception"):
            return first_line(Exception(one["exception_message"]))
    return None
