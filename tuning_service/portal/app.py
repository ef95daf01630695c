"""The portal's routes, on the application that serves REST."""

import functools
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import anyio.to_thread
import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tuning_service.api.errors import problem_response, status_of
from tuning_service.domain.errors import NotFound, TuningError
from tuning_service.portal import live, static
from tuning_service.portal.pages import (
    algorithms,
    compare,
    job,
    job_charts,
    job_trials,
    jobs,
    operation,
    sign_in,
    submit,
    trial,
    usage,
)
from tuning_service.portal.render import HEADERS, live_part, tag_of, whole
from tuning_service.portal.rendered import Rendered
from tuning_service.portal.view import Page, PageFunction, View, chosen_theme

log = structlog.stdlib.get_logger("tuning_service.portal")

_PLACES = (jobs, submit, job_charts, job_trials, job, trial, compare, algorithms, usage, operation)
PAGES: tuple[tuple[str, PageFunction], ...] = tuple(page for place in _PLACES for page in place.PAGES)


def install(app: FastAPI) -> None:
    """Serve the portal at "/", beside what `app` serves already."""
    rendered = Rendered()
    app.router.routes += [
        Route("/", _home),
        Route("/sign-in", _sign_in),
        Route("/live/{topic}", live.follow),
        Route(f"{static.PREFIX}/{{release}}/{{name:path}}", static.serve),
        *(Route(path, _answering(path, function, rendered)) for path, function in PAGES),
    ]
    before = app.exception_handlers[HTTPException]

    async def not_found(request: Request, error: Exception) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1")
        if not wants_page:
            answer: Response = await before(request, error)  # type: ignore[misc]
            return answer
        return await anyio.to_thread.run_sync(_error_page, request, NotFound("There is no such page."))

    app.add_exception_handler(404, not_found)


async def _home(request: Request) -> Response:
    principal = request.state.principal
    return RedirectResponse("/tenants" if principal is not None and principal.tenant is None else "/jobs", 307)


async def _sign_in(request: Request) -> Response:
    return await anyio.to_thread.run_sync(lambda: _html(whole(sign_in.page(request), None, chosen_theme(request)), 200))


def _answering(path: str, function: PageFunction, rendered: Rendered) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        request.scope["route"] = Route(path, answer)  # by which metrics tell requests apart
        view = _view(request)
        if view is None:
            return _to_sign_in(request)
        return await anyio.to_thread.run_sync(functools.partial(_answer, view, function, rendered))

    return answer


def _view(request: Request) -> View | None:
    principal = request.state.principal
    if principal is None:
        return None
    session = request.state.session
    return View(request=request, principal=principal, csrf="" if session is None else session.csrf)


def _answer(view: View, function: PageFunction, rendered: Rendered) -> Response:
    request = view.request
    is_live = "x-live" in request.headers
    try:
        if is_live:
            text = rendered.get(view, request.headers.get("x-version", ""), lambda: live_part(function(view), view))
            status = 200
        else:
            page = function(view)
            text, status = whole(page, view, view.theme), page.status
    except TuningError as error:
        return problem_response(request.scope, error) if is_live else _error_page(request, error)
    except Exception:
        if is_live:
            raise  # answered, and logged, as any request's
        log.exception("page failed", path=request.url.path)
        shown = f"The service's log has the details under {request.state.request_id}. What you did before is kept."
        return _error_page(request, TuningError(shown))
    tag = tag_of(text)
    if is_live and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={**HEADERS, "ETag": tag})
    return _html(text, status, {"ETag": tag} if is_live else {})


def _to_sign_in(request: Request) -> Response:
    if "x-live" in request.headers:
        return Response(status_code=401, headers=HEADERS)
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303, headers=HEADERS)


def _error_page(request: Request, error: TuningError) -> Response:
    status = status_of(error)
    page = Page(template="error.html", title=error.message, context={"status": status, "error": error})
    return _html(whole(page, _view(request), chosen_theme(request)), status)


def _html(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return HTMLResponse(text.encode(errors="replace"), status, headers={**HEADERS, **(headers or {})})
