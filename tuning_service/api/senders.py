"""Who sends a request: the holder of an API key, a browser with a session, or nobody in particular.

Sets in a request's state, wherever a sender is asked for: `principal`, `session` (None for a key), and `still_welcome`,
a function that says whether the same credential is good at another time, for streams. On the portal's pages all three
are None when nobody is signed in: the pages decide what to do about it.
"""

import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.types import Scope

from tuning_service.api import cookies
from tuning_service.domain.errors import Denied, FieldProblem, InvalidRequest, TuningError, Unauthenticated
from tuning_service.domain.principal import Principal
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.session_mgr import SessionMgr

SESSION_PATH = "/v1/session"
STATIC_PATHS = "/static/"
CSRF_HEADER = "X-CSRF-Token"
# All else is the portal's, whose pages are open: they have nothing to show to whoever is not signed in.
_CLOSED_PATHS = frozenset({"/v1", "/metrics", "/openapi.json"})
_CLOSED_FOLDER = "/v1/"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Senders:
    """Finds out who sends a request, and whether it may come from where it comes."""

    def __init__(self, access: AccessMgr, sessions: SessionMgr) -> None:
        self._access = access
        self._sessions = sessions

    async def identify(self, scope: Scope, headers: Headers) -> Principal | None:
        """Who sends this; None on the portal's pages when nobody is signed in, and when somebody is about to sign in.

        Raises:
            Unauthenticated: no key and no session, or none that is good.
            Denied: a browser sends it, but not from a page of this service.
            InvalidRequest: it asks for a session in a form that any page can send.
        """
        path: str = scope["path"]
        state = scope["state"]
        state["principal"] = state["session"] = state["still_welcome"] = None
        if path.startswith(STATIC_PATHS):
            return None
        if path == SESSION_PATH and scope["method"] == "POST":
            _refuse_other_sites(headers)
            _require_json(headers)
            return None
        if path not in _CLOSED_PATHS and not path.startswith(_CLOSED_FOLDER):
            return await self._visitor(scope, headers)
        key = presented_key(headers)
        if key:
            return await self._by_key(state, key)
        return await self._by_session(scope, headers)

    async def _visitor(self, scope: Scope, headers: Headers) -> Principal | None:
        try:
            return await self._by_session(scope, headers)
        except Unauthenticated:
            return None

    async def _by_key(self, state: dict[str, Any], key: str) -> Principal:
        principal = await anyio.to_thread.run_sync(self._access.authenticate, key)
        state["principal"] = principal
        state["still_welcome"] = _lasting(lambda: self._access.authenticate(key))
        return principal

    async def _by_session(self, scope: Scope, headers: Headers) -> Principal:
        token = cookies.token(scope, headers)
        if not token:
            raise Unauthenticated
        principal, session = await anyio.to_thread.run_sync(self._sessions.authenticate, token)
        if scope["method"] not in _SAFE:
            _refuse_other_sites(headers)
            if not hmac.compare_digest(headers.get(CSRF_HEADER, "").encode(), session.csrf.encode()):
                raise Denied(
                    f"A request with a session that changes something needs the header {CSRF_HEADER} with the session's"
                    f" token: `csrf` in the answer of GET {SESSION_PATH}."
                )
        state = scope["state"]
        state["principal"], state["session"] = principal, session
        state["still_welcome"] = _lasting(lambda: self._sessions.authenticate(token, use=False))
        return principal


def presented_key(headers: Headers) -> str:
    """The API key or task token that a request carries, or ""."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return headers.get("x-api-key", "")


def _lasting(authenticate: Callable[[], object]) -> Callable[[], bool]:
    def still_welcome() -> bool:
        try:
            authenticate()
        except TuningError:
            return False
        return True

    return still_welcome


def _refuse_other_sites(headers: Headers) -> None:
    """Raises Denied when a browser says that another site's page sends this."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        foreign = site not in {"same-origin", "none"}
    else:
        # Browsers leave that out over plain HTTP, and old ones always.
        origin = headers.get("origin")
        foreign = origin is not None and _host_of(origin) != headers.get("host", "").lower()
    if foreign:
        raise Denied("This request comes from a page of another site.")


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _require_json(headers: Headers) -> None:
    """Forms of other sites can send anything but this media type."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        problem = "must be application/json."
        raise InvalidRequest(FieldProblem(field="Content-Type", message=problem, remedy="Send the body as JSON."))
