"""`nb simulate`: months of production in minutes, with the service, a database, a registry, the
monitor and retraining as they are, in a clone of the last commit.
"""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from bakebook import artifacts, paths, settings
from bakebook.contract.project import Project, load, write_params
from bakebook.contracts import Signature
from bakebook.database.store import Store
from bakebook.errors import BadInput, CheckFailed, Unreachable
from bakebook.lifecycle.caller import Caller
from bakebook.lifecycle.clone import Clone, cloned, located
from bakebook.lifecycle.simulated import Month, Simulation, figure, sentences
from bakebook.lifecycle.traffic import Traffic
from bakebook.monitoring.results import Monitoring
from bakebook.params import Shift
from bakebook.runner.processes import alone, stoppable
from bakebook.settings import POSTGRESQL

OWN = ("NB_", "MLFLOW_", "DATABASE_URL")  # variables of the real production
SERVICE = {"NB_PORT": "0", "NB_OPEN": "true", "NB_POLL": "0.2", "NB_SAMPLE": "1"}
LISTENING = re.compile(r"http://127\.0\.0\.1:\d+")
PATIENCE_S = 30.0  # until the service answers, or has swapped
LOOK_S = 0.1
MOST_SAID = 300  # characters of what it wrote, in a message
BATCH = 10  # predictions that are asked for at once
MEANWHILE = 0.25  # of a month's predictions are asked for while nb retrain runs, and get no label
PAUSE_S = 2.0  # between these, which so last until a new model answers
LATE = 0.25  # of the labels come a month later


@dataclass(frozen=True)
class Plan:
    """So many months of so many predictions, and how they change. With an empty address, the
    database is a file that goes with the clone.
    """

    months: int = 12
    rows: int = 120
    shift: Shift = "gradual"
    seed: int = 0
    database: str = ""


def simulate(project: Project, plan: Plan) -> list[str]:
    """Writes `reports/simulation.json` and `reports/simulation.png`; lines for the user. Raises
    CheckFailed where the committed model must not be promoted, Busy while a stage runs.
    """
    variables = {name: text for name, text in os.environ.items() if not name.startswith(OWN)}
    if plan.database:
        _refuse_used(plan.database)
        variables["DATABASE_URL"] = plan.database
    with (
        stoppable(),
        alone(project.root, "simulate"),
        cloned(project.root, paths.SIMULATION, variables) as clone,
    ):
        found = _Play(clone, plan).run()
    artifacts.write_json(found, paths.SIMULATED)
    artifacts.write_figure(figure(found), paths.SIMULATION_CHART)
    return [*sentences(found), "reports/simulation.png shows it"]


def _refuse_used(address: str) -> None:
    """Raises BadInput for a database that has anything, or is none of PostgreSQL."""
    scheme, _, rest = address.partition("://")
    if scheme not in POSTGRESQL or not rest:  # whatever it is, it may hold a password
        what = "--database is no address of PostgreSQL"
        raise BadInput(what, "--database postgresql://USER:PASSWORD@HOST/NAME")
    store = Store(settings.read(database_url=address).database)
    try:
        if store.version():
            raise BadInput("this database is in use", "name a new, empty one")
    finally:
        store.close()


class _Play:
    """What happens, month by month."""

    def __init__(self, clone: Clone, plan: Plan) -> None:
        self._clone = clone
        self._plan = plan
        clone.check_out()
        project = load(clone.root)
        monitor = project.section("monitor", "criteria")
        self._score = next(iter(monitor["criteria"]), "")
        if not self._score:
            raise BadInput("monitor.criteria has no score to watch", "add one to params.yaml")
        monitor["window"], monitor["windows"] = plan.rows, plan.months
        write_params(project)
        clone.commit("A month is a number of predictions")
        signature = artifacts.read(Signature, self._path("models/signature.json"))
        table = artifacts.read_table(self._path("data/interim/table.parquet"))
        self._traffic = Traffic(table, signature, project.whole_numbers)
        self._late: dict[str, object] = {}
        self._retrained: list[int] = []
        self._refused: list[int] = []

    def run(self) -> Simulation:
        clone, plan = self._clone, self._plan
        clone.run("nb", "promote", "--why", "simulation")
        random = np.random.default_rng(plan.seed)
        months = []
        with _serving(clone) as caller:
            for number in range(1, plan.months + 1):
                moment = (number - 1) / (plan.months - 1)
                rows, labels = self._traffic.month(plan.rows, moment, plan.shift, random)
                months.append(self._month(caller, number, rows, labels))
        last = self._monitored()
        measured = {
            number: window.measured.get(self._score)
            for number, window in enumerate(last.windows, start=1)
        }
        audit = json.loads(clone.run("nb", "audit", "--json", "--limit", "1000"))
        return Simulation(
            shift=plan.shift,
            seed=plan.seed,
            predictions=plan.rows,
            score=self._score,
            threshold=last.criteria[self._score].threshold,
            training=last.criteria[self._score].training,
            months=[
                month.model_copy(update={"measured": measured.get(month.number)})
                for month in months
            ],
            retrained=self._retrained,
            refused=self._refused,
            requests=caller.requests,
            failures=dict(caller.failures),
            audit=audit,
        )

    def _month(
        self, caller: Caller, number: int, rows: list[dict[str, object]], labels: list[object]
    ) -> Month:
        """A month's predictions and labels, and what nb retrain makes of them."""
        labelled = round(self._plan.rows * (1 - MEANWHILE))
        known: dict[str, object] = {}
        for begin in range(0, labelled, BATCH):
            part = slice(begin, min(begin + BATCH, labelled))
            known.update(zip(caller.predict(rows[part]), labels[part], strict=False))
        soon = round(labelled * (1 - LATE))
        caller.label(self._late | dict(islice(known.items(), soon)))
        self._late = dict(islice(known.items(), soon, None))
        with _meanwhile(caller, rows[labelled:]):
            if self._retrain(number):
                self._wait_for_swap(caller)
        found = self._monitored()
        return Month(
            number=number,
            estimated=found.windows[-1].estimated.get(self._score),
            is_alarm=bool(found.alarms),
            model=found.model,
        )

    def _retrain(self, number: int) -> bool:
        """Whether another model was promoted."""
        try:
            said = self._clone.run("nb", "retrain")
        except CheckFailed:
            self._refused.append(number)
            return False
        if "is the champion instead of" not in said:
            return False
        self._retrained.append(number)
        return True

    def _wait_for_swap(self, caller: Caller) -> None:
        champion = json.loads(self._clone.run("nb", "audit", "--json"))[-1]["model_version"]
        if not _until(lambda: caller.is_answered(champion)):
            raise Unreachable(f"the service does not take over model {champion}")

    def _monitored(self) -> Monitoring:
        return artifacts.read(Monitoring, self._path("reports/monitor.json"))

    def _path(self, name: str) -> Path:
        return self._clone.root / name


@contextmanager
def _serving(clone: Clone) -> Iterator[Caller]:
    """The service, as long as the block lasts."""
    log = clone.root.parent / "service.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [located("nb", clone.environment), "serve"],
            cwd=clone.root,
            env={**clone.environment, **SERVICE},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _caller(process, log)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def _caller(process: "subprocess.Popen[bytes]", log: Path) -> Caller:
    """Of the service, once it answers."""

    def said() -> str:
        return log.read_text(encoding="utf-8", errors="replace")

    _until(lambda: process.poll() is not None or LISTENING.search(said()) is not None)
    if address := LISTENING.search(said()):
        caller = Caller(address[0])
        if _until(lambda: process.poll() is not None or caller.is_answered()):
            return caller
    raise Unreachable(f"the service does not start ({said().strip()[-MOST_SAID:]})", "nb serve")


def _until(is_so: Callable[[], bool]) -> bool:
    """Whether it becomes so within a time."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        if is_so():
            return True
        time.sleep(LOOK_S)
    return False


@contextmanager
def _meanwhile(caller: Caller, rows: list[dict[str, object]]) -> Iterator[None]:
    """Asks for predictions while the block lasts, and at its end for those that are left."""
    is_over = threading.Event()

    def ask() -> None:
        for row in rows:
            caller.predict([row])
            is_over.wait(PAUSE_S)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
