"""How often drafted contracts raise a false alarm, and what they notice: eight generated tables, 200 fresh samples of
each, and twelve ways in which a table goes wrong.

The expectations are evaluated here in NumPy, since Great Expectations would need hours; on some samples of each table
both are compared, and a difference ends the program.

    uv run nox -s contracts
"""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bakebook.validation.check import check
from bakebook.validation.draft import draft

DRAFTS = 20  # of each table
FRESH = 10  # samples for each draft
COMPARED = 1  # drafts of each table of which Great Expectations evaluates a clean and every broken sample
Make = Callable[[np.random.Generator, int], pd.DataFrame]
Corrupt = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def gauss(random: np.random.Generator, rows: int) -> pd.DataFrame:
    table = pd.DataFrame(random.normal(size=(rows, 4)), columns=list("abcd"))
    return table.assign(label=np.where(table["a"] + random.normal(size=rows) > 0, "yes", "no"))


def mixed(random: np.random.Generator, rows: int) -> pd.DataFrame:
    jobs, shares = ["clerk", "nurse", "cook", "smith", "pilot", "judge"], [0.4, 0.3, 0.15, 0.1, 0.04, 0.01]
    income = random.lognormal(8, 0.7, rows)
    gaps = random.random(rows) < 0.1
    return pd.DataFrame(
        {
            "id": random.permutation(10 * rows)[:rows],
            "age": random.integers(18, 90, rows),
            "visits": random.poisson(2, rows),
            "income": np.where(gaps, np.nan, income),
            "job": random.choice(jobs, rows, p=shares),
            "label": np.where(income > 3500, "rich", "poor"),
        }
    )


def churn(random: np.random.Generator, rows: int) -> pd.DataFrame:
    tenure = random.integers(0, 73, rows)
    monthly = random.choice([20.0, 50.0, 80.0], rows) + random.normal(0, 6, rows)
    total = np.where(random.random(rows) < 0.002, np.nan, tenure * monthly)
    leaves = random.random(rows) < 0.4 / (1 + tenure / 20)
    return pd.DataFrame(
        {
            "tenure": tenure,
            "monthly": monthly.round(2),
            "total": total,
            "contract": random.choice(["month", "year", "two years"], rows, p=[0.55, 0.25, 0.2]),
            "paperless": random.random(rows) < 0.6,
            "senior": random.integers(0, 2, rows) * (random.random(rows) < 0.3),
            "label": np.where(leaves, "yes", "no"),
        }
    )


def census(random: np.random.Generator, rows: int) -> pd.DataFrame:
    gain = np.where(random.random(rows) < 0.92, 0, random.lognormal(8, 1, rows)).round()
    countries = [f"country {number}" for number in range(40)]
    shares = np.r_[0.9, np.full(39, 0.1 / 39)]
    country = random.choice(countries, rows, p=shares).astype(object)
    country[random.random(rows) < 0.02] = None
    return pd.DataFrame(
        {
            "age": np.clip(random.gamma(6, 6.5, rows), 17, 90).round(),
            "weight": random.lognormal(12, 0.5, rows).round(),
            "gain": gain,
            "hours": np.clip(random.normal(40, 12, rows), 1, 99).round(),
            "country": country,
            "label": random.choice(["<=50K", ">50K"], rows, p=[0.76, 0.24]),
        }
    )


def prices(random: np.random.Generator, rows: int) -> pd.DataFrame:
    carat = random.lognormal(-0.4, 0.55, rows)
    return pd.DataFrame(
        {
            "carat": carat.round(2),
            "depth": random.normal(61.7, 1.4, rows).round(1),
            "cut": random.choice(
                ["Fair", "Good", "Very Good", "Premium", "Ideal"], rows, p=[0.03, 0.09, 0.22, 0.26, 0.4]
            ),
            "sold": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 300, rows), unit="D"),
            "label": (4000 * carat**1.6 * random.lognormal(0, 0.2, rows)).round(),
        }
    )


def sensors(random: np.random.Generator, rows: int) -> pd.DataFrame:
    heat = random.normal(18, 9, rows)
    table = pd.DataFrame({"heat": heat, "humidity": np.clip(random.normal(50, 17, rows), 5, 100)})
    table["ozone"] = random.gamma(3, 300, rows)
    table["label"] = 5 + 0.3 * heat + random.gamma(2, 1, rows)
    return table.mask(random.random(table.shape) < 0.05)


def rare(random: np.random.Generator, rows: int) -> pd.DataFrame:
    table = pd.DataFrame(random.normal(size=(rows, 5)), columns=list("abcde")).round(1)
    table["region"] = random.choice([f"r{number}" for number in range(12)], rows)
    return table.assign(label=np.where(random.random(rows) < 0.15, 1, 0))


def doubled(random: np.random.Generator, rows: int) -> pd.DataFrame:
    table = pd.DataFrame({"size": random.gamma(4, 20, rows).round(2), "rooms": random.integers(1, 8, rows)})
    table["label"] = (table["size"] * 3 + random.normal(0, 30, rows)).round(1)
    table.iloc[: rows // 12] = table.iloc[rows // 12 : 2 * (rows // 12)].to_numpy()
    return table.sample(frac=1, random_state=int(random.integers(2**31)), ignore_index=True)


TABLES: dict[str, tuple[Make, int, list[str]]] = {
    "gauss, 200 rows": (gauss, 200, []),
    "mixed, 500 rows": (mixed, 500, ["id"]),
    "churn, 1,000 rows": (churn, 1000, []),
    "census, 2,000 rows": (census, 2000, []),
    "prices, 2,000 rows": (prices, 2000, []),
    "sensors with gaps, 1,000 rows": (sensors, 1000, []),
    "a rare class, 700 rows": (rare, 700, []),
    "doubled rows, 500 rows": (doubled, 500, []),
}


def number_of(table: pd.DataFrame, random: np.random.Generator) -> str:
    """A numeric input that varies, at random."""
    inputs = table.drop(columns=["label", "id"], errors="ignore")
    names = [name for name in inputs.select_dtypes("number") if table[name].nunique() > 5]
    return str(random.choice(names))


def category_of(table: pd.DataFrame) -> str | None:
    words = table.drop(columns="label").select_dtypes(["object", "string"]).columns
    return str(words[0]) if len(words) else None


def scaled(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return table.assign(**{(name := number_of(table, random)): table[name] * 100.0})


def other_unit(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    name, half = number_of(table, random), random.random(len(table)) < 0.5
    return table.assign(**{name: np.where(half, table[name] * 2.54, table[name])})


def shifted(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return table.assign(**{(name := number_of(table, random)): table[name] + table[name].std()})


def swapped(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    inputs = [name for name in table.drop(columns="label") if pd.api.types.is_numeric_dtype(table[name])]
    one, other = random.choice(inputs, 2, replace=False)
    return table.assign(**{one: table[other], other: table[one]})


def missing(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return table.assign(**{(name := number_of(table, random)): table[name].mask(random.random(len(table)) < 0.3)})


def half_missing(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return table.assign(**{(name := number_of(table, random)): table[name].mask(random.random(len(table)) < 0.5)})


def marked(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return table.assign(
        **{(name := number_of(table, random)): table[name].mask(random.random(len(table)) < 0.05, -999)}
    )


def stuck(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return table.assign(**{(name := number_of(table, random)): table[name].dropna().iloc[0]})


def copied(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return pd.concat([table, table.sample(frac=0.2, random_state=1)], ignore_index=True)


def shuffled(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return table.assign(label=random.permutation(table["label"].to_numpy()))


def gone(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return table.drop(columns=number_of(table, random))


def lost(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Without a class; a number to predict loses its upper half."""
    label = table["label"]
    if label.nunique() <= 20:
        return table[label != label.mode()[0]].reset_index(drop=True)
    return table[~(label > label.median())].reset_index(drop=True)


def other_case(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame | None:
    name = category_of(table)
    if name is None:
        return None
    return table.assign(**{name: table[name].where(random.random(len(table)) > 0.3, table[name].str.upper())})


CORRUPTIONS: dict[str, tuple[Any, bool]] = {  # and whether it ruins a model
    "one column × 100": (scaled, True),
    "half the rows in another unit (× 2.54)": (other_unit, True),
    "a column shifted by its standard deviation": (shifted, False),
    "two columns swapped": (swapped, False),
    "30 % newly missing": (missing, False),
    "half missing": (half_missing, True),
    "5 % are −999": (marked, False),
    "a column stuck at a constant": (stuck, True),
    "20 % of the rows doubled": (copied, False),
    "labels shuffled": (shuffled, False),
    "a column gone": (gone, True),
    "a class lost by a filter": (lost, True),
    "30 % of a category in upper case": (other_case, False),
}


def main() -> None:
    """Prints both tables."""
    alarms: dict[str, Counter[str]] = {name: Counter() for name in TABLES}
    noticed: dict[str, Counter[str]] = {name: Counter() for name in CORRUPTIONS}
    causes: Counter[str] = Counter()
    for place, (name, (make, rows, unique)) in enumerate(TABLES.items()):
        for number in range(DRAFTS):
            random = np.random.default_rng([place, number])
            suite = draft(make(random, rows), "label", unique)
            is_compared = number < COMPARED
            for _ in range(FRESH):
                fresh = make(random, rows)
                found = severities(suite, fresh, causes)
                alarms[name].update(["samples", *found])
            if is_compared:
                compare(name, fresh, suite)
            for kind, (corrupt, _) in CORRUPTIONS.items():
                broken = corrupt(make(random, rows), random)
                if broken is None:
                    continue
                noticed[kind].update(["samples", *severities(suite, broken, Counter())])
                if is_compared and kind != "a column gone":
                    compare(f"{name}, {kind}", broken, suite)
    print("| table | any warning | stopped |\n|---|---|---|")
    for name, counts in alarms.items():
        print(f"| {name} | {share(counts, 'any')} | {share(counts, 'critical')} |")
    total = sum(alarms.values(), Counter())
    print(f"| **all** | **{share(total, 'any')}** | **{share(total, 'critical')}** |")
    print("\n| what goes wrong | noticed | stopped | ruins a model |\n|---|---|---|---|")
    for kind, counts in noticed.items():
        ruins = "yes" if CORRUPTIONS[kind][1] else ""
        print(f"| {kind} | {share(counts, 'any')} | {share(counts, 'critical')} | {ruins} |")
    counted = [kind for kind in CORRUPTIONS if kind not in ("labels shuffled", "half missing")]
    mean = np.mean([noticed[kind]["any"] / noticed[kind]["samples"] for kind in counted])
    print(f"\nnoticed on average, without shuffled labels: {mean:.1%}")
    print("false alarms by expectation:", dict(causes.most_common()), file=sys.stderr)


def share(counts: Counter[str], what: str) -> str:
    return f"{counts[what] / counts['samples']:.1%}"


def severities(suite: dict[str, Any], table: pd.DataFrame, causes: Counter[str]) -> set[str]:
    failed = [one for one in suite["expectations"] if not holds(one, table)]
    causes.update(f"{one['type']} {one['kwargs'].get('column', '')} {one['severity']}" for one in failed)
    return {one["severity"] for one in failed} | ({"any"} if failed else set())


def holds(expectation: dict[str, Any], table: pd.DataFrame) -> bool:
    """Whether a table meets an expectation of the kinds that a draft has."""
    name, kwargs = expectation["type"].removeprefix("expect_"), expectation["kwargs"]
    if name == "table_columns_to_match_set":
        return set(table.columns) == set(kwargs["column_set"])
    if name == "table_row_count_to_be_between":
        return len(table) >= kwargs["min_value"]
    if name == "compound_columns_to_be_unique":
        if not set(kwargs["column_list"]) <= set(table.columns):
            return False
        copies = table.duplicated(kwargs["column_list"], keep=False)
        return bool(1 - copies.mean() >= kwargs.get("mostly", 1))
    if kwargs["column"] not in table:
        return False
    column = table[kwargs["column"]]
    values = column.dropna()
    mostly = kwargs.get("mostly", 1.0)
    if name == "column_values_to_not_be_null":
        return bool(column.notna().mean() >= mostly)
    if name == "column_values_to_be_in_type_list":
        return str(column.dtype) in kwargs["type_list"]
    if name == "column_values_to_be_of_type":
        return str(column.dtype) == kwargs["type_"]
    if name == "column_unique_value_count_to_be_between":
        return values.nunique() >= kwargs["min_value"]
    if name == "column_values_to_be_unique":
        return bool((~values.duplicated(keep=False)).mean() >= mostly)
    if name == "column_values_to_be_in_set":
        return values.empty or bool(values.isin(kwargs["value_set"]).mean() >= mostly)
    if name == "column_distinct_values_to_contain_set":
        return set(kwargs["value_set"]) <= set(values.unique())
    if name == "column_values_to_be_between":
        return values.empty or bool(values.between(kwargs["min_value"], kwargs["max_value"]).mean() >= mostly)
    if name == "column_quantile_values_to_be_between":
        ranges = kwargs["quantile_ranges"]
        found = values.quantile(ranges["quantiles"], interpolation="lower")
        pairs = zip(found, ranges["value_ranges"], strict=True)
        return all((low is None or low <= one) and (high is None or one <= high) for one, (low, high) in pairs)
    raise ValueError(name)


def compare(name: str, table: pd.DataFrame, suite: dict[str, Any]) -> None:
    """Ends the program where Great Expectations finds another outcome."""
    results = check(table, suite).results[2:]  # after those that are not of the suite
    for one, result in zip(suite["expectations"], results, strict=True):
        if result.success != holds(one, table):
            raise SystemExit(f"{name}: {one} holds: {holds(one, table)}, by Great Expectations: {result}")


if __name__ == "__main__":
    main()
