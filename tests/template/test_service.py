"""The service, run for real: what it answers, what it keeps when it is killed, whom it lets in."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import Run, git
from servers import Load, Postgres, Service, mlflow_server, serving, until

pytestmark = pytest.mark.slow
HEAVY = ("pandas", "sklearn", "mlflow", "matplotlib", "great_expectations", "dvc", "papermill", "skl2onnx", "alembic")
EXAMPLES = 400  # of each route of the description; there are eight, and several phases


@pytest.fixture(scope="module")
def served(finished: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Service]:
    """A service that the tests of this file share."""
    project = Path(shutil.copytree(finished, tmp_path_factory.mktemp("served") / finished.name))
    with serving(project, environment, NB_RATE="100000") as service:
        yield service


def row(project_or_service: Any) -> dict[str, Any]:
    """The inputs of the first example."""
    if isinstance(project_or_service, Service):
        schema = project_or_service.ask("/openapi.json").json["components"]["schemas"]["Row"]
        return dict(schema["examples"][0])
    signature = json.loads((project_or_service / "models" / "signature.json").read_text("utf-8"))
    return dict(signature["examples"][0]["inputs"])


def rows_of(table: Path, every: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the wine data, each a little altered, and their classes."""
    header, *lines = (line.split(",") for line in table.read_text("utf-8").splitlines())
    inputs = [dict(zip(header[:-1], map(float, line), strict=False)) for line in lines[::every]]
    return [one | {"alcohol": one["alcohol"] + 0.01} for one in inputs], [line[-1] for line in lines[::every]]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_was_predicted_is_labelled_exported_and_learned_from(
    kind: str, worked: Path, run: Run, environment: dict[str, str], request: pytest.FixtureRequest
) -> None:
    there = {"DATABASE_URL": request.getfixturevalue("postgres").address} if kind == "postgresql" else {}
    with serving(worked, environment, **there) as service:
        inputs, classes = rows_of(worked / "data" / "raw" / "wine.csv", every=6)
        answers = service.ask("/predict", inputs).json
        labels = [{"id": one["id"], "label": label} for one, label in zip(answers, classes, strict=True)]
        assert service.ask("/feedback", labels[1:]).json == {"recorded": len(labels) - 1, "unchanged": 0}
        assert service.ask("/feedback", labels).json == {"recorded": 1, "unchanged": len(labels) - 1}
        wrong = labels[0] | {"label": next(name for name in classes if name != labels[0]["label"])}
        assert service.ask("/feedback", wrong).json["recorded"] == 1
        kept = service.ask("/predictions?wrong=true").json["predictions"]
        assert [one["label"] for one in kept if one["id"] == wrong["id"]] == [wrong["label"]]
        assert service.ask("/feedback", labels[0]).json["recorded"] == 1  # corrected again
        exported = run(worked, "nb", "db", "export", "labelled.parquet", **there)
        assert exported.stdout == f"labelled.parquet: {len(labels)} labelled predictions\n", exported.stderr
        assert run(worked, "nb", "db", "export", "labelled.parquet", **there).returncode == 2  # nothing is overwritten
        taken = run(worked, "nb", "data", "feedback", "labelled.parquet")
        assert f"{len(labels)} labelled predictions" in taken.stdout, taken.stderr
        trained = run(worked, "dvc", "repro")
        assert trained.returncode == 0, trained.stderr + trained.stdout
        metrics = json.loads((worked / "reports" / "metrics.json").read_text("utf-8"))
        assert sum(metrics["rows"].values()) == 178 + len(labels)
        assert "data/raw/feedback.parquet.dvc" in git(worked, "ls-files", "--others", "--exclude-standard")
        new = json.loads((worked / "models" / "signature.json").read_text("utf-8"))["model"]["sha256"][:12]
        assert new != answers[0]["model_version"]
        assert until(lambda: service.ask("/predict", inputs[0]).json["model_version"] == new)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_pages_and_filters_find_each_prediction_once(
    kind: str, worked: Path, environment: dict[str, str], request: pytest.FixtureRequest
) -> None:
    there = {"DATABASE_URL": request.getfixturevalue("postgres").address} if kind == "postgresql" else {}
    one = row(worked)
    with serving(worked, environment, **there) as service:

        def found(**filters: Any) -> list[str]:
            """The ids that all pages of two show, the newest first; each but the last page is full."""
            pages, before = [], ""
            while before is not None:
                asked = {"limit": 2, "before": before, "since": began} | filters
                page = service.ask("/predictions?" + urlencode(asked)).json
                pages.append([each["id"] for each in page["predictions"]])
                before = page["next"]
            assert all(len(page) == 2 for page in pages[:-1]) and (pages[-1] or len(pages) == 1)
            return [id_ for page in pages for id_ in page]

        said, began = [], datetime.now(UTC).isoformat()  # the server has predictions of other tests
        for _ in range(6):
            said.append(service.ask("/predict", one).json)
            time.sleep(0.002)  # ids are in the order of their milliseconds
        ids = [each["id"] for each in reversed(said)]
        first = said[0]
        assert service.ask("/feedback", {"id": ids[1], "label": first["predicted"]}).status == 200
        wrong = next(name for name in first["probabilities"] if name != first["predicted"])
        assert service.ask("/feedback", {"id": ids[3], "label": wrong}).status == 200
        assert found() == ids  # three pages, and no empty fourth
        assert found(model_version=first["model_version"], predicted=first["predicted"]) == ids
        assert found(predicted=wrong) == found(model_version="0" * 12) == []
        assert found(labelled="true") == [ids[1], ids[3]] and found(wrong="true") == [ids[3]]
        assert found(labelled="false") == [id_ for place, id_ in enumerate(ids) if place not in (1, 3)]
        made = {each["id"]: each["made_at"] for each in service.ask("/predictions?limit=6").json["predictions"]}
        assert found(since=made[ids[2]]) == ids[:3] and found(until=made[ids[2]]) == ids[3:]
        assert service.ask("/predictions?limit=0").status == service.ask("/predictions?since=noon").status == 422


def test_a_prediction_is_labelled_with_the_classes_among_which_its_own_model_chose(
    worked: Path, environment: dict[str, str]
) -> None:
    """The database outlives a change of the table: what was predicted before must not get a class of the new one."""
    with serving(worked, environment) as service:
        known = service.ask("/predict", row(worked)).json
        with closing(sqlite3.connect(worked / "service" / "service.db")) as database, database:
            database.execute(
                "INSERT INTO predictions SELECT 'other', made_at, request_id, caller, 'another', ?, 'cat', ?, 0.4, 1,"
                " is_sample, unfamiliar FROM predictions",
                (json.dumps({"weight": 4}), json.dumps({"cat": 0.6, "dog": 0.4})),
            )
        assert b'value="dog"' in service.ask("/label").body
        refused = service.ask("/feedback", [{"id": known["id"], "label": "Barolo"}, {"id": "other", "label": "Barolo"}])
        fault = {"where": [1, "label"], "reason": "the label must be one of cat, dog"}
        assert (refused.status, refused.json["faults"]) == (422, [fault])
        assert service.ask("/feedback", {"id": "other", "label": "dog"}).json["recorded"] == 1
        assert service.ask("/feedback", {"id": known["id"], "label": "dog"}).status == 422
        assert service.ask("/feedback", {"id": "nobody's", "label": "dog"}).status == 404


def test_it_starts_without_the_science(finished: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """What the image does not have is not imported: each of these would fail at once."""
    project = Path(shutil.copytree(finished, tmp_path / "project"))
    barred = tmp_path / "barred"
    with serving(project, environment):  # makes the database, which takes Alembic
        pass
    for name in HEAVY:
        (barred / name).mkdir(parents=True)
        (barred / name / "__init__.py").write_text(f"raise ImportError('{name}')", encoding="utf-8")
    paths = os.pathsep.join([str(barred), str(project / "src")])
    with serving(project, environment, PYTHONPATH=paths) as service:
        assert service.ask("/predict", row(project)).status == 200
        assert service.ask("/card").status == 200
        for name, media in (("raw/wine.csv", "text/csv"), ("interim/table.parquet", "application/vnd.apache.parquet")):
            table = (project / "data" / name).read_bytes()
            assert service.ask("/predict/file", table, content_type=media).status == 200


HOSTILE: dict[str, tuple[bytes, dict[str, str], int]] = {
    "nothing": (b"", {}, 422),
    "no JSON": (b"alcohol=3", {}, 422),
    "no text": (b'{"alcohol": "\xff\xfe"}', {}, 422),
    "deep": (b"[" * 100_000, {}, 422),
    "another kind": (b"{}", {"content_type": "text/plain"}, 415),
    "no kind": (b"{}", {"content_type": ""}, 415),
    "an empty list": (b"[]", {}, 422),
    "too many rows": (b"[" + b"{}," * 1000 + b"{}]", {}, 422),
    "too many bytes": (b" " * 10_000_001, {}, 413),
    "a lie about the bytes": (b"{}", {"content_length": "99999999999"}, 413),
}
VALUES: dict[str, bytes] = {
    "text for a number": b'"1"',
    "true for a number": b"true",
    "a list for a number": b"[1]",
    "NaN": b"NaN",
    "infinity": b"Infinity",
    "beyond a double": b"1e999",
    "beyond 32 bits": b"1e39",
    "a whole number without end": b"1" * 5000,
    "a lone surrogate": b'"\\ud800"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused(served: Service, name: str) -> None:
    body, headers, status = HOSTILE[name]
    answer = served.ask("/predict", body, **headers)
    assert (answer.status, answer.json["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_none_of_the_column_is_refused_and_not_repeated(served: Service, name: str) -> None:
    good = json.dumps(row(served)).encode()
    body = re.sub(rb'"alcohol": [^,]+', lambda _: b'"alcohol": ' + VALUES[name], good)
    answer = served.ask("/predict", body)
    assert answer.status == 422 and answer.json["faults"][0]["where"] in (["alcohol"], []), answer.body
    assert b"111111" not in answer.body


def test_what_is_sent_before_anybody_is_known_is_small(served: Service) -> None:
    assert served.ask("/login", b"token=" + b"%41" * 2_000).status == 413
    assert served.ask("/label", b"id=" + b"a" * 200_000).status == 413
    assert served.ask("/", b"i0=" + b"1" * 200_000).status == 413


def test_a_row_of_very_many_fields_is_refused_at_once(served: Service) -> None:
    many = json.dumps(row(served) | {f"more {number}": 1 for number in range(300_000)})
    answer = served.ask("/predict", many.encode())
    assert answer.status == 422 and "a row has 300013 fields, which should be 13" in answer.body.decode()
    twice = json.dumps(row(served))[:-1] + ', "hue": 1' * 300_000 + "}"
    assert "the field is given twice" in served.ask("/predict", twice.encode()).body.decode()
    assert served.ask("/health/live").status == 200


def test_a_field_is_given_once_and_no_other_is(served: Service) -> None:
    good = row(served)
    twice = json.dumps(good)[:-1].encode() + b', "hue": 1}'
    assert served.ask("/predict", twice).json["faults"] == [{"where": ["hue"], "reason": "the field is given twice"}]
    assert served.ask("/predict", good | {"more": 1}).status == 422
    assert served.ask("/predict", {name: value for name, value in good.items() if name != "hue"}).status == 422
    assert served.ask("/predict", good | {"hue": None}).status == 200  # which is missing, and may be


def test_a_file_comes_back_with_predictions(served: Service, finished: Path, run: Run, tmp_path: Path) -> None:
    table = (finished / "data" / "raw" / "wine.csv").read_bytes()
    answer = served.ask("/predict/file", table, content_type="text/csv")
    header, *lines = answer.body.decode().splitlines()
    assert header.startswith("alcohol,") and header.endswith(
        "cultivar,prediction_id,predicted,model_version,"
        "probability of Barbera,probability of Barolo,probability of Grignolino,warnings"
    )
    assert len(lines) == 178 and lines[0].split(",")[13] == lines[0].split(",")[15] == "Barolo"
    strange = table.replace(lines[0].split(",")[0].encode(), b"99", 1)
    asked = served.ask("/predict/file", strange, content_type="text/csv")
    said = [line.rpartition(",")[2] for line in asked.body.decode().splitlines()]
    assert said[1] == "alcohol: outside the training range" and said.count("") > 150
    stored = (finished / "data" / "interim" / "table.parquet").read_bytes()
    answer = served.ask("/predict/file", stored, content_type="application/vnd.apache.parquet")
    (tmp_path / "answer.parquet").write_bytes(answer.body)
    look = "import pandas, sys; t = pandas.read_parquet(sys.argv[1]); print(len(t), (t.cultivar == t.predicted).mean())"
    rows, share = run(finished, "python", "-c", look, str(tmp_path / "answer.parquet")).stdout.split()
    assert rows == "178" and float(share) > 0.95
    broken = table.replace(b"\n13.2,", b"\nmuch,", 1)
    answer = served.ask("/predict/file", broken, content_type="text/csv")
    assert answer.json["faults"] == [
        {"where": [1, "alcohol"], "reason": "the value is not a number (for example 12.5)"}
    ]
    assert served.ask("/predict/file", b"PAR1", content_type="application/octet-stream").status == 422
    for charset in ("no-such", '"\0"', "*=utf-8''a%00b"):
        kind = f"text/csv; charset{charset if charset[0] == '*' else '=' + charset}"
        assert served.ask("/predict/file", table, content_type=kind).status in (400, 415), charset
    assert served.ask("/predict/file", b"a,b\n", content_type="text/csv").status == 422


def test_a_file_brings_its_labels_along_if_the_caller_says_so(
    worked: Path, run: Run, environment: dict[str, str]
) -> None:
    table = (worked / "data" / "raw" / "wine.csv").read_bytes()
    stored = (worked / "data" / "interim" / "table.parquet").read_bytes()
    csv, parquet = {"content_type": "text/csv"}, {"content_type": "application/vnd.apache.parquet"}
    with serving(worked, environment, NB_RATE="100000", NB_SAMPLE="0.5") as service:

        def labelled() -> list[dict[str, Any]]:
            return list(service.ask("/predictions?labelled=true&limit=1000").json["predictions"])

        assert service.ask("/predict/file", table, **csv).status == 200 and labelled() == []
        wrong = table.replace(b",Barolo", b",Borolo", 2)
        told = service.ask("/predict/file?labels=true", wrong, **csv)
        assert told.status == 422 and told.json["faults"] == [
            {"where": [0, "cultivar"], "reason": "the label must be one of Barbera, Barolo, Grignolino"}
        ]
        without = b"\n".join(line.rpartition(b",")[0] for line in table.splitlines())
        told = service.ask("/predict/file?labels=true", without, **csv)
        assert told.json["faults"] == [{"where": ["cultivar"], "reason": "the table has no such column"}]
        assert labelled() == [] and service.ask("/predictions?limit=1").json["next"]
        gaps = table.replace(b",Barolo", b",", 8)
        assert service.ask("/predict/file?labels=true", gaps, **csv).status == 200
        found = labelled()
        assert len(found) == 170 and sum(one["label"] == one["predicted"] for one in found) > 160
        assert 50 < sum(one["is_sample"] for one in found) < 120  # 85, and five standard deviations
        assert service.ask("/predict/file?labels=true", stored, **parquet).status == 200
        assert len(labelled()) == 170 + 178
        page = service.ask("/label").body.decode()
        assert "To measure the model" in page and "To teach the model" in page
        token = run(worked, "nb", "token", "new", "me", "--scope", "predict").stdout.split()[-1]
        sent = csv | {"Authorization": f"Bearer {token}"}
        assert service.ask("/predict/file", table, **sent).status == 200
        refused = service.ask("/predict/file?labels=true", table, **sent)
        assert refused.status == 403 and "does not have the scope 'feedback'" in refused.json["detail"]
    exported = run(worked, "nb", "db", "export", "labelled.parquet")
    assert exported.returncode == 0, exported.stderr
    assert run(worked, "nb", "data", "feedback", "labelled.parquet").returncode == 0
    assert run(worked, "dvc", "repro", "prepare").returncode == 0
    rows = json.loads((worked / "data" / "interim" / "feedback.json").read_text("utf-8"))
    assert (len(rows["rows"]), 50 < len(rows["sample"]) < 250) == (348, True)
    split = json.loads((worked / "reports" / "split.json").read_text("utf-8"))
    assert split["train_rows"] + split["test_rows"] == 178  # equal inputs are one row


def test_many_files_at_once_are_all_answered(served: Service, finished: Path) -> None:
    """More than there are threads: each waits for a thread that another may hold."""
    header, *lines = (finished / "data" / "raw" / "wine.csv").read_text("utf-8").splitlines()
    table = "\n".join([header, *lines * 5, ""]).encode()
    with ThreadPoolExecutor(20) as clients:
        asked = [clients.submit(served.ask, "/predict/file", table, content_type="text/csv") for _ in range(20)]
        assert [one.result().status for one in asked] == [200] * 20


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_whatever_the_description_allows_is_answered_as_it_says(
    kind: str, finished: Path, environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Schemathesis asks what the description allows, and what it does not."""
    if kind == "sqlite":
        holds_what_it_says(request.getfixturevalue("served"), tmp_path, EXAMPLES)
        return
    address = request.getfixturevalue("postgres").address
    there = {"DATABASE_URL": address, "NB_STATE": str(tmp_path / "state"), "NB_RATE": "100000"}
    with serving(finished, environment, **there) as service:
        holds_what_it_says(service, tmp_path, EXAMPLES // 4)


def holds_what_it_says(served: Service, place: Path, examples: int) -> None:
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", f"{served.address}/openapi.json", "--checks", checks, "--seed", "5"]
    how = ["--max-examples", str(examples), "--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"]
    done = subprocess.run([*command, *how], capture_output=True, text=True, encoding="utf-8", cwd=place)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    cases = int(re.findall(r"(\d+) generated", done.stdout.replace(",", ""))[-1])
    assert cases >= 5 * examples, done.stdout[-2000:]
    assert not served.events("internal error")


def test_who_may_do_what(worked: Path, run: Run, environment: dict[str, str]) -> None:
    """Every route with no token, a wrong one, and one of each scope."""
    made = {
        scope: run(worked, "nb", "token", "new", f"my-{scope}", "--scope", scope)
        for scope in ("predict", "feedback", "admin")
    }
    tokens = {scope: done.stdout.strip() for scope, done in made.items()}
    assert all(len(token) == 43 for token in tokens.values())
    again = run(worked, "nb", "token", "new", "my-admin", "--scope", "admin")
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    with closing(sqlite3.connect(worked / "service" / "service.db")) as database:
        assert not any(token in line for line in database.iterdump() for token in tokens.values())
    one, needed = (
        row(worked),
        {"predict": "/predict /predict/file /", "feedback": "/feedback /predictions /label /history"},
    )
    with serving(worked, environment, NB_OPEN="false") as service:
        described = service.ask("/openapi.json", authorization=f"Bearer {tokens['predict']}").json["paths"]
        open_to_all = {"/health/live", "/health/ready", "/style.css", "/icon.svg", "/login"}
        routes = {*described, "/openapi.json", "/", "/label", "/history", "/card", "/login", "/style.css", "/icon.svg"}
        for path in routes:
            scope = next((name for name, paths in needed.items() if path in paths.split()), "")
            content = {"/predict": one, "/predict/file": b"a", "/feedback": {"id": "x", "label": "Barolo"}}.get(path)
            is_page = path in {"/", "/label", "/history", "/card"}
            for held, token in {"": "", "wrong": "wrong", **tokens}.items():
                answer = service.ask(path, content, **({"authorization": f"Bearer {token}"} if token else {}))
                if path in open_to_all:
                    wanted = {200}
                elif held in {"", "wrong"}:
                    wanted = {303} if is_page else {401}
                else:
                    wanted = {200, 404, 415} if held == "admin" or scope in ("", held) else {403}
                assert answer.status in wanted, (path, held, answer.status, answer.body[:200])
        for name in ("first", "second", "third"):  # each is taken as soon as it is there
            new = run(worked, "nb", "token", "new", name, "--scope", "predict").stdout.strip()
            assert service.ask("/predict", one, authorization=f"Bearer {new}").status == 200
        run(worked, "nb", "token", "revoke", "my-predict")
        bearer = {"authorization": f"Bearer {tokens['predict']}"}
        assert until(lambda: service.ask("/predict", one, **bearer).status == 401)


def test_an_open_service_is_for_this_machine_alone(worked: Path, run: Run, environment: dict[str, str]) -> None:
    one = row(worked)
    with serving(worked, environment) as service:
        assert "open to everyone on this machine, and to nobody else (--open)" in service.said
        assert service.ask("/predict", one, host="evil.example").status == 403  # DNS that points here
        assert service.ask("/predict", one, x_forwarded_for="10.0.0.1").status == 403  # a proxy
        assert service.ask("/predict", one, origin="http://evil.example").status == 403
        assert service.ask("/predict", one, sec_fetch_site="cross-site").status == 403
        assert service.ask("/predict", one, sec_fetch_site="same-origin").status == 200
    others = run(worked, "nb", "serve", "--open", NB_HOST="0.0.0.0", NB_PORT="0")  # noqa: S104 - which is refused
    assert (others.returncode, len(others.stderr.splitlines())) == (2, 1)
    assert "an open service is for this machine alone, and 0.0.0.0 is for others too" in others.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - which is meant
def test_nothing_else_opens_a_service(host: str, worked: Path, run: Run, environment: dict[str, str]) -> None:
    one = row(worked)
    with serving(worked, environment, NB_OPEN="false", NB_HOST=host) as service:
        assert any("no caller is allowed yet → nb token new" in line for line in service.said)
        assert service.ask("/predict", one).status == 401
        token = run(worked, "nb", "token", "new", "me", "--scope", "predict").stdout.split()[-1]
        bearer = {"authorization": f"Bearer {token}"}
        assert service.ask("/predict", one, **bearer).status == 200
        assert run(worked, "nb", "token", "revoke", "me").returncode == 0  # the last one
        assert until(lambda: service.ask("/predict", one, **bearer).status == 401)
        assert service.ask("/predict", one).status == 401


def test_nothing_that_was_acknowledged_is_lost_when_it_is_killed(worked: Path, environment: dict[str, str]) -> None:
    """Twenty rounds: predictions and labels under load, then kill -9."""
    one, predicted, labelled = row(worked), set[str](), dict[str, str]()
    for turn in range(20):
        running = serving(worked, environment, NB_RATE="100000")
        with running as service, Load(service.port, "/predict", one) as load:
            first = service.ask("/predict", one).json["id"]
            label = ("Barolo", "Barbera", "Grignolino")[turn % 3]
            if service.ask("/feedback", {"id": first, "label": label}).status == 200:
                labelled[first] = label
            time.sleep(0.2)
            service.process.kill()
            service.process.wait()
        predicted |= {answer.json["id"] for answer in load.answers if answer.status == 200}
    with closing(sqlite3.connect(worked / "service" / "service.db")) as database:
        kept = {id_ for (id_,) in database.execute("SELECT id FROM predictions")}
        labels = dict(database.execute("SELECT prediction_id, label FROM labels"))
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(predicted) > 500 and predicted <= kept and labels == labelled and len(labels) == 20


MODEL_FILES = ("models/model.onnx", "models/signature.json", "reports/MODEL_CARD.md", "reports/metrics.json")
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def two_models(finished: Path, tmp_path_factory: pytest.TempPathFactory, run: Run) -> tuple[Files, Files]:
    """The files of the finished project's model, and of another."""
    project = Path(shutil.copytree(finished, tmp_path_factory.mktemp("other") / finished.name))
    first = {name: (project / name).read_bytes() for name in MODEL_FILES}
    params = (project / "params.yaml").read_text("utf-8")
    (project / "params.yaml").write_text(params.replace("n_estimators: 100", "n_estimators: 30"), encoding="utf-8")
    done = run(project, "dvc", "repro", "export")
    assert done.returncode == 0, done.stderr
    return first, {name: (project / name).read_bytes() for name in MODEL_FILES}


def put(project: Path, files: Files) -> str:
    """Writes a model's files; its version."""
    for name, content in files.items():
        (project / name).write_bytes(content)
    return str(json.loads(files["models/signature.json"])["model"]["sha256"][:12])


def test_models_are_swapped_without_a_failed_request(
    worked: Path, two_models: tuple[Files, Files], environment: dict[str, str]
) -> None:
    """Twenty swaps under load between two models: each answer is that of the version it names."""
    one, said = row(worked), dict[str, Any]()
    with serving(worked, environment, NB_RATE="100000", NB_POLL="0.1") as service:
        with Load(service.port, "/predict", one, clients=3) as load:
            for turn in range(1, 21):
                version = put(worked, two_models[turn % 2])
                assert until(lambda: service.ask("/predict", one).json["model_version"] == version), service.said[-5:]  # noqa: B023
                said[version] = service.ask("/predict", one).json["probabilities"]
        assert not load.failures and {answer.status for answer in load.answers} == {200}
        found = {(a.json["model_version"], json.dumps(a.json["probabilities"])) for a in load.answers}
    assert found == {(version, json.dumps(likely)) for version, likely in said.items()}
    assert len(found) == 2 and len({likely for _, likely in found}) == 2


def test_card_and_metrics_follow_the_pipeline_and_what_was_verified_is_not_verified_again(
    worked: Path, environment: dict[str, str]
) -> None:
    """`evaluate` and `describe` end after `export`: a service that looked between them must look again."""
    ledger = worked / "service" / "models" / "ledger.json"
    with serving(worked, environment) as service:
        version = service.ask("/model").json["version"]
        with (worked / "reports" / "MODEL_CARD.md").open("a", encoding="utf-8") as card:
            card.write("\nLater.\n")
        assert until(lambda: service.ask("/model").json["card"].endswith("\nLater.\n"))
        assert service.ask("/model").json["version"] == version
    verified = ledger.stat().st_mtime_ns
    with serving(worked, environment) as service:
        assert service.ask("/model").json["card"].endswith("\nLater.\n")
    assert ledger.stat().st_mtime_ns == verified
    (worked / "service" / "models" / version / "model.onnx").write_bytes(b"rotten")
    with serving(worked, environment) as service:  # the copy is no more what it was: it is made anew
        assert service.ask("/predict", row(worked)).json["model_version"] == version
    assert ledger.stat().st_mtime_ns != verified


def test_a_bad_model_never_takes_the_place_of_a_good_one(
    worked: Path, run: Run, two_models: tuple[Files, Files], environment: dict[str, str]
) -> None:
    one, onnx, signature = row(worked), worked / "models" / "model.onnx", worked / "models" / "signature.json"
    good = {path: path.read_bytes() for path in (onnx, signature)}
    content = json.loads(good[signature])
    probabilities = content["examples"][0]["probabilities"]
    probabilities |= dict(zip(probabilities, [*list(probabilities.values())[1:], 0.5], strict=True))
    bad = {
        "cut": (good[onnx][: len(good[onnx]) // 2], good[signature]),
        "empty": (b"", good[signature]),
        "another": (good[onnx], good[signature].replace(b'"sha256": "', b'"sha256": "0')),
        "otherwise": (good[onnx], json.dumps(content).encode()),
        "no signature": (good[onnx], b"{"),
    }
    with serving(worked, environment) as service:
        version = service.ask("/predict", one).json["model_version"]
        for number, (name, (model, told)) in enumerate(bad.items(), start=1):
            onnx.write_bytes(model)
            signature.write_bytes(told)
            assert until(lambda: len(service.events("model refused")) == number), (name, service.said[-3:])  # noqa: B023
            assert service.ask("/predict", one).json["model_version"] == version
        time.sleep(1)  # three looks later, none was tried again
        assert len(service.events("model refused")) == len(bad)
        assert service.ask("/health/ready").status == 200
        assert len(service.ask("/model").json["refused"]) == len(bad)
    with serving(worked, environment) as service:  # it starts with the last that was verified
        assert service.ask("/predict", one).json["model_version"] == version
    after = put(worked, two_models[1])
    with serving(worked, environment) as service:
        assert service.ask("/predict", one).json["model_version"] == after
        back = run(worked, "nb", "rollback", "--why", "too many complaints")
        assert f"model {version} serves again" in back.stdout, back.stderr
        assert until(lambda: service.ask("/predict", one).json["model_version"] == version)
        time.sleep(1)
        assert service.ask("/predict", one).json["model_version"] == version  # the files' model was sent away
        again = run(worked, "nb", "rollback")
        assert again.returncode == 2 and f"(kept: {after}) → nb rollback VERSION" in again.stderr
        assert run(worked, "nb", "rollback", after).returncode == 0
        assert until(lambda: service.ask("/predict", one).json["model_version"] == after)
        first, second = run(worked, "nb", "audit").stdout.splitlines()[-2:]
        assert f"rollback  {version} instead of {after}  by" in first and first.endswith(": too many complaints")
        assert f"rollback  {after} instead of {version}  by" in second


REGISTER = """
import sys
from mlflow import MlflowClient

client = MlflowClient(sys.argv[1])
run = client.create_run(client.get_experiment_by_name("Default").experiment_id)
for folder in ("models", "reports"):
    client.log_artifacts(run.info.run_id, folder, folder)
if not client.search_registered_models():
    client.create_registered_model("wine-cultivars")
made = client.create_model_version("wine-cultivars", f"{run.info.artifact_uri}/models", run.info.run_id)
client.set_registered_model_alias("wine-cultivars", "champion", made.version)
"""


def test_the_champion_of_the_registry_is_served_and_goes_on_without_it(
    worked: Path, two_models: tuple[Files, Files], run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    one, there = row(worked), {"NB_MODEL": "models:/wine-cultivars@champion"}
    with mlflow_server(tmp_path / "mlflow", environment) as server:
        there["MLFLOW_TRACKING_URI"] = server
        with serving(worked, environment, **there) as service:
            assert service.ask("/model").json["source"] == "the pipeline's files"
        first = put(worked, two_models[0])
        assert run(worked, "python", "-c", REGISTER, server).returncode == 0
        with serving(worked, environment, **there) as service:
            assert service.ask("/predict", one).json["model_version"] == first
            assert "## Evaluation" in service.ask("/model").json["card"]
            second = put(worked, two_models[1])
            assert service.ask("/predict", one).json["model_version"] == first  # the files are not looked at
            assert run(worked, "python", "-c", REGISTER, server).returncode == 0
            assert until(lambda: service.ask("/predict", one).json["model_version"] == second)
            broken = json.loads((worked / "models" / "signature.json").read_text("utf-8"))
            broken["examples"][0]["probabilities"]["Barolo"] = 0.5
            (worked / "models" / "signature.json").write_text(json.dumps(broken), encoding="utf-8")
            assert run(worked, "python", "-c", REGISTER, server).returncode == 0
            assert until(lambda: service.events("model refused"))
            assert service.ask("/predict", one).json["model_version"] == second
    shutil.rmtree(worked / "models")
    with serving(worked, environment, **there) as service:  # the registry is gone, and the files too
        assert service.ask("/predict", one).json["model_version"] == second
    gone = run(worked, "nb", "serve", **there, NB_PORT="0", NB_STATE=str(tmp_path / "fresh"))
    assert (gone.returncode, len(gone.stderr.splitlines())) == (4, 1) and "MLflow does not answer" in gone.stderr


def test_a_database_that_is_away_is_said_and_comes_back(
    worked: Path, environment: dict[str, str], postgres: Postgres
) -> None:
    one = row(worked)
    with serving(worked, environment) as service:
        with closing(sqlite3.connect(worked / "service" / "service.db", isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            said = service.ask("/predict", one)
            assert said.status == 503 and said.headers["retry-after"]
            assert service.ask("/health/live").status == 200
            assert service.ask("/health/ready").status == 503  # although it can be read
            assert os.name == "nt" or (worked / "service").stat().st_mode & 0o777 == 0o700
        assert service.ask("/predict", one).status == 200
        assert service.ask("/health/ready").status == 200
    with serving(worked, environment, DATABASE_URL=postgres.address) as service:
        assert service.ask("/predict", one).status == 200
        postgres.stop()
        for path, content in {
            "/predict": one,
            "/feedback": {"id": "x", "label": "Barolo"},
            "/predictions": None,
        }.items():
            assert service.ask(path, content).status == 503, path
        assert service.ask("/health/ready").status == 503
        postgres.start()
        assert until(lambda: service.ask("/predict", one).status == 200)
        assert not service.events("internal error")


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_seconds_whatever_hangs(worked: Path, environment: dict[str, str], told: signal.Signals) -> None:
    with serving(worked, environment) as service, socket.create_connection(("127.0.0.1", service.port)) as stuck:
        stuck.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        stuck.sendall(b"Content-Length: 100\r\n\r\n{")
        time.sleep(0.3)
        started = time.monotonic()
        service.process.send_signal(told)
        assert service.process.wait(timeout=20) == 0
        assert stuck.recv(100).startswith(b"HTTP/1.1 503 ")
        assert time.monotonic() - started < 5
    assert service.said[-1] == "the service has stopped" and "Traceback" not in "".join(service.said)


def test_a_backup_holds_what_was_committed_before_it_and_goes_into_either_database(
    worked: Path, run: Run, environment: dict[str, str], postgres: Postgres, tmp_path: Path
) -> None:
    one = row(worked)
    with serving(worked, environment, NB_RATE="100000") as service:
        id_ = service.ask("/predict", one).json["id"]
        assert service.ask("/feedback", {"id": id_, "label": "Barbera"}).status == 200
        with Load(service.port, "/predict", one) as load:
            time.sleep(0.5)
            before = {answer.json["id"] for answer in load.answers}
            done = run(worked, "nb", "db", "backup", str(tmp_path / "backup.db"))
            assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(tmp_path / "backup.db")) as copy:
        assert before | {id_} <= {found for (found,) in copy.execute("SELECT id FROM predictions")}
    fresh = {"DATABASE_URL": postgres.address.replace("/postgres", "/fresh", 2).replace("fresh:", "postgres:")}
    fresh["DATABASE_URL"] = postgres.address.rpartition("/")[0] + "/restored"
    create = "import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute('CREATE DATABASE restored')"
    assert run(worked, "python", "-c", create, postgres.address).returncode == 0
    done = run(worked, "nb", "db", "restore", str(tmp_path / "backup.db"), **fresh)
    assert done.returncode == 0 and "1 labels" in done.stdout, done.stderr
    again = run(worked, "nb", "db", "restore", str(tmp_path / "backup.db"), **fresh)
    assert again.returncode == 2 and "restore to an empty one" in again.stderr
    with serving(worked, environment, **fresh) as service:
        found = service.ask("/predictions?labelled=true").json["predictions"]
        assert [(one["id"], one["label"]) for one in found] == [(id_, "Barbera")]
        assert service.ask("/feedback", {"id": id_, "label": "Barolo"}).json["recorded"] == 1
        ids = [answer["id"] for answer in service.ask("/predict", [one] * 20).json]
        labels = [{"id": id_, "label": "Barolo"} for id_ in ids]
        with ThreadPoolExecutor(8) as threads:  # equal labels at once are one
            answers = list(threads.map(lambda at: service.ask("/feedback", labels[at:] + labels[:at]), range(8)))
        assert sum(answer.json["recorded"] for answer in answers) == len(ids)


def test_what_is_asked_does_not_stand_in_the_log(worked: Path, environment: dict[str, str]) -> None:
    one = row(worked) | {"proline": 1234.5678}
    with serving(worked, environment) as service:
        assert service.ask("/predict", one, x_request_id="mine-7").headers["x-request-id"] == "mine-7"
        service.ask("/predict", one | {"alcohol": "canary"})
        assert until(lambda: len(service.events("request")) >= 2)
    assert "canary" not in "".join(service.said) and "1234.5678" not in "".join(service.said)
    assert "mine-7" in {event["request_id"] for event in service.events("request")}


def test_a_mistake_is_said_in_one_sentence(worked: Path, run: Run) -> None:
    (worked / "models" / "model.onnx").unlink()
    for command, variables, code, told in (
        (["nb", "serve"], {"NB_PORT": "0"}, 2, "dvc repro"),
        (["nb", "serve"], {"NB_PORT": "70000"}, 2, "NB_PORT is wrong"),
        (["nb", "serve", "--port", "70000"], {}, 2, "--port is wrong"),
        (["nb", "serve", "--port", "abc"], {}, 2, "nb serve --help"),
        (["nb", "token", "new", "me"], {}, 2, "nb token new --help"),
        (["nb", "serv"], {}, 2, "Did you mean 'serve'"),
        (["nb", "serve"], {"NB_PORT": "0", "DATABASE_URL": "postgresql://me@127.0.0.1:9/x"}, 4, "does not answer"),
        (["nb", "serve"], {"DATABASE_URL": "nonsense"}, 2, "DATABASE_URL"),
        (["nb", "rollback"], {}, 2, "no earlier model"),
        (["nb", "token", "new", "me", "--scope", "all"], {}, 2, "predict, feedback, admin"),
        (["nb", "token", "revoke", "nobody"], {}, 2, "nb token list"),
        (["nb", "db", "restore", "nothing.db"], {}, 2, "nothing.db"),
        (["nb", "db", "restore", "params.yaml"], {}, 2, "not a backup"),
        (["nb", "db", "backup", "nowhere/x.db"], {}, 2, "no folder"),
        (["nb", "db", "export", "x.csv"], {}, 2, "x.parquet"),
        (["nb", "db", "export", "x.parquet"], {}, 2, "label"),
        (["nb", "data", "feedback", "nothing.parquet"], {}, 2, "nb db export"),
    ):
        done = run(worked, *command, **variables)
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), (command, done.stderr)
        assert told in done.stderr and "→" in done.stderr, (command, done.stderr)
