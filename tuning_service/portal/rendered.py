"""Parts of pages that were rendered a moment ago: of many people who watch the same, one pays."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from tuning_service.portal.view import View

_MOST_BYTES = 16 * 2**20
_OLDEST_S = 30.0
_LONGEST = 20  # digits of a version


class Rendered:
    """Safe from any thread. Everything is kept for a tenant and a role: nobody is shown what another may see."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, ...], tuple[float, str]] = OrderedDict()
        self._bytes = 0
        self._rendering: dict[tuple[str, ...], threading.Lock] = {}

    def get(self, view: View, version: str, render: Callable[[], str]) -> str:
        """What `render` gives, or gave for the same page and `version`; what is no version is always rendered.

        A version names the state of all that the page shows, so what was rendered later for it is as good.
        """
        if not (version.isascii() and version.isdecimal() and len(version) <= _LONGEST):
            return render()
        tenant = view.principal.tenant
        url = view.request.url
        key = ("" if tenant is None else tenant.id, str(view.principal.role), url.path, url.query, version)
        with self._lock:
            mine = self._rendering.setdefault(key, threading.Lock())
        try:
            with mine:
                text = self._find(key)
                if text is None:
                    text = render()
                    self._keep(key, text)
        finally:
            with self._lock:
                self._rendering.pop(key, None)
        return text

    def _find(self, key: tuple[str, ...]) -> str | None:
        with self._lock:
            at, text = self._kept.get(key, (0.0, ""))
            return text if at and time.monotonic() - at < _OLDEST_S else None

    def _keep(self, key: tuple[str, ...], text: str) -> None:
        with self._lock:
            self._drop(key)
            now = time.monotonic()
            self._kept[key] = (now, text)
            self._bytes += len(text)
            while len(self._kept) > 1 and (self._bytes > _MOST_BYTES or self._oldest() < now - _OLDEST_S):
                self._drop(next(iter(self._kept)))

    def _oldest(self) -> float:
        return next(iter(self._kept.values()))[0]

    def _drop(self, key: tuple[str, ...]) -> None:
        _, text = self._kept.pop(key, (0.0, ""))
        self._bytes -= len(text)
