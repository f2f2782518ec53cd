"""The pages for people: plain HTML, without scripts."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markupsafe import Markup

from bakebook.database.store import Filter
from bakebook.serving import form
from bakebook.serving.auth import COOKIE, Unauthorized, refuse_other_sites
from bakebook.serving.dependencies import Anyone, MayLabel, MayPredict, TheService
from bakebook.serving.problems import NotFound, Problem, WrongRows, wrong
from bakebook.serving.service import Service
from bakebook.tables.values import as_text

FOLDER = Path(__file__).with_name("templates")
PAGES = {"/": "Predict", "/label": "Label", "/history": "History", "/card": "Model"}
QUEUE_LENGTH = 10
HISTORY_LENGTH = 50
MOST_EQUAL = 1000  # predictions that one label is for
MOST_FIELDS = 10_000
SIGNED_IN_S = 30 * 24 * 3600
LABELLED = {"yes": True, "wrong": True, "no": False}
SCROLLING = '<div class="scroll" role="group" aria-label="Table" tabindex="0">'
# Makes wide parts of the card reachable by keyboard
FOCUSABLE = (
    ("<pre>", '<pre tabindex="0">'),
    ("<table>", f"{SCROLLING}<table>"),
    ("</table>", "</table></div>"),
)


async def mark_page(request: Request) -> None:
    """Has errors answered by a page."""
    request.state.is_page = True


async def get_form(request: Request) -> dict[str, str]:
    """The fields that a form sent."""
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise wrong("the form cannot be read") from None
    return dict(pairs)


async def check_site(request: Request) -> None:
    """Refuses a form that a page of another site sends."""
    refuse_other_sites(request.headers)


Form = Annotated[dict[str, str], Depends(get_form)]
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
    try:
        values = await asyncio.to_thread(form.values, served.signature, typed)
        rows = served.rows.check([values])
    except WrongRows as error:
        faults = {str(fault.where[1]): fault.reason for fault in error.faults}
        return _predict_page(request, typed, faults)
    state = request.state
    answers = await service.predict(
        rows, served, caller, request_id=state.request_id, started=state.started
    )
    return _predict_page(request, typed, prediction=answers[0])


@router.get("/label")
def label_page(
    request: Request,
    caller: MayLabel,
    service: TheService,
    saved: str = "",
    id: str = "",  # noqa: A002 - a name of the address
) -> Response:
    """Predictions without a label, the least certain first; or the one that is asked for."""
    store = service.store
    if not id:
        return _page(
            request,
            "label.html",
            queue=store.queue(QUEUE_LENGTH),
            count=store.count(),
            saved=saved[:100],
        )
    prediction = store.prediction(_without_nul(id))
    if not prediction:
        raise NotFound("There is no such prediction.")
    return _page(request, "label.html", one=prediction)


@router.post("/label")
async def label(request: Request, caller: MayLabel, service: TheService, sent: Form) -> Response:
    """Records the label of one prediction, or of several with equal inputs, and returns to where it was given."""
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
    return _page(
        request, "history.html", found=found.rows, asked=asked, inputs=inputs, following=following
    )


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
    return _page(request, "card.html", card=safe, deployment=served.deployment)


@router.get("/plots/{name}")
def plot(caller: Anyone, service: TheService, name: str) -> Response:
    """One picture of the card."""
    known = {path.name: path for path in (service.served.folder / "plots").glob("*.png")}
    if name not in known:
        raise NotFound("There is no such picture.")
    return FileResponse(known[name])


@router.get("/style.css")
def style() -> Response:
    """How the pages look."""
    return FileResponse(FOLDER / "style.css")


@router.get("/icon.svg")
def icon() -> Response:
    """What a browser's tab shows."""
    return FileResponse(FOLDER / "icon.svg")


@router.get("/login")
def login_form(request: Request, back: str = "/") -> Response:
    """Where a person enters their token."""
    return _page(request, "login.html", back=back)


@router.post("/login", dependencies=[Depends(check_site)])
async def login(request: Request, service: TheService, sent: Form) -> Response:
    """Keeps the token in a cookie that scripts and other sites cannot use."""
    token = sent.get("token", "").strip()
    back = sent.get("back", "/")
    await service.access.find(token)
    try:
        service.access.caller("GET", {}, "", token)
    except Unauthorized as error:
        return _page(request, "login.html", 401, back=back, fault=f"{error.what.capitalize()}.")
    answer = RedirectResponse(back if back in PAGES else "/", 303)
    is_secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, token, max_age=SIGNED_IN_S, httponly=True, samesite="strict", secure=is_secure
    )
    return answer


@router.post("/logout", dependencies=[Depends(check_site)])
def logout() -> Response:
    """Forgets the token."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def problem_page(request: Request, problem: Problem) -> Response:
    """A problem as a page; an unknown caller is asked to sign in."""
    if problem.status == 401:
        return RedirectResponse("/login?" + urlencode({"back": request.url.path}), 303)
    return _page(request, "problem.html", problem.status, detail=problem.detail)


def _predict_page(
    request: Request,
    values: Mapping[str, str],
    faults: Mapping[str, str] | None = None,
    prediction: Mapping[str, Any] | None = None,
) -> Response:
    service: Service = request.app.state.service
    signature = service.served.signature
    example = json.dumps(signature.examples[0].inputs, ensure_ascii=False)
    return _page(
        request,
        "predict.html",
        422 if faults else 200,
        fields=form.fields(signature, values, faults),
        faults=faults,
        prediction=prediction,
        example=example.replace("'", "'\\''"),  # within the quotes of a shell
        origin=str(request.base_url),
    )


def _page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page; what it says about the model is for known callers only."""
    service: Service = request.app.state.service
    caller = getattr(request.state, "caller", "")
    signature = service.served.signature
    shared = {
        "pages": PAGES,
        "here": request.url.path,
        "caller": caller,
        "version": service.served.version if caller else "",
        "target": signature.target if caller else "",
        "classes": signature.classes,
    }
    return HTMLResponse(_templates().get_template(template).render(shared | values), status)


@cache
def _templates() -> Environment:
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True)
    environment.filters["shown"] = _shown
    return environment


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return as_text(value).removesuffix("T00:00:00")


def _without_nul(text: str) -> str:
    """The text without what PostgreSQL cannot store."""
    return text.replace("\0", "")


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise wrong(f"{text[:40]} is no day: write 2026-11-21", "since") from None
