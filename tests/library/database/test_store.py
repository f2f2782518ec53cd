"""What the service stores: predictions once, labels with their history, tokens as hashes."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from conftest import stored

from bakebook.database.backup import upgrade
from bakebook.database.schema import labels, predictions
from bakebook.database.store import MIGRATIONS, VERSION_TABLE, Store, new_id
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
    with closing(Store(f"sqlite:///{tmp_path / 'service.db'}")) as store:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with store.engine.begin() as connection:
            config.attributes |= {"connection": connection, "version_table": VERSION_TABLE}
            command.upgrade(config, "0001")
            one, other = stored(), stored()
            connection.execute(predictions.insert(), [one, other])
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
