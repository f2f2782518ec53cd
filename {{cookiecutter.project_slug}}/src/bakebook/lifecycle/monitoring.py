"""`nb monitor`: runs the notebook that looks at what the service stored; an alarm is recorded and
sent once.
"""

import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bakebook import artifacts
from bakebook.contract.project import Project
from bakebook.contracts import Signature, as_json
from bakebook.database.locks import MONITORING, alone
from bakebook.database.store import Store
from bakebook.errors import BadInput, CheckFailed, NoSpace, Unreachable
from bakebook.files import read_pyproject
from bakebook.lifecycle import alerts, audit
from bakebook.lifecycle.audit import Decision
from bakebook.monitoring.chart import chart
from bakebook.monitoring.report import alarm, facts, verdict
from bakebook.monitoring.results import Monitoring, Window
from bakebook.paths import CHAMPION, COLUMNS, METRICS, MONITOR, ONNX, REFERENCE, ROOT, SIGNATURE
from bakebook.runner.run import run_command
from bakebook.serving.registries import Champion, NoChampion
from bakebook.serving.sources import champion_of, follows_champion
from bakebook.settings import Settings
from bakebook.tracking.store import Store as TrackingStore
from bakebook.tracking.watched import Watched, log_windows

MARK = "mark"  # a file beside those of the champion: which one it is
REMEDY = "reports/monitor.html shows why; train a better model, then nb promote"


def _place(path: Path) -> str:
    """Where a file of the project is in the files of a version."""
    return path.relative_to(ROOT).as_posix()


FILES = (*map(_place, (ONNX, SIGNATURE, METRICS)), REFERENCE)


def monitor(project: Project, store: Store, settings: Settings) -> list[str]:
    """Writes the reports, records a new alarm and sends it to the webhook; lines for the user.

    Raises CheckFailed while there is an alarm, and as `look` does.
    """
    found = look(project, store, settings)
    _log(TrackingStore(project.root), found)
    if found.alarms:
        raise CheckFailed(alarm(found), REMEDY)
    return [verdict(found), *facts(found)]


def _log(store: TrackingStore, found: Monitoring) -> None:
    """Puts the windows into MLflow, where there is a store; what the monitor is for goes on
    without.
    """
    if not found.windows or store.is_empty:
        return
    try:
        log_windows(store, [_watched(window) for window in found.windows])
    except (Unreachable, NoSpace) as error:
        print(f"note: MLflow does not have the windows ({error.what})", file=sys.stderr)


def _watched(window: Window) -> Watched:
    figures: dict[str, float] = {
        "predictions": window.predictions,
        "labels": window.labels,
        "unfamiliar": window.unfamiliar,
    }
    for kind in ("measured", "estimated"):
        for name, one in getattr(window, kind).items():
            figures[f"{kind}.{name}"] = one.score
    if window.latency_ms is not None:
        figures["latency_ms"] = window.latency_ms
    return Watched(window.start.replace(tzinfo=UTC), window.models, figures)


def look(project: Project, store: Store, settings: Settings, *, is_told: bool = True) -> Monitoring:
    """Writes the reports; with `is_told`, a new alarm is recorded and sent to the webhook. Raises
    Busy while another monitor runs, Unreachable without a database.
    """
    audit.prepare(store)
    with alone(store, MONITORING):
        _fetch_champion(settings)
        run_command(project.root, "monitor")
        found = artifacts.read(Monitoring, MONITOR)
        store.add_report(_as_row(found))
        if found.alarms and is_told:
            _record(store, found)
            text = f"{read_pyproject(project.root, 'project', 'name')}: {alarm(found)}"
            alerts.send(store, settings.webhook, found.model, text)
    return found


def _as_row(found: Monitoring) -> dict[str, object]:
    """What the service's page shows."""
    content = {
        "facts": facts(found),
        "charts": [chart(found, name) for name in found.criteria],
        "monitoring": as_json(found),
    }
    return {
        "made_at": datetime.now(UTC),
        "model_version": found.model,
        "verdict": verdict(found),
        "content": content,
    }


def _record(store: Store, found: Monitoring) -> None:
    """Keeps an alarm that is new in the audit."""
    reason = alarm(found)
    if not audit.find(store, "alarm", found.model, reason):
        details = {"scores": {name: found.criteria[name].model_dump() for name in found.alarms}}
        audit.record(store, Decision("alarm", "done", found.model, "", reason, details))


def _fetch_champion(settings: Settings) -> None:
    """Puts the champion's files where the notebook reads them; without a champion, there are
    none, and it reads the pipeline's.
    """
    if not follows_champion(settings):
        print("note: without NB_MODEL, this is about the pipeline's model", file=sys.stderr)
    try:
        champion = champion_of(settings) if follows_champion(settings) else None
        mark = champion.mark() if champion else ""
    except NoChampion:
        champion = None
    except Unreachable:
        if not CHAMPION.exists():
            raise
        print("note: MLflow does not answer; the champion is the last known one", file=sys.stderr)
        return
    if not champion:
        shutil.rmtree(CHAMPION, ignore_errors=True)
    elif _known() != mark:
        _download(champion, mark)


def _known() -> str:
    try:
        return (CHAMPION / MARK).read_text(encoding="utf-8")
    except OSError:
        return ""


def _download(champion: Champion, mark: str) -> None:
    """All files or none: they are moved to their place as a folder."""
    CHAMPION.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CHAMPION.parent, prefix="champion-") as folder:
        new = Path(folder) / "new"
        for name in FILES:
            _write(new / name, _read(champion, name))
        signature = Signature.model_validate_json((new / _place(SIGNATURE)).read_bytes())
        if signature.columns_sha256:
            _write(new / _place(COLUMNS), _read(champion, _place(COLUMNS)))
        (new / MARK).write_text(mark, encoding="utf-8")
        shutil.rmtree(CHAMPION, ignore_errors=True)
        new.replace(CHAMPION)


def _read(champion: Champion, name: str) -> bytes:
    try:
        return champion.read(name)
    except BadInput as error:
        remedy = "nb promote makes versions with everything that nb monitor needs"
        raise BadInput(f"the champion's files are not whole: {error.what}", remedy) from None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
