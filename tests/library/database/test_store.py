"""What the service stores: predictions once, labels with their history, tokens as hashes."""

import json

import pytest
from conftest import stored

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
