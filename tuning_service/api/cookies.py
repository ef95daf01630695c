"""The cookie that carries a session's token.

Over HTTPS it is Secure and has the prefix __Host-, so that browsers take it from this very host only, over HTTPS only.
Without HTTPS neither can be: browsers would drop it. The two have different names, so that what somebody on the way put
into the one over plain HTTP never counts over HTTPS. Whether a request came over HTTPS is known from its connection,
and from X-Forwarded-Proto when a proxy of the setting `trusted_proxies` says so: the server sets scope["scheme"].
"""

import math
import time

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from tuning_service.manager.session_mgr import Session

NAME = "tuning_session"


def token(scope: Scope, headers: Headers) -> str:
    """The session's token that the request carries, or ""."""
    return cookie_parser(headers.get("cookie", "")).get(_name(scope), "")


def keep(scope: Scope, response: Response, session: Session) -> None:
    """Let the browser send the token from now on, until the session's end."""
    seconds = max(0, math.ceil(session.ends_at - time.time()))
    _set(scope, response, session.token, seconds)


def drop(scope: Scope, response: Response) -> None:
    """Let the browser forget the token."""
    _set(scope, response, "", 0)


def _name(scope: Scope) -> str:
    return f"__Host-{NAME}" if _secure(scope) else NAME


def _secure(scope: Scope) -> bool:
    return bool(scope.get("scheme") == "https")


def _set(scope: Scope, response: Response, value: str, max_age: int) -> None:
    response.set_cookie(
        _name(scope), value, max_age=max_age, path="/", secure=_secure(scope), httponly=True, samesite="lax"
    )
    response.headers["Cache-Control"] = "no-store"
