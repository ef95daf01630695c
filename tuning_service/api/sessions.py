"""/v1/session: signing in and out, for browsers."""

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Request, Response, status

from tuning_service.api import cookies
from tuning_service.api.deps import Sessions, Users, Who
from tuning_service.api.errors import responses
from tuning_service.api.senders import SESSION_PATH
from tuning_service.api.user_schemas import PasswordChange, SessionOut, SignIn
from tuning_service.domain.errors import Conflict
from tuning_service.manager.session_mgr import Session, SessionMgr

router = APIRouter(prefix=SESSION_PATH, tags=["session"])

# Passwords are checked in threads of their own: whoever waits for that keeps no other request waiting.
SIGN_INS = 4


async def _signed_in(request: Request) -> Session:
    """The session of the request. Raises Conflict when it came with a key."""
    session: Session | None = request.state.session
    if session is None:
        raise Conflict("This request came with an API key, and not with a session.")
    return session


Current = Annotated[Session, Depends(_signed_in)]


@router.post("", responses=responses(403, 422, 429))
async def sign_in(wish: SignIn, request: Request, response: Response, sessions: Sessions) -> SessionOut:
    """Sign in with an API key, or with tenant, name and password. Sets the cookie of the session; needs no key.

    Failures are counted by name and by address; after too many the answer is 429 for a while.
    """
    wish.check()
    address = "" if request.client is None else request.client.host
    session = await anyio.to_thread.run_sync(_sign_in, sessions, wish, address, limiter=request.app.state.sign_ins)
    before = cookies.token(request.scope, request.headers)
    if before:
        await anyio.to_thread.run_sync(sessions.sign_out, before)
    cookies.keep(request.scope, response, session)
    return SessionOut.of(session.principal, session)


def _sign_in(sessions: SessionMgr, wish: SignIn, address: str) -> Session:
    if wish.key:
        return sessions.sign_in_with_key(wish.key.strip(), address=address)
    return sessions.sign_in(wish.tenant, wish.name or "", wish.password or "", address=address)


@router.get("", responses=responses())
async def who_am_i(request: Request, response: Response, who: Who) -> SessionOut:
    """Who sends this, and the session if there is one."""
    response.headers["Cache-Control"] = "no-store"
    return SessionOut.of(who, request.state.session)


@router.delete("", status_code=status.HTTP_204_NO_CONTENT, responses=responses(403, 409))
async def sign_out(request: Request, _who: Who, current: Current, sessions: Sessions) -> Response:
    """Sign out: the session ends, and its cookie goes."""
    await anyio.to_thread.run_sync(sessions.sign_out, current.token)
    response = Response(status_code=status.HTTP_204_NO_CONTENT)
    cookies.drop(request.scope, response)
    return response


@router.put("/password", responses=responses(403, 409, 422, 429))
async def change_password(
    wish: PasswordChange,
    request: Request,
    response: Response,
    who: Who,
    _current: Current,
    users: Users,
    sessions: Sessions,
) -> SessionOut:
    """Change the own password. Ends all sessions of the user; this browser gets a new one."""

    def change() -> Session:
        users.change_own_password(who, wish.old_password, wish.new_password)
        return sessions.sign_in_again(who)

    session = await anyio.to_thread.run_sync(change, limiter=request.app.state.sign_ins)
    cookies.keep(request.scope, response, session)
    return SessionOut.of(session.principal, session)
