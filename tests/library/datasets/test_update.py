"""A new version of a known table: what a person wrote about columns that are still there stays."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bakebook.contract.project import Project, write_params
from bakebook.contract.yaml_files import reader
from bakebook.datasets import settings_writer, update
from bakebook.datasets.changes import Changes, compare
from bakebook.datasets.understanding import Request, Understood, understand

PARAMS = """\
# Ours.
ingest:
  source: data/raw/people.csv  # from the registry
  file_format: csv
  encoding: utf-8
  delimiter: ','
  decimal: .
  missing: ['']
  feedback: data/raw/feedback.parquet
  columns:  # the dtype of each column
    number: integer
    age: number  # in years
    "home town": text
    zip: text  # has leading zeros
    joined: datetime
    score: number
    bought: text

prepare:
  target: bought   # the one thing we want to know
  task: classification
  roles:
    number: identifier  # asked Ana
    age: numeric
    "home town": categorical  # 7 towns
    zip: categorical  # not a number!
    joined: datetime
    score: identifier  # leaks, see the mail of May
  orders:
    zip: ['01', '02']  # by the distance to us
  split: group
  split_by: 'home town'
  random_state: 7

train:
  estimator: sklearn.linear_model.LogisticRegression
  scoring: f1_macro
  search: none
  hyperparameters: {C: 0.5}   # tuned in June

evaluate:
  criteria:
    recall: 0.8  # promised

describe:
  summary: "Who buys?"
  intended_use: ["To send fewer letters."]
  limits:
    - Only one region.
"""
OURS = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "age", "min_value": 18},
    "severity": "critical",
}
ZIP = {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "zip", "regex": "^0"}, "notes": "Ana"}
ALL = {"type": "expect_table_columns_to_match_set", "kwargs": {"column_set": [], "exact_match": True}}
COLUMNS = ["number", "age", "home town", "zip", "joined", "score", "bought"]


def people(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "number": range(1, rows + 1),
            "age": chance.uniform(18, 90, rows).round(1),
            "home town": chance.choice(["Foix", "Pau", "Albi"], rows),
            "zip": [f"0{value}" for value in chance.integers(1000, 1400, rows)],
            "joined": [f"2024-{value:02}-01" for value in chance.integers(1, 12, rows)],
            "score": chance.normal(0, 1, rows).round(3),
            "bought": chance.choice(["no", "yes"], rows),
        }
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    ALL["kwargs"]["column_set"] = list(COLUMNS)  # type: ignore[index]
    suite = {"name": "ours", "expectations": [ALL, OURS, ZIP]}
    (tmp_path / "expectations").mkdir()
    lines = ",\n".join(f"    {json.dumps(one)}" for one in suite["expectations"])
    text = '{\n  "name": "ours",\n  "expectations": [\n' + lines + "\n  ]\n}\n"
    (tmp_path / "expectations" / "suite.json").write_text(text, encoding="utf-8")
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.bakebook]\npackage = "mine"\n', encoding="utf-8")
    (tmp_path / "data" / "interim").mkdir(parents=True)
    people().to_parquet(tmp_path / "data" / "interim" / "table.parquet")
    return Project(tmp_path, reader().load(PARAMS), {"stages": {}}, {})


def updated(project: Project, table: pd.DataFrame, **asked: Any) -> tuple[Understood, list[str], list[str]]:
    """What was understood, the losses, and the lines for the user; params.yaml and the suite are written."""
    place = project.root / "people.csv"
    table.to_csv(place, index=False)
    understood = understand(project, Request(**asked), place)
    suite = update.read_suite(project.root)
    lost = update.losses(project, understood, suite)
    said = update.lines(project, understood, suite)
    update.follow(project, understood, None)  # type: ignore[arg-type]
    settings_writer.write_reading(project, Path("data/raw/people.csv"), understood.options)  # type: ignore[arg-type]
    update.write_suite(project.root, understood, suite)
    write_params(project)
    return understood, lost, said


def params(project: Project) -> str:
    return (project.root / "params.yaml").read_text("utf-8")


def suite_lines(project: Project) -> list[str]:
    return (project.root / "expectations" / "suite.json").read_text("utf-8").splitlines()


def test_the_same_columns_in_another_order_change_nothing(project: Project) -> None:
    before = suite_lines(project)
    _, lost, said = updated(project, people(80, seed=1)[COLUMNS[::-1]])
    assert params(project) == PARAMS
    assert suite_lines(project) == before
    assert lost == []
    assert said == [
        "The project knows these columns, so all stays: roles, contract, criteria, estimator, texts, feedback."
    ]


def test_a_renamed_column_keeps_everything_that_was_said_of_it(project: Project) -> None:
    table = people().rename(columns={"zip": "postal code", "home town": "town"})
    _, lost, said = updated(project, table)
    expected = PARAMS.replace('"home town"', "town").replace("'home town'", "'town'").replace("zip:", "postal code:")
    assert params(project) == expected
    assert lost == []
    assert "  renamed  zip → postal code (same values): role and 1 expectation follow" in said
    assert '"column": "postal code", "regex": "^0"}, "notes": "Ana"' in "".join(suite_lines(project))


def test_the_marker_of_a_renamed_column_follows_it(project: Project) -> None:
    project.params["ingest"]["missing"].append("zip=00000")
    updated(project, people().rename(columns={"zip": "postal code"}))
    assert project.params["ingest"]["missing"] == ["", "postal code=00000"]
    assert params(project).replace("postal code", "zip") == PARAMS.replace("['']", "['', zip=00000]")


def test_an_added_column_gets_a_role_and_expectations_below_the_others(project: Project) -> None:
    table = people()
    table["visits"] = np.arange(60) % 7
    _, lost, said = updated(project, table)
    lines = params(project).splitlines()
    lines.remove("    visits: integer")
    lines.remove("    visits: numeric")
    assert "\n".join(lines) + "\n" == PARAMS
    assert lost == []
    assert "  added    visits: numeric (7 distinct numbers)" in said
    assert '"visits"' in "".join(suite_lines(project)) and json.dumps(OURS) in "".join(suite_lines(project))


def test_a_dropped_column_is_a_loss_that_is_listed(project: Project) -> None:
    _, lost, said = updated(project, people().drop(columns=["zip", "home town"]))
    assert lost == [
        "column 'home town' with its role categorical",
        "column 'zip' with its role categorical and the order of its categories and 1 expectation",
        "split: group by 'home town'",
    ]
    assert "  dropped  zip" in said
    left = [line for line in PARAMS.splitlines() if "zip" not in line and "home town" not in line]
    left = [line.replace("orders:", "orders: {}") for line in left]
    changed = [line.replace("split: group", "split: stratified") for line in left]
    place = changed.index("  split: stratified")
    changed.insert(place + 1, "  split_by: ''")
    assert params(project).splitlines() == changed


def test_another_target_keeps_the_roles_of_the_other_columns(project: Project) -> None:
    _, lost, _ = updated(project, people(), target="home town", task="classification")
    text = params(project)
    assert "target: home town  # the one thing we want to know" in text
    assert "    bought: categorical" in text and "    score: identifier  # leaks, see the mail of May" in text
    assert lost == []


def test_a_target_that_was_renamed_is_found(project: Project) -> None:
    understood, lost, _ = updated(project, people().rename(columns={"bought": "has bought"}))
    assert (understood.target, lost) == ("has bought", [])


def test_what_an_own_column_reads_is_named_when_it_is_renamed(project: Project) -> None:
    (project.root / "src" / "mine").mkdir(parents=True)
    source = "@column\ndef Half(zip: str) -> str:\n    return zip[:2]\n"
    (project.root / "src" / "mine" / "columns.py").write_text(source, encoding="utf-8")
    _, _, said = updated(project, people().rename(columns={"zip": "postal code"}))
    assert "  edit     columns.py: Half reads 'zip'" in said


@pytest.mark.parametrize("seed", range(40))
def test_no_line_of_a_person_is_lost_or_changed_without_being_named(project: Project, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    table = people(60, seed=0)
    names: dict[str, str | None] = {name: name for name in COLUMNS}  # what each is called now, None once it is gone
    for name in chance.sample(COLUMNS[:-1], chance.randint(0, 3)):
        if chance.random() < 0.5:
            names[name] = f"{name}_new" if chance.random() < 0.5 else f"quite another {chance.randint(0, 99)}"
        else:
            names[name] = None
    for number in range(chance.randint(0, 2)):
        table[f"more{number}"] = [chance.random() for _ in range(60)]
    retyped = names["age"] == "age" and chance.random() < 0.5
    if retyped:
        table["age"] = [f"about {value:.0f}" for value in table["age"]]
    gone = [name for name, new in names.items() if new is None]
    table = table.drop(columns=gone).rename(columns={name: new for name, new in names.items() if new})
    shuffled = list(table.columns)
    chance.shuffle(shuffled)
    _, lost, said = updated(project, table[shuffled], dtypes=("age=text",) if retyped else ())

    text = params(project)
    told = " ".join([*lost, *said])
    for line in PARAMS.splitlines():
        changed = [name for name in COLUMNS if names[name] != name or (retyped and name == "age")]
        about = [name for name in changed if name in line.split("#")[0]]
        if line not in text.splitlines():
            emptied = line.strip() == "orders:" and names["zip"] is None
            assert about or emptied or line.strip().startswith("split"), line
            assert all(name in told for name in about)
    for name, new in names.items():
        if new is None:
            assert f"column '{name}'" in " ".join(lost)
        elif name != "bought":
            known = reader().load(text)["prepare"]["roles"]
            earlier = reader().load(PARAMS)["prepare"]["roles"][name]
            is_told = retyped and name == "age" and f"role {earlier} → {known[new]}" in told
            assert known[new] == earlier or is_told
    comments = [line.split("#")[1] for line in PARAMS.splitlines() if "#" in line]
    for comment in comments:
        assert comment in text or any(name in told for name in gone), comment
    written = "".join(suite_lines(project))
    assert (names["age"] is None) or '"min_value": 18' in written
    assert (names["zip"] is None) or '"notes": "Ana"' in written


def test_another_dtype_is_named_with_the_role_that_no_longer_fits(project: Project) -> None:
    table = people()
    table["age"] = [f"{value:.0f} years" for value in table["age"]]
    _, lost, said = updated(project, table, dtypes=("age=text",))
    assert "  retyped  age: number → text, role numeric → text" in said
    assert lost == []
    changed = PARAMS.replace("age: number  #", "age: text  #").replace("age: numeric", "age: text")
    assert params(project) == changed


def test_a_column_that_becomes_a_number_to_predict_needs_no_role(project: Project) -> None:
    table = people()
    table["zip"] = table["zip"].astype(int)
    _, _, said = updated(project, table, target="zip", task="classification", dtypes=("zip=integer",))
    assert "  retyped  zip: text → integer" in said


def test_a_number_in_a_name_is_not_a_near_name(project: Project) -> None:
    table = people().rename(columns={"score": "score 2021"}).drop(columns="age")
    place = project.root / "people.csv"
    table.to_csv(place, index=False)
    before = people(seed=5).rename(columns={"score": "score 2020"})
    known = {"score 2020": "number"}
    from bakebook.contracts import ReadOptions
    from bakebook.tables.readers import read_untyped

    found = compare(known, read_untyped(place, ReadOptions()), ReadOptions(), before)
    assert found.renamed == {} and "score 2020" in found.dropped


def test_without_changes_there_are_none() -> None:
    assert not Changes()


def test_an_order_that_the_file_has_and_the_project_not_is_told(project: Project) -> None:
    table = people()
    kinds = sorted(table["home town"].dropna().unique())
    towns = table["home town"].astype(pd.CategoricalDtype(kinds, ordered=True))
    table.assign(**{"home town": towns}).to_parquet(project.root / "people.parquet")
    understood = understand(project, Request(), project.root / "people.parquet")
    said = update.lines(project, understood, update.read_suite(project.root))
    assert f"  look at  home town: the file orders it {' < '.join(kinds)} (prepare: orders)" in said
    project.params["prepare"]["orders"]["home town"] = kinds
    assert not any("orders it" in line for line in update.lines(project, understood, {"expectations": []}))
