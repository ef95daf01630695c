"""Pages as HTML, and the part of a page that is kept up to date."""

import hashlib
from pathlib import Path
from typing import Any

import jinja2

from tuning_service import __version__
from tuning_service.portal.static import address_of
from tuning_service.portal.view import Page, View
from tuning_service.portal.words import FILTERS

# No script, style or data from elsewhere. Charts set styles on their elements, hence 'unsafe-inline' for those alone.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Cookie, X-Live",
}

_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(FILTERS)
_environment.globals.update(static=address_of, version=__version__)
# For all templates, since a block that is rendered alone sees nothing of what stands above it.
_environment.globals["ui"] = _environment.get_template("ui.html").module


def whole(page: Page, view: View | None, theme: str) -> str:
    """All of a page. `view` is None for whoever has not signed in.

    It says which `tag_of` its live part has, so that a page that is new already is not fetched and drawn again.
    """
    live = live_part(page, view) if page.live and view else ""
    template = _environment.get_template(page.template)
    context = template.new_context({**_context(page, view, theme), "live_tag": tag_of(live)})
    if live:
        context.blocks["live"] = [lambda _context: iter((live,))]  # it is not rendered a second time
    return "".join(template.root_render_func(context))


def live_part(page: Page, view: View) -> str:
    """What of a page may have changed: its block `live`."""
    template = _environment.get_template(page.template)
    context = template.new_context(_context(page, view, ""))
    return "".join(template.blocks["live"](context))


def tag_of(text: str) -> str:
    """An entity tag."""
    return f'"{hashlib.blake2b(text.encode(errors="replace"), digest_size=12).hexdigest()}"'


def _context(page: Page, view: View | None, theme: str) -> dict[str, Any]:
    return {**page.context, "page": page, "view": view, "theme": theme}
