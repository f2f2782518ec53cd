"""The pages for people: plain HTML made here, without scripts."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markupsafe import Markup

from ..encoding import as_text
from . import form
from .access import COOKIE, Denied, stop_other_sites
from .api import allowed, service
from .rows import WrongRows
from .service import Label, Service

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).with_name("templates")
PAGES = (("/", "Predict"), ("/label", "Label"), ("/history", "History"), ("/card", "Model"))
IN_QUEUE, IN_HISTORY = 10, 50
MOST_ALIKE = 1000  # predictions that one label is for
SCROLLED = '<div class="scroll" role="group" aria-label="Table" tabindex="0">'
MONTH = 30 * 24 * 3600  # seconds that a browser stays signed in


@router.get("/")
def predict_form(request: Request) -> Response:
    """The form, filled with a row of the table."""
    _page(request, "predict")
    return _form(request, form.example(service(request).served.model.signature))


@router.post("/")
async def predict_from_form(request: Request) -> Response:
    """The answer above the form, or what is wrong beside its field."""
    caller, held, state = _page(request, "predict"), service(request), request.state
    given, served = await _sent(request), held.served
    signature = served.model.signature
    typed = form.typed(signature, given)
    try:
        rows = served.rows.check([await asyncio.to_thread(form.values, signature, typed)])
    except WrongRows as error:
        return _form(request, typed, {fault["where"][1]: fault["reason"] for fault in error.faults})
    found = await held.predict(rows, served, caller, request_id=state.request_id, started=state.started)
    return _form(request, typed, prediction=found[0])


@router.get("/label")
def queue(request: Request, saved: str = "", id: str = "") -> Response:  # noqa: A002 - a name of the address
    """Predictions without a label, the least certain first; or the one that is asked for."""
    _page(request, "feedback")
    store = service(request).store
    if not id:
        return _html(request, "label.html", queue=store.queue(IN_QUEUE), count=store.count(), saved=saved[:100])
    one = store.prediction(_whole(id))
    return _html(request, "label.html", one=one) if one else _problem(request, 404, "There is no such prediction.")


@router.post("/label")
async def label(request: Request) -> Response:
    """Records the label of a prediction, or of several with equal inputs, and goes back to where it was given."""
    caller, given = _page(request, "feedback"), await _sent(request)
    said = given.get("label", "")
    try:
        ids = _whole(given.get("id", "")).split()[:MOST_ALIKE]
        pairs: list[Label] = [(id_, said) for id_ in ids or [""]]
        await asyncio.to_thread(service(request).label, pairs, caller)
    except KeyError:
        return _problem(request, 404, "There is no such prediction.")
    back = given.get("back") if given.get("back") in dict(PAGES) else "/label"
    return RedirectResponse("/label?" + urlencode({"saved": said}) if back == "/label" else str(back), 303)


@router.get("/history")
def history(request: Request) -> Response:
    """What was predicted, the newest first, with filters."""
    _page(request, "feedback")
    held, asked = service(request), dict(request.query_params)
    labelled = asked.get("labelled", "")
    found, last = held.store.list_predictions(
        limit=IN_HISTORY,
        before=_whole(asked.get("before", "")),
        model_version=_whole(asked.get("model_version", "")),
        predicted=_whole(asked.get("predicted", "")),
        labelled={"yes": True, "wrong": True, "no": False}.get(labelled),
        wrong=labelled == "wrong",
        since=_day(asked.get("since", "")),
        until=_day(asked.get("until", "")),
    )
    following = urlencode(asked | {"before": last}) if last else ""
    names = dict.fromkeys(name for one in found for name in one["inputs"])
    more: dict[str, Any] = {"asked": asked, "inputs": list(names), "following": following and f"/history?{following}"}
    return _html(request, "history.html", found=found, **more)


@router.get("/card")
def card(request: Request) -> Response:
    """The model card with its plots."""
    _page(request, "")
    served = service(request).served
    text = served.text("MODEL_CARD.md") or "*The model came without a card.*"
    _, _, body = text.partition("\n---\n") if text.startswith("---\n") else ("", "", text)
    rendered = MarkdownIt("commonmark", {"html": False}).enable("table").render(body.replace("\n# ", "\n## ", 1))
    focusable = (("<pre>", '<pre tabindex="0">'), ("<table>", f"{SCROLLED}<table>"), ("</table>", "</table></div>"))
    for tag, instead in focusable:
        rendered = rendered.replace(tag, instead)
    safe = Markup(rendered)  # noqa: S704 - without HTML of its own
    return _html(request, "card.html", card=safe, adopted_at=served.adopted_at, source=served.source)


@router.get("/plots/{name}")
def plot(request: Request, name: str) -> Response:
    """One picture of the card."""
    _page(request, "")
    known = {path.name: path for path in (service(request).served.folder / "plots").glob("*.png")}
    return FileResponse(known[name]) if name in known else _problem(request, 404, "There is no such picture.")


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
    """Where a person gives their token."""
    request.state.page = True
    return _html(request, "login.html", back=back)


@router.post("/login")
async def login(request: Request) -> Response:
    """Keeps the token in a cookie that scripts and other sites cannot use."""
    request.state.page = True
    stop_other_sites(request.headers)
    given = await _sent(request)
    token, back = given.get("token", "").strip(), given.get("back", "/")
    try:
        await service(request).access.meet(token)
        service(request).access.caller("GET", {}, token)
    except Denied as error:
        return _html(request, "login.html", 401, back=back, fault=f"{str(error).partition(' → ')[0].capitalize()}.")
    answer = RedirectResponse(back if back in dict(PAGES) else "/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, token, max_age=MONTH, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/logout")
def logout(request: Request) -> Response:
    """Forgets the token."""
    request.state.page = True
    stop_other_sites(request.headers)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def answer_problem(request: Request, status: int, detail: str) -> Response:
    """A problem as a page; who is not known is asked to sign in."""
    if status == 401:
        return RedirectResponse("/login?" + urlencode({"back": request.url.path}), 303)
    return _problem(request, status, detail)


def _problem(request: Request, status: int, detail: str) -> Response:
    return _html(request, "problem.html", status, detail=detail)


def _page(request: Request, scope: str) -> Any:
    """Who asks; what goes wrong from here on is said as a page."""
    request.state.page = True
    return allowed(request, scope)


async def _sent(request: Request) -> dict[str, str]:
    """The fields of a form."""
    try:
        return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=10_000))
    except ValueError:
        raise WrongRows([{"where": [], "reason": "the form cannot be read"}]) from None


def _form(
    request: Request, values: Mapping[str, str], faults: Mapping[str, str] | None = None, prediction: Any = None
) -> Response:
    signature = service(request).served.model.signature
    example = json.dumps(signature["examples"][0]["inputs"], ensure_ascii=False).replace("'", "'\\''")
    fields = form.fields(signature, values, faults)
    more = {"fields": fields, "faults": faults, "prediction": prediction, "example": example}
    return _html(request, "predict.html", 422 if faults else 200, origin=str(request.base_url), **more)


def _whole(text: str) -> str:
    return text.replace("\0", "")


def _day(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except ValueError:
        raise WrongRows([{"where": ["since"], "reason": f"{text[:40]} is no day: write 2026-11-21"}]) from None


def _html(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    held: Service = service(request)
    caller = getattr(request.state, "caller", "")
    signature = held.served.model.signature
    shared = {
        "pages": PAGES,
        "here": request.url.path,
        "caller": caller,
        "version": held.served.version if caller else "",
        "target": signature["target"] if caller else "",
        "classes": signature["classes"],
    }
    return HTMLResponse(_templates().get_template(template).render(shared | values), status)


@cache
def _templates() -> Environment:
    made = Environment(loader=FileSystemLoader(FOLDER), autoescape=True)
    made.filters["shown"] = lambda value: "missing" if value is None else as_text(value)
    return made
