"""What routes ask FastAPI for: the service, the caller with a scope, the body as JSON."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from bakebook.serving.auth import COOKIE, Caller, Forbidden
from bakebook.serving.problems import WrongMedia
from bakebook.serving.service import Service

bearer = HTTPBearer(auto_error=False, description="A token created by nb token new")


async def get_service(request: Request) -> Service:
    """The service that this application runs."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(get_service)]


async def get_caller(
    request: Request,
    service: TheService,
    scopes: SecurityScopes,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    """The caller, who may call. Raises Unauthorized, Forbidden or TooMany."""
    token = credentials.credentials.strip() if credentials else ""
    await service.access.find(token)
    cookie = request.cookies.get(COOKIE, "")
    caller = service.access.caller(request.method, request.headers, token, cookie)
    request.state.caller = caller.name
    service.count_request(caller.name)
    for scope in scopes.scopes:
        if not caller.may(scope):
            raise Forbidden(f"the token of '{caller.name}' does not have the scope '{scope}'")
    return caller


PREDICT = SecurityScopes(["predict"])
FEEDBACK = SecurityScopes(["feedback"])
Anyone = Annotated[Caller, Security(get_caller)]
MayPredict = Annotated[Caller, Security(get_caller, scopes=PREDICT.scopes)]
MayLabel = Annotated[Caller, Security(get_caller, scopes=FEEDBACK.scopes)]


async def get_json(request: Request) -> bytes:
    """The body, which the caller sends as JSON. Raises WrongMedia."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise WrongMedia("the body must be application/json")
    return await request.body()


JsonBody = Annotated[bytes, Depends(get_json)]
