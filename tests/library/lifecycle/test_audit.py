"""Who decided what about which model, and why."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import store_of, stored

from bakebook.database.backup import back_up, restore
from bakebook.database.schema import decisions
from bakebook.database.store import Store
from bakebook.errors import BadInput
from bakebook.lifecycle.audit import Decision, as_lines, listed, record
from bakebook.lifecycle.rollback import roll_back
from bakebook.serving.deployments import Deployments
from bakebook.settings import Settings

BACK = Decision("rollback", "done", "1" * 12, "2" * 12, "complaints since noon", {"ticket": 7})


def service(folder: Path) -> Settings:
    """The settings of a service with two verified models, of which the second serves."""
    found = [{"sha256": digit * 64, "mark": digit, "source": "here", "at": "2026-11-30T06:00:00"} for digit in "12"]
    (folder / "models").mkdir(parents=True)
    ledger = json.dumps({"adopted": found, "refused": {}})
    (folder / "models" / "ledger.json").write_text(ledger, encoding="utf-8")
    return Settings(state=folder, model="models:/none@champion", tracking_uri=f"sqlite:///{folder}/none.db")


def test_a_decision_is_shown_with_its_person_and_reason(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "anna")
    assert as_lines(listed(store, 10)) == ["nothing was decided yet"]
    record(store, BACK)
    record(store, Decision("rollback", "refused", "3" * 12, "", ""))
    first, second = as_lines(listed(store, 10))
    assert first.endswith(f"UTC  rollback  {'1' * 12} instead of {'2' * 12}  by anna: complaints since noon")
    assert second.endswith(f"UTC  rollback refused  {'3' * 12}  by anna")
    assert [row["model_version"] for row in listed(store, 1)] == ["3" * 12]
    assert listed(store, 10)[0]["details"] == {"ticket": 7}


def test_decisions_go_into_a_backup_and_back(store: Store, tmp_path: Path) -> None:
    store.add_predictions([stored()])
    record(store, BACK)
    assert back_up(store, tmp_path / "copy.db")["decisions"] == 1
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    restore(other, tmp_path / "copy.db")
    assert listed(other, 10) == listed(store, 10)
    record(other, BACK)
    assert [row["id"] for row in listed(other, 10)] == [1, 2]
    other.close()


def test_a_database_that_is_away_does_not_keep_a_model_from_serving(tmp_path: Path) -> None:
    place = tmp_path / "service"
    place.mkdir()
    store = Store(f"sqlite:///{place / 'service.db'}")
    assert list(roll_back(service(tmp_path / "one"), store, "", "slow")) == [
        f"model {'1' * 12} serves again; {'2' * 12} is refused from now on"
    ]
    assert [row["reason"] for row in listed(store, 10)] == ["slow"]
    store.close()
    shutil.rmtree(place)
    away = Store(f"sqlite:///{place / 'service.db'}")
    done, missing = roll_back(service(tmp_path / "other"), away, "", "")
    assert done.startswith("model") and missing.startswith("The audit does not have it: the database does not answer")
    away.close()


def test_a_rollback_to_the_model_that_serves_is_no_decision(store: Store, tmp_path: Path) -> None:
    settings = service(tmp_path / "one")
    assert list(roll_back(settings, store, "2" * 12, "")) == [f"model {'2' * 12} serves already"]
    assert listed(store, 10) == [] and Deployments(settings.state / "models").ledger().refused == {}
    with pytest.raises(BadInput, match="no earlier model that may serve"):
        list(roll_back(settings, store, "3" * 12, ""))


def test_a_database_of_a_version_before_decisions_gets_them(tmp_path: Path) -> None:
    store = store_of("0001", tmp_path / "service.db")
    record(store, BACK)
    with store.engine.connect() as connection:
        found: Any = connection.execute(sa.select(decisions)).mappings().one()
    assert found["decided_by"]
    store.close()
