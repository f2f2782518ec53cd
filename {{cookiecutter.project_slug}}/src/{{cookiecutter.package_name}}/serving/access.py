"""Who may do what: bearer tokens with scopes, kept as hashes; without any token, this machine alone."""

import asyncio
import contextlib
import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import BadInput, NoSpace, Unreachable
from .settings import Settings
from .store import Store

SCOPES = ("predict", "feedback", "admin")  # admin may do all
COOKIE = "nb_token"
PATIENCE = 3.0  # seconds that a token may take to become known
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")  # what a proxy adds
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Denied(Exception):
    """401 when it is not known who asks, 403 when they may not."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they may do."""

    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


LOCAL = Caller("local", frozenset(SCOPES))


def make(store: Store, name: str, scopes: list[str]) -> str:
    """A new token, which is shown this once: the store keeps its hash."""
    if not (name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum() and len(name) <= 64):
        raise BadInput(f"'{name}' is no name of a token → letters, digits and - _ . only, at most 64")
    for scope in scopes:
        if scope not in SCOPES:
            raise BadInput(f"there is no scope '{scope}' → choose from {', '.join(SCOPES)}")
    if name == LOCAL.name or not scopes:
        raise BadInput("a token needs a name of its own and at least one --scope")
    token = secrets.token_urlsafe(32)
    store.add_token(name, scopes, _hash(token))
    return token


class Access:
    """Finds who asks, by the tokens that the last `refresh` found; the service calls it every few seconds."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._is_local = settings.is_local
        self._store = store
        self._known: dict[str, Caller] = {}
        self._read_at = 0.0  # when the last reading began, by time.monotonic
        self._one_at_a_time = threading.Lock()
        self._reading: asyncio.Task[None] | None = None

    def refresh(self) -> None:
        """Reads the tokens anew. Raises Unreachable: then those that were known stay."""
        with self._one_at_a_time:
            began = time.monotonic()
            try:
                rows = self._store.list_tokens()
                self._known = {row["sha256"]: Caller(row["name"], frozenset(row["scopes"].split())) for row in rows}
            finally:
                self._read_at = began

    async def meet(self, token: str) -> None:
        """Reads the tokens anew for one that is not known: it may have been made a moment ago.

        Who waits meanwhile shares the reading; nobody waits for longer than a few seconds.
        """
        came = time.monotonic()
        if not token or _hash(token) in self._known:
            return
        with contextlib.suppress(Unreachable, NoSpace, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._read_at < came:
                    if not self._reading or self._reading.done():
                        self._reading = asyncio.create_task(asyncio.to_thread(self.refresh))
                    await asyncio.shield(self._reading)

    @property
    def is_open(self) -> bool:
        """Whether whoever works on this machine may do everything: it has no token yet, and nobody else reaches it."""
        return self._is_local and not self._known

    @property
    def has_tokens(self) -> bool:
        return bool(self._known)

    def caller(self, method: str, headers: Mapping[str, str], cookie: str | None) -> Caller:
        """Who asks; raises Denied when that is not known, or when another site makes their browser ask."""
        if token := bearer(headers.get("authorization", "")):
            return self._with(token)
        if method not in {"GET", "HEAD"}:
            stop_other_sites(headers)
        if cookie:
            return self._with(cookie)
        if not self.is_open:
            raise Denied(401, "a token is needed → Authorization: Bearer …, made by nb token new NAME --scope predict")
        is_local = urlsplit(f"//{headers.get('host', '')}").hostname in LOOPBACK
        if not is_local or any(name in headers for name in FORWARDED):
            only = "without a token, the service is for this machine alone"
            raise Denied(403, f"{only} → call it as localhost, not through a proxy")
        return LOCAL

    def _with(self, token: str) -> Caller:
        found = self._known.get(_hash(token))
        if not found:
            raise Denied(401, "the token is not known → nb token list")
        return found


def bearer(authorization: str) -> str:
    """The token of a header, empty where there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def stop_other_sites(headers: Mapping[str, str]) -> None:
    """Raises Denied when a browser says, by Sec-Fetch-Site or by Origin, that a page of another site sends it."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    own = site in {"same-origin", "none"} if site else not origin or urlsplit(origin).netloc == headers.get("host")
    if not own:
        raise Denied(403, "the request comes from a page of another site")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
