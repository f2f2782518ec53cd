"""What the service stores: predictions once, labels with their history, tokens as hashes."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import store_of, stored

from bakebook.database.backup import upgrade
from bakebook.database.schema import labels
from bakebook.database.store import Store, new_id
from bakebook.errors import BadInput
from bakebook.serving.auth import make_token


def test_a_label_is_recorded_once_and_can_be_corrected(store: Store) -> None:
    one, other, again = stored(), stored(uncertainty=0.5, inputs={"size": 2.0}), stored()
    elsewhere = stored(uncertainty=0.1, probabilities={"x": 0.9, "y": 0.1}, predicted="x")
    assert store.add_predictions_now([one, other, again, elsewhere])
    queue = [
        set(row["ids"]) for row in store.queue(5)
    ]  # the least certain first; what is equal once, but other classes
    assert queue == [{other["id"]}, {one["id"], again["id"]}, {elsewhere["id"]}]
    assert store.add_labels([(one["id"], "a")], "anna") == [True]
    assert store.add_labels([(one["id"], "a")], "anna") == [False]
    with pytest.raises(KeyError):
        store.add_labels([(one["id"], "b"), (new_id(), "a")], "anna")
    assert store.add_labels([(one["id"], "b")], "bert") == [True]
    assert [(row["label"], row["labelled_by"]) for row in store.labelled()] == [("b", "bert")]
    assert store.count() == {"predictions": 4, "labelled": 1}


def test_a_token_is_known_until_it_is_revoked(store: Store) -> None:
    token = make_token(store, "anna", ["predict"])
    assert token not in json.dumps(store.list_tokens(), default=str)
    with pytest.raises(BadInput, match="already"):
        make_token(store, "anna", ["admin"])
    store.revoke_token("anna")
    assert store.list_tokens() == []


def test_equal_labels_at_once_are_one(store: Store) -> None:
    rows = [stored() for _ in range(20)]
    store.add_predictions(rows)
    given = [(row["id"], "a") for row in rows]
    with ThreadPoolExecutor(8) as threads:
        shuffled = [given[place:] + given[:place] for place in range(8)]
        answers = list(threads.map(lambda labels: store.add_labels(labels, "anna"), shuffled))
    assert sum(sum(new) for new in answers) == len(rows)
    with store.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(labels)) == len(rows)


def test_a_label_that_comes_between_is_seen(store: Store) -> None:
    """The constraint, not luck, keeps the second of two equal labels out."""
    row = stored()
    store.add_predictions([row])
    first = {"prediction_id": row["id"], "labelled_by": "anna", "labelled_at": row["made_at"], "number": 1}
    came = []

    @sa.event.listens_for(store._careful, "before_cursor_execute")
    def come_between(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO labels") and not came:
            came.append(True)
            with store.engine.begin() as other:
                other.execute(labels.insert(), {**first, "label": "a"})

    assert store.add_labels([(row["id"], "a")], "bert") == [False]
    assert [found["labelled_by"] for found in store.labelled()] == ["anna"]


def test_labels_of_an_older_database_are_numbered(tmp_path: Path) -> None:
    with closing(store_of("0001", tmp_path / "service.db")) as store:
        with store.engine.begin() as connection:
            one, other = stored(), stored()
            for row in (one, other):
                known = {name: value for name, value in row.items() if name not in ("is_sample", "unfamiliar")}
                known |= {"inputs": json.dumps(row["inputs"])}
                connection.execute(sa.table("predictions", *map(sa.column, known)).insert(), known)
            for id_, label in ((one["id"], "a"), (other["id"], "a"), (one["id"], "b"), (one["id"], "a")):
                values = {
                    "prediction_id": id_,
                    "label": label,
                    "labelled_by": "me",
                    "labelled_at": "2026-11-30 06:00:00",
                }
                connection.execute(sa.table("labels", *map(sa.column, values)).insert(), values)
        assert upgrade(store)
        with store.engine.connect() as connection:
            found = connection.execute(sa.select(labels.c.prediction_id, labels.c.number).order_by(labels.c.id)).all()
        assert [number for _, number in found] == [1, 1, 2, 3]
        assert store.add_labels([(one["id"], "b")], "anna") == [True]
        assert {(row["is_sample"], row["unfamiliar"]) for row in store.labelled()} == {(False, 0)}


def test_the_random_sample_and_what_is_worth_learning_are_asked_for_apart(store: Store) -> None:
    """The sample is in the order of time, the rest in turn uncertain and unlike the training."""
    drawn = [stored(id=f"{n:036}", inputs={"size": float(n)}, uncertainty=n / 10, is_sample=True) for n in range(3)]
    sure = [stored(inputs={"size": 10.0 + n}, uncertainty=0.0) for n in range(3)]
    doubtful = [stored(inputs={"size": 20.0 + n}, uncertainty=0.9 - n / 10) for n in range(3)]
    strange = [stored(inputs={"size": 30.0 + n}, uncertainty=0.01, unfamiliar=3 - n) for n in range(2)]
    store.add_predictions([*sure, *doubtful, *strange, *drawn])
    assert [row["id"] for row in store.sample(2)] == [drawn[2]["id"], drawn[1]["id"]]
    asked = [doubtful[0], strange[0], doubtful[1], strange[1], doubtful[2]]
    assert [row["id"] for row in store.queue(5)] == [row["id"] for row in asked]
    store.add_labels([(drawn[2]["id"], "a"), (doubtful[0]["id"], "a")], "anna")
    assert [row["id"] for row in store.sample(5)] == [drawn[1]["id"], drawn[0]["id"]]
    assert store.queue(1)[0]["id"] == doubtful[1]["id"]
    assert {row["id"]: row["is_sample"] for row in store.labelled()} == {
        drawn[2]["id"]: True,
        doubtful[0]["id"]: False,
    }
