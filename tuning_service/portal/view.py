"""What a page function is handed, and what it answers with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from tuning_service.api.deps import Managers, managers
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import Role

THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One request of somebody who has signed in."""

    request: Request
    principal: Principal
    csrf: str  # what the session's changes carry

    @property
    def managers(self) -> Managers:
        """The use cases, which take `principal`."""
        return managers(self.request)

    @property
    def query(self) -> QueryParams:
        """What stands behind the question mark."""
        return self.request.query_params

    @property
    def path(self) -> Mapping[str, Any]:
        """The parameters of the route."""
        return self.request.path_params

    @property
    def theme(self) -> str:
        """What the reader has chosen; "": as the system is set."""
        return chosen_theme(self.request)

    def may(self, role: str) -> bool:
        """True when what needs `role` is allowed."""
        return self.principal.role.includes(Role(role))

    @property
    def is_operator(self) -> bool:
        """True for an operator without a tenant, who has no jobs to look at."""
        return self.principal.tenant is None

    def page_number(self) -> int:
        """Of a list's pages, counted from 1."""
        text = self.query.get("page", "1")
        return min(max(int(text), 1), 10**6) if text.isascii() and text.isdecimal() and len(text) < 8 else 1

    def address(self, **changes: str | int | None) -> str:
        """This page's address with other query parameters; None leaves one out."""
        given = [(name, value) for name, value in self.query.multi_items() if name not in changes]
        given += [(name, str(value)) for name, value in changes.items() if value is not None]
        return self.request.url.path + (f"?{urlencode(given)}" if given else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page to be rendered: `template` extends base.html.

    `live` names what the page shows: "jobs" (all of the tenant's), a job's id, "poll" (what tells no one of its
    changes, looked at again every few seconds), or "" when it need not be kept up to date. Its block `live` is rendered
    again whenever that has changed.
    """

    template: str
    title: str
    here: str = ""  # the entry of the navigation to which it belongs
    live: str = ""
    scripts: tuple[str, ...] = ()  # modules of static/ that it needs beside core.js
    status: int = 200
    context: Mapping[str, Any] = field(default_factory=dict)


PageFunction = Callable[[View], Page]


def chosen_theme(request: Request) -> str:
    """One of THEMES, or "" when nobody has chosen."""
    theme = request.cookies.get("tuning_theme", "")
    return theme if theme in THEMES else ""
