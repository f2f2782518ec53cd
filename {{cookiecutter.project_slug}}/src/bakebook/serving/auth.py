"""Who may do what: bearer tokens with scopes, stored as hashes; an open service asks callers on
this machine for none.
"""

import asyncio
import contextlib
import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from bakebook.database.store import Store
from bakebook.errors import BadInput, NoSpace, Unreachable
from bakebook.serving.problems import RequestFailure
from bakebook.settings import Settings

SCOPES = ("predict", "feedback", "admin")  # admin includes the others
COOKIE = "nb_token"
UNKNOWN_TOKEN_TIMEOUT_S = 3.0  # in which a token that was just made must be found
LONGEST_NAME = 64
FORWARDED_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")  # what a proxy adds
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Unauthorized(RequestFailure):
    """The caller is unknown."""

    status = 401


class Forbidden(RequestFailure):
    """The caller is known and may not do this, or the request comes from another site."""

    status = 403


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they may do."""

    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


LOCAL = Caller("local", frozenset(SCOPES))


def make_token(store: Store, name: str, scopes: list[str]) -> str:
    """A new token, which is shown once: the store has its hash."""
    letters = name.replace("-", "").replace("_", "").replace(".", "")
    if not (name.isascii() and letters.isalnum() and len(name) <= LONGEST_NAME):
        remedy = f"use letters, digits and - _ . only, at most {LONGEST_NAME}"
        raise BadInput(f"'{name}' is not a valid token name", remedy)
    for scope in scopes:
        if scope not in SCOPES:
            raise BadInput(f"there is no scope '{scope}'", f"choose from {', '.join(SCOPES)}")
    if name == LOCAL.name or not scopes:
        raise BadInput(
            "a token needs a name of its own and at least one --scope",
            "nb token new NAME --scope predict",
        )
    token = secrets.token_urlsafe(32)
    store.add_token(name, scopes, _hash(token))
    return token


class Access:
    """Finds out who asks, by the tokens that the last `refresh` read; the service calls it every
    few seconds.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        # Whether everyone on this machine may do everything
        self.is_open = settings.open
        self._store = store
        self._callers: dict[str, Caller] = {}  # by the hash of their token
        self._read_at = 0.0  # when the last reading began, by time.monotonic
        self._lock = threading.Lock()
        self._reading: asyncio.Task[None] | None = None

    def refresh(self) -> None:
        """Reads the tokens. Raises Unreachable: then the known ones stay."""
        with self._lock:
            began = time.monotonic()
            try:
                rows = self._store.list_tokens()
                self._callers = {
                    row["sha256"]: Caller(row["name"], frozenset(row["scopes"].split()))
                    for row in rows
                }
            finally:
                self._read_at = began

    async def find(self, token: str) -> None:
        """Reads the tokens again for an unknown one, which may have been made a moment ago.

        Requests that wait at the same time share the reading; none waits for longer than a few
        seconds.
        """
        arrived = time.monotonic()
        if not token or _hash(token) in self._callers:
            return
        with contextlib.suppress(Unreachable, NoSpace, TimeoutError):
            async with asyncio.timeout(UNKNOWN_TOKEN_TIMEOUT_S):
                while self._read_at < arrived:
                    if not self._reading or self._reading.done():
                        self._reading = asyncio.create_task(asyncio.to_thread(self.refresh))
                    await asyncio.shield(self._reading)

    @property
    def has_tokens(self) -> bool:
        return bool(self._callers)

    def caller(self, method: str, headers: Mapping[str, str], token: str, cookie: str) -> Caller:
        """Who asks, by a bearer token or a cookie.

        Raises Unauthorized for an unknown caller, Forbidden when another site makes a browser ask.
        """
        if token:
            return self._with(token)
        if method not in ("GET", "HEAD"):
            refuse_other_sites(headers)
        if cookie:
            return self._with(cookie)
        if not self.is_open:
            remedy = "send Authorization: Bearer TOKEN; nb token new NAME --scope predict makes one"
            raise Unauthorized("a token is needed", remedy)
        is_local = urlsplit(f"//{headers.get('host', '')}").hostname in LOOPBACK
        if not is_local or any(name in headers for name in FORWARDED_HEADERS):
            what = "without a token, only this machine may call the service"
            raise Forbidden(what, "call it as localhost, not through a proxy")
        return LOCAL

    def _with(self, token: str) -> Caller:
        found = self._callers.get(_hash(token))
        if not found:
            raise Unauthorized("the token is unknown", "nb token list")
        return found


def refuse_other_sites(headers: Mapping[str, str]) -> None:
    """Raises Forbidden when a browser says, by Sec-Fetch-Site or Origin, that a page of another
    site sends it.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site:
        is_own = site in ("same-origin", "none")
    else:
        is_own = not origin or urlsplit(origin).netloc == headers.get("host")
    if not is_own:
        raise Forbidden("the request comes from a page of another site")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
