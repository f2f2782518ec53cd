"""The pages for people: plain HTML, without scripts."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from markdown_it import MarkdownIt
from markupsafe import Markup

from bakebook.database.queries import Filter
from bakebook.serving import form
from bakebook.serving.dependencies import Anyone, MayLabel, MayPredict, TheService
from bakebook.serving.page import FOLDER, PAGES, Form, mark_page, render
from bakebook.serving.problems import NotFound, WrongRows, wrong
from bakebook.serving.service import Service

QUEUE_LENGTH = 5  # of each kind
HISTORY_LENGTH = 50
MOST_EQUAL = 1000  # predictions that one label is for
LABELLED = {"yes": True, "wrong": True, "no": False}
SCROLLING = '<div class="scroll" role="group" aria-label="Table" tabindex="0">'
# Makes wide parts of the card reachable by keyboard
FOCUSABLE = (
    ("<pre>", '<pre tabindex="0">'),
    ("<table>", f"{SCROLLING}<table>"),
    ("</table>", "</table></div>"),
)


router = APIRouter(include_in_schema=False, dependencies=[Depends(mark_page)])


@router.get("/")
def predict_form(request: Request, caller: MayPredict, service: TheService) -> Response:
    """The form, filled with a row of the table."""
    return _predict_page(request, form.example(service.served.signature))


@router.post("/")
async def predict_from_form(
    request: Request, caller: MayPredict, service: TheService, sent: Form
) -> Response:
    """The prediction above the form, or what is wrong beside its field."""
    served = service.served
    typed = form.typed(served.signature, sent)
    state = request.state
    try:
        values = await asyncio.to_thread(form.values, served.signature, typed)
        rows = served.rows.check([values])
        answers = await service.predict(
            rows, served, caller, request_id=state.request_id, started=state.started
        )
    except WrongRows as error:
        faults = {str(fault.where[-1]): fault.reason for fault in error.faults}
        return _predict_page(request, typed, faults)
    return _predict_page(request, typed, prediction=answers[0])


@router.get("/label")
def label_page(
    request: Request,
    caller: MayLabel,
    service: TheService,
    saved: str = "",
    id: str = "",  # noqa: A002 - a name of the address
) -> Response:
    """Predictions without a label, those that measure the model and those that teach it; or the one
    that is asked for.
    """
    store = service.store
    if not id:
        return render(
            request,
            "label.html",
            sample=store.sample(QUEUE_LENGTH),
            queue=store.queue(QUEUE_LENGTH),
            count=store.count(),
            saved=saved[:100],
        )
    prediction = store.prediction(_without_nul(id))
    if not prediction:
        raise NotFound("There is no such prediction.")
    return render(request, "label.html", one=prediction)


@router.post("/label")
async def label(caller: MayLabel, service: TheService, sent: Form) -> Response:
    """Records the label of one prediction, or of several with equal inputs, and returns to where it
    was given.
    """
    value = sent.get("label", "")
    ids = _without_nul(sent.get("id", "")).split()[:MOST_EQUAL]
    try:
        await asyncio.to_thread(service.label, [(id_, value) for id_ in ids or [""]], caller)
    except KeyError:
        raise NotFound("There is no such prediction.") from None
    back = sent.get("back", "")
    if back not in PAGES or back == "/label":
        back = "/label?" + urlencode({"saved": value})
    return RedirectResponse(back, 303)


@router.get("/history")
def history(request: Request, caller: MayLabel, service: TheService) -> Response:
    """Stored predictions, the newest first, with filters."""
    asked = dict(request.query_params)
    labelled = asked.get("labelled", "")
    filter_ = Filter(
        before=_without_nul(asked.get("before", "")),
        model_version=_without_nul(asked.get("model_version", "")),
        predicted=_without_nul(asked.get("predicted", "")),
        labelled=LABELLED.get(labelled),
        wrong=labelled == "wrong",
        since=_day(asked.get("since", "")),
        until=_day(asked.get("until", "")),
    )
    found = service.store.list_predictions(HISTORY_LENGTH, filter_)
    following = ""
    if found.following:
        following = "/history?" + urlencode(asked | {"before": found.following})
    inputs = list(dict.fromkeys(name for row in found.rows for name in row["inputs"]))
    return render(
        request, "history.html", found=found.rows, asked=asked, inputs=inputs, following=following
    )


@router.get("/monitor")
def monitor(request: Request, caller: Anyone, service: TheService) -> Response:
    """What `nb monitor` found last."""
    report = service.store.last_report()
    content = report["content"] if report else {}
    charts = [Markup(one) for one in content.get("charts", ())]  # noqa: S704 - drawn by nb monitor
    return render(request, "monitor.html", report=report, charts=charts)


@router.get("/card")
def card(request: Request, caller: Anyone, service: TheService) -> Response:
    """The model card with its plots."""
    served = service.served
    text = served.text("MODEL_CARD.md") or "*The model has no card.*"
    if text.startswith("---\n"):  # without its front matter
        _, _, text = text.partition("\n---\n")
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    html = markdown.render(text.replace("\n# ", "\n## ", 1))
    for tag, replacement in FOCUSABLE:
        html = html.replace(tag, replacement)
    safe = Markup(html)  # noqa: S704 - rendered without HTML of its own
    return render(request, "card.html", card=safe, deployment=served.deployment)


@router.get("/plots/{name}")
def plot(caller: Anyone, service: TheService, name: str) -> Response:
    """One picture of the card."""
    known = {path.name: path for path in (service.served.folder / "plots").glob("*.png")}
    if name not in known:
        raise NotFound("There is no such plot.")
    return FileResponse(known[name])


@router.get("/style.css")
def style() -> Response:
    """How the pages look."""
    return FileResponse(FOLDER / "style.css")


@router.get("/icon.svg")
def icon() -> Response:
    """What a browser's tab shows."""
    return FileResponse(FOLDER / "icon.svg")


def _predict_page(
    request: Request,
    values: Mapping[str, str],
    faults: Mapping[str, str] | None = None,
    prediction: Mapping[str, object] | None = None,
) -> Response:
    service: Service = request.app.state.service
    signature = service.served.signature
    example = json.dumps(signature.examples[0].inputs, ensure_ascii=False)
    return render(
        request,
        "predict.html",
        422 if faults else 200,
        fields=form.fields(signature, values, faults),
        faults=faults,
        prediction=prediction,
        example=example.replace("'", "'\\''"),  # within the quotes of a shell
        origin=str(request.base_url),
    )


def _without_nul(text: str) -> str:
    """The text without what PostgreSQL cannot store."""
    return text.replace("\0", "")


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise wrong("this is not a date; write 2026-11-21", "since") from None
