"""The way in."""

from starlette.requests import Request

from tuning_service.portal.view import Page


def page(request: Request) -> Page:
    """A form for a name and password, or a key. `next` is where to go then: an address of this site only."""
    target = request.query_params.get("next", "/")
    if not target.startswith("/") or target.startswith(("//", "/\\")) or not target.isprintable():
        target = "/"
    return Page(template="sign_in.html", title="Sign in", scripts=("sign_in.js",), context={"next": target})
