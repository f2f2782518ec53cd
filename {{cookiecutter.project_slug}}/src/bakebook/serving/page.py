"""How a page is made: its template, its form, and a problem as a page."""

from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader

from bakebook.serving.problems import Problem, wrong
from bakebook.serving.service import Service
from bakebook.tables.values import as_text

FOLDER = Path(__file__).with_name("templates")
PAGES = {
    "/": "Predict",
    "/label": "Label",
    "/history": "History",
    "/monitor": "Monitor",
    "/card": "Model",
}
MOST_FIELDS = 10_000


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


Form = Annotated[dict[str, str], Depends(get_form)]


def problem_page(request: Request, problem: Problem) -> Response:
    """A problem as a page; an unknown caller is asked to sign in."""
    if problem.status == 401:
        return RedirectResponse("/login?" + urlencode({"back": request.url.path}), 303)
    return render(request, "problem.html", problem.status, detail=problem.detail)


def render(request: Request, template: str, status: int = 200, **values: object) -> Response:
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


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return as_text(value).removesuffix("T00:00:00")
