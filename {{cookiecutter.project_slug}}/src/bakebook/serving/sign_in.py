"""The pages on which a person signs in and out."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from bakebook.serving.auth import COOKIE, Forbidden, Unauthorized, refuse_other_sites
from bakebook.serving.dependencies import TheService
from bakebook.serving.page import PAGES, Form, mark_page, render

SIGNED_IN_S = 30 * 24 * 3600


async def check_site(request: Request) -> None:
    """Refuses a form that a page of another site sends."""
    refuse_other_sites(request.headers)


router = APIRouter(include_in_schema=False, dependencies=[Depends(mark_page)])


@router.get("/login")
def login_form(request: Request, back: str = "/") -> Response:
    """Where a person enters their token."""
    return render(request, "login.html", back=back)


@router.post("/login", dependencies=[Depends(check_site)])
async def login(request: Request, service: TheService, sent: Form) -> Response:
    """Keeps the token in a cookie that scripts and other sites cannot use."""
    token = sent.get("token", "").strip()
    back = sent.get("back", "/")
    await service.access.find(token)
    try:
        service.access.caller("GET", {}, "", token)
    except (Unauthorized, Forbidden) as error:
        return render(request, "login.html", 401, back=back, fault=f"{error.what.capitalize()}.")
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
