"""Any table: each of the corpus goes through all notebooks, and what is not a table is refused in one sentence."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_tables import BAD, write
from conftest import LIBRARIES, Run, bake, beside, commit, git
from servers import Postgres

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
NAMES = re.findall(r"^@table\ndef (\w+)", (HERE / "tables.py").read_text("utf-8"), re.MULTILINE)
FAMILIES = [
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.ensemble.RandomForestRegressor",
    "sklearn.ensemble.HistGradientBoostingClassifier",
    "sklearn.ensemble.HistGradientBoostingRegressor",
    "sklearn.linear_model.LogisticRegression",
    "sklearn.linear_model.Ridge",
    "sklearn.neighbors.KNeighborsClassifier",
    "sklearn.svm.SVC",
    "lightgbm.LGBMClassifier",
    "lightgbm.LGBMRegressor",
    "xgboost.XGBClassifier",
    "xgboost.XGBRegressor",
]
MORE_FAMILIES = [
    "sklearn.ensemble.GradientBoostingClassifier",
    "sklearn.ensemble.GradientBoostingRegressor",
    "sklearn.naive_bayes.GaussianNB",
    "sklearn.neighbors.KNeighborsRegressor",
    "sklearn.neural_network.MLPClassifier",
    "sklearn.neural_network.MLPRegressor",
    "sklearn.svm.SVR",
    "wine_cultivars.networks.NetworkClassifier",
    "wine_cultivars.networks.NetworkRegressor",
]
NOISE = 0.05  # of a score on some sixty test rows


@pytest.fixture(scope="session")
def corpus(baked: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of each table."""
    place = tmp_path_factory.mktemp("corpus")
    done = run(baked, "python", str(HERE / "one_process.py"), str(baked), str(place), str(place / "results.json"))
    assert done.returncode == 0, done.stderr
    return json.loads((place / "results.json").read_text("utf-8"))


@pytest.fixture
def of(corpus: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    def found(name: str) -> dict[str, Any]:
        assert "error" not in corpus[name], corpus[name]["error"]
        return corpus[name]

    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_table_goes_all_the_way_and_scores_as_a_model_written_by_hand(
    of: Callable[[str], dict[str, Any]], name: str
) -> None:
    assert of(name)["score"] >= of(name)["by_hand"] - NOISE


def test_there_are_enough_tables() -> None:
    assert len(NAMES) >= 25


def test_what_is_understood_is_written_where_it_can_be_corrected(of: Callable[[str], dict[str, Any]]) -> None:
    assert {name: of(name)["misunderstood"] for name in NAMES if of(name)["misunderstood"]} == {}


def test_the_service_reads_the_very_file_as_the_pipeline_does(of: Callable[[str], dict[str, Any]]) -> None:
    found = {name: of(name)["read_otherwise"] for name in NAMES}
    asked = {name: rows for name, rows in found.items() if rows is not None}
    assert {name: rows for name, rows in asked.items() if rows} == {} and len(asked) >= 20


def test_a_column_of_ones_own_is_the_same_in_training_in_a_file_and_in_json(
    of: Callable[[str], dict[str, Any]],
) -> None:
    found = {name: of(name)["derived_otherwise"] for name in NAMES}
    assert {name: columns for name, columns in found.items() if columns} == {}


def test_text_alone_carries_a_model(of: Callable[[str], dict[str, Any]]) -> None:
    found = of("signal_in_a_text")
    assert found["metrics"]["baseline"]["accuracy"] == pytest.approx(0.87, abs=0.02)
    assert found["score"] >= 0.95


def test_mixed_data_come_near_to_a_careful_pipeline_by_hand(of: Callable[[str], dict[str, Any]]) -> None:
    assert of("passengers")["score"] >= of("passengers")["by_hand"] - 0.02


def test_warnings_stand_in_metrics_and_card(of: Callable[[str], dict[str, Any]]) -> None:
    found = of("a_leak_and_duplicates")
    leak, copies, too_good = found["metrics"]["warnings"]
    assert "Column 'verdict' alone predicts the class" in leak and "80 of " in copies and "duplicates" in copies
    assert "which few models reach honestly" in too_good and "They are 'verdict'" in too_good
    assert f"> **Warning:** {leak}" in found["card"]
    assert of("parquet")["metrics"]["warnings"] == []


def test_card_and_readme_speak_of_the_table(of: Callable[[str], dict[str, Any]]) -> None:
    found = of("identifiers_constants_and_empty_columns")
    assert "licence of the data: CC0 1.0" in found["card"] and "licence: CC0 1.0" in found["readme"]
    assert "| uuid | identifier |" in found["card"] and "- constant (not an input): always" in found["readme"]
    assert "alcohol" not in found["card"] + found["readme"].partition("## The table")[2]


def parity(baked: Path, run: Run, folder: Path, *asked: str, torch: bool = False) -> dict[str, Any]:
    """What parity.py finds."""
    libraries = [str(beside(*LIBRARIES)), *([str(beside("torch", whole=True))] if torch else [])]
    paths = os.pathsep.join([str(baked / "src"), *libraries])
    arguments = [str(HERE / "parity.py"), str(baked), str(folder / "parity.json"), *asked]
    done = run(baked, "python", *arguments, PYTHONPATH=paths)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "parity.json").read_text("utf-8"))


def test_onnx_says_the_same_of_every_family(baked: Path, run: Run, tmp_path: Path) -> None:
    found = parity(baked, run, tmp_path, "few", *FAMILIES)["found"]
    differing = {name: one for name, one in found.items() if set(one.values()) != {"same"}}
    assert (set(found), differing) == (set(FAMILIES), {})


@pytest.mark.chaos
def test_the_list_of_estimators_is_true(baked: Path, run: Run, tmp_path: Path) -> None:
    """`nox -s estimators`: each estimator of `nb estimators`, on each table."""
    result = parity(baked, run, tmp_path, "few", "all", torch=True)
    failing = {name.split(".")[-1]: one for name, one in result["found"].items() if set(one.values()) != {"same"}}
    assert set(failing) == set(result["not_exported"]), failing


@pytest.mark.chaos
def test_every_table_says_the_same_in_every_family(baked: Path, run: Run, tmp_path: Path) -> None:
    """`nox -s estimators`: all of the corpus, the network included."""
    families = [*FAMILIES, *MORE_FAMILIES]
    found = parity(baked, run, tmp_path, "every", *families, torch=True)["found"]
    differing = {(name, place): one for name, of in found.items() for place, one in of.items() if one != "same"}
    calibrated = ("sklearn.svm.SVC", "a_class_of_a_few_rows")  # its probabilities take three rows of each class
    assert "less than 3 examples" in differing.pop(calibrated)
    assert (set(found), differing) == (set(families), {})


def test_what_is_not_installed_is_told_with_its_group(worked: Path, run: Run) -> None:
    listed = run(worked, "nb", "estimators").stdout
    assert "lightgbm.LGBMClassifier" in listed and "not installed: uv sync --group lightgbm" in listed
    text = (worked / "params.yaml").read_text("utf-8")
    text = text.replace("sklearn.ensemble.RandomForestClassifier", "lightgbm.LGBMClassifier")
    (worked / "params.yaml").write_text(text, "utf-8")
    done = run(worked, "nb", "run", "train")
    fault = r"params\.yaml:\d+: lightgbm is not installed → uv sync --group lightgbm\n"
    assert done.returncode == 2 and re.fullmatch(f"error: {fault}", done.stderr)
    assert re.fullmatch(fault, run(worked, "nb", "check").stderr)


def test_automl_chooses_the_estimator_and_its_model_is_served(worked: Path, run: Run) -> None:
    text = (worked / "params.yaml").read_text("utf-8")
    text = text.replace("search: none", "search: automl").replace("trials: 10", "trials: 40")
    (worked / "params.yaml").write_text(text, "utf-8")
    paths = {"PYTHONPATH": os.pathsep.join([str(worked / "src"), str(beside(*LIBRARIES))])}
    found = set()
    for _ in range(2):
        done = run(worked, "nb", "run", "train", **paths)
        assert done.returncode == 0, done.stderr
        found.add(((worked / "reports/trials.csv").read_bytes(), (worked / "models/model.joblib").read_bytes()))
    assert len(found) == 1
    lines = (worked / "reports/trials.csv").read_text("utf-8").splitlines()
    assert len(lines) == 43 and any(",sklearn.ensemble.RandomForestClassifier," in line for line in lines)
    assert [line.split(",")[1] for line in lines[1:]] == ["complete"] * 2 + ["tried"] * 40
    for stage in ("export", "evaluate"):
        assert run(worked, "nb", "run", stage, **paths).returncode == 0
    told = run(worked, "nb", "run", "train")
    assert told.returncode == 2 and "is not installed → uv sync --group automl" in told.stderr


FILL = """
import psycopg, sys
with psycopg.connect(sys.argv[1]) as store:
    store.execute("create table houses (area float, town text, sold timestamptz, price float)")
    store.execute(
        "insert into houses select n * 1.5, case when n % 3 = 0 then null else 'Foix' end,"
        " timestamptz '2024-06-01 12:00+02' - n * interval '1 day', n * 3 + n % 7 from generate_series(1, 200) n"
    )
"""


def test_a_query_is_a_source_and_its_password_stays_out(
    postgres: Postgres, project: Path, run: Run, tmp_path: Path
) -> None:
    filled = run(project, "python", "-c", FILL, postgres.address)
    assert filled.returncode == 0, filled.stderr
    ask = ["nb", "data", "use", postgres.address, "--target", "price", "--query"]
    done = run(project, *ask, "SELECT * FROM houses")
    assert "200 rows × 4 columns" in done.stdout and "  sold   datetime" in done.stdout, done.stderr + done.stdout
    assert "postgresql://127.0.0.1" in (project / "params.yaml").read_text("utf-8")
    assert not any("hush4711" in (project / name).read_text("utf-8") for name in ("params.yaml", "README.md"))
    wrong = run(project, *ask, "SELECT * FROM castles")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1) and "castles" in wrong.stderr
    away = run(project, "nb", "data", "use", "postgresql://me:hush4711@127.0.0.1:9/x", "--query", "SELECT 1")
    assert away.returncode == 4 and "hush4711" not in away.stderr + wrong.stderr
    absent = "raise ModuleNotFoundError(name='psycopg')"  # as in an environment without the service
    (tmp_path / "psycopg.py").write_text(absent, encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), str(project / "src")])
    without = run(project, *ask, "SELECT 1", PYTHONPATH=paths)
    assert without.stderr.endswith("is not installed → uv sync --group postgresql\n")


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_table_is_refused_in_one_sentence(project: Path, run: Run, tmp_path: Path, name: str) -> None:
    done = run(project, "nb", "data", "use", str(write(tmp_path, name)), "--target", "y")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert BAD[name][1] in done.stderr and " → " in done.stderr
    assert git(project, "status", "--short") == ""


def houses(place: Path, rows: int, town: str = "Foix") -> Path:
    lines = [f"{20 + n % 90};{n % 7};{town if n % 3 else 'Pau'};{(20 + n % 90) * 3 + n % 7},5" for n in range(rows)]
    place.parent.mkdir(exist_ok=True)
    place.write_text("\n".join(["area;rooms;town;price", *lines]), encoding="utf-8")
    return place


def test_a_project_is_baked_on_a_table_and_follows_its_new_versions(tmp_path: Path, run: Run) -> None:
    given = str(houses(tmp_path / "houses.csv", 300))
    project = bake(
        tmp_path / "out", dataset=given, target="price", project_name="Houses", package_name="wine_cultivars"
    )
    commit(project)
    early = run(project, "dvc", "repro")
    assert early.returncode == 255
    assert "error: params.yaml:47: ingest.columns is empty" in early.stderr and "→ nb data use" in early.stderr
    assert run(project, "nb", "check").stderr.count("\n") == 1
    spoken = (
        "README.md",
        "params.yaml",
        "docs/data.md",
        *(f"notebooks/{path.name}" for path in (project / "notebooks").glob("*.ipynb")),
    )
    texts = {name: (project / name).read_text("utf-8").replace("wine_cultivars", "package") for name in spoken}
    assert [name for name, text in texts.items() if re.search("wine|cultivar|alcohol", text)] == []
    assert "uv run nb data use" in (project / "README.md").read_text("utf-8").partition("## The table")[0]
    assert "predict price: regression" in run(project, "nb", "data", "use").stdout
    first = run(project, "dvc", "repro")
    assert first.returncode == 0, first.stderr
    commit(project)
    assert "r2" in run(project, "dvc", "metrics", "show").stdout
    assert run(project, "dvc", "plots", "show").returncode == 0
    card = (project / "reports/MODEL_CARD.md").read_text("utf-8")
    assert "Predicts price" in card and "tabular-regression" in card and "cultivar" not in card

    more = run(project, "nb", "data", "use", str(houses(tmp_path / "more" / "houses.csv", 400)))
    assert "The project knows these columns, so all stays" in more.stdout, more.stderr
    assert git(project, "diff", "--name-only").split() == ["README.md", "data/raw/houses.csv.dvc"]
    assert run(project, "nb", "run", "ingest").returncode == run(project, "nb", "run", "validate").returncode == 0

    assert run(project, "nb", "data", "use", str(houses(tmp_path / "bad" / "houses.csv", 400, town=""))).returncode == 0
    broken = run(project, "dvc", "repro")
    sentence = r"error: validate: \d+ expectations? fails?, first: column values to not be null \(town\)"
    assert re.search(sentence, broken.stderr), broken.stderr
    assert "in row 1, 2, 4" in broken.stderr


def test_skrubs_report_is_an_option(finished: Path, run: Run) -> None:
    code = (
        "import pandas; from wine_cultivars import exploration\n"
        "report = exploration.report(pandas.read_csv('data/raw/wine.csv'))\n"
        "print(report if isinstance(report, str) else 'flavanoids' in report._repr_html_())\n"
    )
    without = run(finished, "python", "-c", code).stdout
    assert without == "skrub is not installed: uv sync --group skrub, then restart the kernel.\n"
    path = os.pathsep.join([str(finished / "src"), str(beside("skrub", "pydot"))])
    done = run(finished, "python", "-W", "error", "-c", code, PYTHONPATH=path)
    assert done.stdout == "True\n", done.stderr
