"""Columns of one's own, as a person works with them: written once, trained, served, renamed."""

import csv
import io
import json
import random
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import Run, commit
from servers import Service, serving
from test_run import repro

pytestmark = pytest.mark.slow
AFTER_PREPARE = {"prepare", "train", "export", "evaluate", "describe"}
COLUMNS = '''"""Ours."""

import re

from bakebook.models.columns import column, mean_by


@column
def FamilySize(SibSp: int, Parch: int) -> int:
    """How many of a family travel together."""
    return SibSp + Parch + 1


@column
def Title(Name: str) -> str | None:
    """Mr, Mrs, Miss, …"""
    found = re.search(r", (\\w+)\\.", Name)
    return found[1] if found else None


@column
def HasAge(Age: float | None) -> bool:
    """Whether somebody asked."""
    return Age is not None


@column(learn=(mean_by, "Fare", "Pclass"))
def UsualFare(Pclass: str, *, learned: dict[str, float]) -> float | None:
    """The mean fare of the class."""
    return learned.get(Pclass)
'''
LOAD = """
import json, sys
import mlflow
import pandas as pd

mlflow.set_tracking_uri("sqlite:///mlflow.db")
client = mlflow.MlflowClient()
experiments = [one.experiment_id for one in client.search_experiments()]
run = client.search_runs(experiments, order_by=["start_time desc"])[0]
model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
rows = pd.DataFrame(json.loads(sys.argv[1])).astype({"SibSp": float, "Parch": float, "Pclass": float, "Age": float})
print(json.dumps(model.predict(rows).to_dict("list")))
"""


INTO_PARQUET = "import pandas, sys; pandas.read_csv(sys.argv[1]).to_parquet(sys.argv[2])"
FROM_PARQUET = "import pandas, sys; pandas.read_parquet(sys.argv[1]).to_csv(sys.argv[2], index=False)"
MISSING = "import pandas; print(pandas.read_parquet('data/interim/table.parquet')['siblings'].isna().sum())"
Row = dict[str, Any]


def passengers(rows: int = 300) -> list[Row]:
    """Numbers, texts, gaps, and a class that depends on the title and on the size of the family."""
    chance = random.Random(1)  # noqa: S311 - not for secrets
    worth = {"Mr": 0.0, "Mrs": 2.0, "Miss": 1.5, "Master": 1.0}
    found = []
    for number in range(1, rows + 1):
        title = chance.choices(list(worth), [5, 2, 2, 1])[0]
        siblings, parents, class_ = (
            chance.choice([0, 0, 1, 2]),
            chance.choice([0, 0, 0, 1, 2]),
            chance.choice([1, 2, 3]),
        )
        score = worth[title] - 0.5 * (siblings + parents - 1) ** 2 + 0.4 * (3 - class_) + chance.gauss(0, 0.5)
        row = {"PassengerId": number, "Pclass": class_, "Name": f"Smith{number}, {title}. John"}
        row |= {"Age": None if number % 5 == 0 else chance.randint(1, 70), "SibSp": siblings, "Parch": parents}
        found.append(row | {"Fare": round(chance.gammavariate(2, 15) / class_, 2), "Survived": int(score > 0.5)})
    return found


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def as_csv(rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.fixture(scope="module")
def ship(baked: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with columns of its own, whose pipeline has run."""
    place = tmp_path_factory.mktemp("ship")
    project = Path(shutil.copytree(baked, place / baked.name))
    (place / "passengers.csv").write_bytes(as_csv(passengers()))
    done = run(project, "nb", "data", "use", str(place / "passengers.csv"), "--target", "Survived")
    assert "20% missing" in done.stdout, done.stderr
    params = project / "params.yaml"
    # The name is no input, only the title in it
    before, _, roles = params.read_text("utf-8").partition("  roles:")
    roles = re.sub(r"(?m)^    Name: .*", "    Name: identifier", roles)
    params.write_text(f"{before}  roles:{roles}", "utf-8")
    (project / "src" / "wine_cultivars" / "columns.py").write_text(COLUMNS, "utf-8")
    code, _, said = repro(project, run)
    assert code == 0, said
    commit(project)
    return project


@pytest.fixture
def sailed(ship: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(ship, tmp_path / ship.name))


def inputs(first: int = 0, last: int = 20) -> list[Row]:
    """Rows as a caller sends them."""
    names = ["Pclass", "Name", "Age", "SibSp", "Parch", "Fare"]
    return [{name: row[name] for name in names} for row in passengers()[first:last]]


def test_the_pipeline_says_what_a_column_is_worth_and_where_it_comes_from(ship: Path) -> None:
    importance = read_csv(ship / "reports" / "plots" / "importance.csv")
    together = [one["input"].split(" + ") for one in importance]  # correlated inputs share a row
    assert {"FamilySize", "Title", "HasAge", "UsualFare"} <= {name for names in together for name in names}
    assert "Title" in together[0]
    card = (ship / "reports" / "MODEL_CARD.md").read_text("utf-8")
    assert "| FamilySize (computed from SibSp, Parch) | numeric |" in card
    assert "| Name | identifier |" in card
    executed = (ship / "reports" / "notebooks" / "prepare.ipynb").read_text("utf-8")
    assert "How many of a family travel together." in executed


def test_editing_a_column_runs_prepare_and_what_follows(sailed: Path, run: Run) -> None:
    assert repro(sailed, run)[:2] == (0, set())
    path = sailed / "src" / "wine_cultivars" / "columns.py"
    path.write_text(COLUMNS.replace("SibSp + Parch + 1", "SibSp + Parch"), "utf-8")
    assert repro(sailed, run)[:2] == (0, AFTER_PREPARE)


def test_a_caller_sends_the_tables_columns_and_gets_what_the_pipeline_says(
    sailed: Path, run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    rows = inputs()
    examples = json.loads((sailed / "models" / "signature.json").read_text("utf-8"))["examples"]
    with serving(sailed, environment, NB_RATE="100000") as service:
        known = service.ask("/predict", [one["inputs"] for one in examples]).json
        assert [one["predicted"] for one in known] == [one["predicted"] for one in examples]
        assert {"Name", "SibSp"} <= set(examples[0]["inputs"]) and "Title" not in examples[0]["inputs"]
        expected = by_json(service, rows)
        assert set(expected) == {"0", "1"}
        assert by_csv(service, as_csv(rows)) == expected
        assert by_form(service, rows) == expected
        (tmp_path / "rows.csv").write_bytes(as_csv(rows))
        run(sailed, "python", "-c", INTO_PARQUET, str(tmp_path / "rows.csv"), str(tmp_path / "rows.parquet"))
        sent = (tmp_path / "rows.parquet").read_bytes()
        answer = service.ask("/predict/file", sent, content_type="application/vnd.apache.parquet")
        (tmp_path / "answer.parquet").write_bytes(answer.body)
        run(sailed, "python", "-c", FROM_PARQUET, str(tmp_path / "answer.parquet"), str(tmp_path / "answer.csv"))
        assert [one["predicted"] for one in read_csv(tmp_path / "answer.csv")] == expected
        stored = service.ask("/predictions?limit=1").json["predictions"][0]["inputs"]
        assert set(stored) == set(rows[0])  # what was sent, and nothing that was computed


def by_json(service: Service, rows: list[dict[str, Any]]) -> list[str]:
    return [one["predicted"] for one in service.ask("/predict", rows).json]


def by_csv(service: Service, body: bytes) -> list[str]:
    answer = service.ask("/predict/file", body, content_type="text/csv").body.decode()
    return [one["predicted"] for one in csv.DictReader(io.StringIO(answer))]


def by_form(service: Service, rows: list[dict[str, Any]]) -> list[str]:
    names = [one["name"] for one in service.ask("/model").json["inputs"]]
    found = []
    for row in rows:
        typed = {f"i{place}": "" if row[name] is None else row[name] for place, name in enumerate(names)}
        page = service.ask("/", urlencode(typed).encode(), content_type="application/x-www-form-urlencoded")
        assert page.status == 200, page.body.decode()
        newest = service.ask("/predictions?limit=1").json["predictions"][0]
        found.append(newest["predicted"])
    return found


def test_what_a_function_cannot_use_is_refused_and_nothing_is_stored(
    sailed: Path, run: Run, environment: dict[str, str]
) -> None:
    path = sailed / "src" / "wine_cultivars" / "columns.py"
    path.write_text(COLUMNS.replace("found[1] if found else None", "found[1]"), "utf-8")
    assert repro(sailed, run)[0] == 0  # every name of the table has a title
    row = inputs()[0] | {"Name": "secret4711"}
    with serving(sailed, environment) as service:
        answer = service.ask("/predict", row)
        assert answer.status == 422
        [fault] = answer.json["faults"]
        assert fault == {"where": ["Name"], "reason": "'Title' cannot be computed from these values"}
        [in_list] = service.ask("/predict", [inputs()[0], row]).json["faults"]
        assert in_list["where"] == [1, "Name"]
        names = [one["name"] for one in service.ask("/model").json["inputs"]]
        typed = {f"i{place}": "" if row[name] is None else row[name] for place, name in enumerate(names)}
        page = service.ask("/", urlencode(typed).encode(), content_type="application/x-www-form-urlencoded")
        assert "&#39;Title&#39; cannot be computed from these values" in page.body.decode()
        assert "secret4711" not in answer.body.decode()
        file = service.ask("/predict/file", as_csv([*inputs(0, 5), row]), content_type="text/csv")
        assert (file.status, file.json["faults"][0]["where"]) == (422, [5, "Name"])
        assert service.ask("/predict", inputs()[0] | {"Title": "Mr"}).status == 422  # derived ones are not sent
        assert service.ask("/predictions").json["predictions"] == []


def test_mlflow_loads_a_model_that_computes_them(ship: Path, run: Run) -> None:
    examples = json.loads((ship / "models" / "signature.json").read_text("utf-8"))["examples"]
    done = run(ship, "python", "-c", LOAD, json.dumps([one["inputs"] for one in examples]))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predicted"] == [one["predicted"] for one in examples]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("import pandas", "imports pandas, which the service does not have"),
        ("@column\ndef B(Survived: int) -> int:\n    return 1", "which is the target"),
        ("@column\ndef B(Sibsp: int) -> int:\n    return 1", "did you mean 'SibSp'?"),
    ],
)
def test_a_fault_is_found_before_a_kernel_starts(sailed: Path, run: Run, line: str, sentence: str) -> None:
    with (sailed / "src" / "wine_cultivars" / "columns.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{line}\n")
    checked = run(sailed, "nb", "check")
    assert checked.returncode == 1 and sentence in checked.stderr
    done = run(sailed, "nb", "run", "prepare")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and sentence in done.stderr


def test_a_function_that_sees_more_than_its_row_stops_prepare(sailed: Path, run: Run) -> None:
    path = sailed / "src" / "wine_cultivars" / "columns.py"
    path.write_text(COLUMNS + "\n\n@column\ndef B(Fare: float) -> float:\n    return Fare - Fare.mean()\n", "utf-8")
    done = run(sailed, "nb", "run", "prepare")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: prepare: columns.py: B cannot be computed from Fare in row 0: AttributeError")


def test_labels_of_the_service_and_a_renamed_column_are_learned_from(
    sailed: Path, run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    rows = [row | {"Fare": row["Fare"] + 0.01} for row in inputs(0, 10)]  # an equal row would teach nothing new
    with serving(sailed, environment) as service:
        answers = service.ask("/predict", rows).json
        assert service.ask("/feedback", [{"id": one["id"], "label": "1"} for one in answers]).json["recorded"] == 10
    assert run(sailed, "nb", "db", "export", "labelled.parquet").returncode == 0
    taken = run(sailed, "nb", "data", "feedback", "labelled.parquet")
    assert taken.returncode == 0, taken.stderr
    assert repro(sailed, run)[0] == 0
    counts = json.loads((sailed / "reports" / "metrics.json").read_text("utf-8"))["rows"]
    assert sum(counts.values()) == 310
    commit(sailed)

    newer = tmp_path / "newer.csv"
    newer.write_bytes(as_csv(passengers()).replace(b"SibSp", b"siblings", 1))
    used = run(sailed, "nb", "data", "use", str(newer))
    assert "renamed  SibSp → siblings (same values)" in used.stdout, used.stderr
    assert "edit     columns.py: FamilySize reads 'SibSp'" in used.stdout
    assert "FamilySize reads 'SibSp', which does not exist" in run(sailed, "nb", "check").stderr
    path = sailed / "src" / "wine_cultivars" / "columns.py"
    path.write_text(COLUMNS.replace("SibSp", "siblings"), "utf-8")
    code, _, said = repro(sailed, run)
    assert code == 0, said
    counts = json.loads((sailed / "reports" / "metrics.json").read_text("utf-8"))["rows"]
    assert sum(counts.values()) == 310  # the labels came along, under the new name
    assert run(sailed, "python", "-c", MISSING).stdout == "0\n"


def test_expectations_about_ones_own_columns_stop_prepare_and_are_checked_for_their_names(
    sailed: Path, run: Run
) -> None:
    def expect(column: str, most: int) -> None:
        expectation = {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": column, "min_value": 1, "max_value": most},
        }
        content = {"name": "columns", "expectations": [expectation]}
        (sailed / "expectations" / "columns.json").write_text(json.dumps(content), "utf-8")

    expect("FamilySize", 15)
    assert repro(sailed, run)[:2] == (0, {"prepare"})  # with the same rows
    assert "column values to be between" in (sailed / "reports/notebooks/prepare.ipynb").read_text("utf-8")
    expect("FamilySize", 2)
    stopped = run(sailed, "nb", "run", "prepare")
    assert stopped.returncode == 3
    last = stopped.stderr.splitlines()[-1]
    assert "1 expectation fails, first: column values to be between (FamilySize)" in last
    assert last.endswith("→ fix columns.py or expectations/columns.json")
    expect("FamilySiz", 15)
    fault = (
        "expectations/columns.json: expects 'FamilySiz', which columns.py does not define → did you mean 'FamilySize'?"
    )
    assert run(sailed, "nb", "check").stderr == f"{fault}\n"
