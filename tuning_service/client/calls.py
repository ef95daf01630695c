"""What the client's groups of calls share: how they ask, how they page, how they wait for a service that restarts."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tuning_service.client.errors import ServiceUnreachable, TuningApiError
from tuning_service.client.transport import Transport

JsonDict = dict[str, Any]
_PAGE = 500
_PATIENCE_S = 600.0  # how long `_patiently` hopes for a service that is gone to come back
_PAUSE_S = 0.5


class Calls:
    """Base of the groups that `TuningClient` is made of."""

    _transport: Transport

    def _dict(self, method: str, path: str, **options: Any) -> JsonDict:
        answer: JsonDict = self._transport.json(method, path, **options)
        return answer

    def _pages(self, path: str, params: Mapping[str, Any], limit: int | None = None) -> Iterator[JsonDict]:
        """Items of all pages, `limit` of them at most."""
        asked = given(params)
        left = limit
        while left is None or left > 0:
            if limit is not None or path.startswith("/v1/tuning-jobs"):
                asked["limit"] = _PAGE if left is None else min(left, _PAGE)
            page = self._dict("GET", path, params=asked)
            items = page["items"] if left is None else page["items"][:left]
            yield from items
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]
            left = None if left is None else left - len(items)

    def _patiently(self, ask: Callable[[], JsonDict], deadline: float | None) -> JsonDict:
        """The answer, from a service that may be restarting; `deadline` in seconds of time.monotonic."""
        patience = time.monotonic() + _PATIENCE_S
        end = patience if deadline is None else min(patience, deadline)
        while True:
            try:
                return ask()
            except TuningApiError as error:
                passing = isinstance(error, ServiceUnreachable) or error.status >= 500
                if not passing or time.monotonic() + _PAUSE_S > end:
                    raise
                time.sleep(_PAUSE_S)


def given(params: Mapping[str, Any]) -> JsonDict:
    """Those that are not None."""
    return {name: value for name, value in params.items() if value is not None}


def segment(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text, safe="")


def job_path(job_id: str) -> str:
    """Where a job is."""
    return f"/v1/tuning-jobs/{segment(job_id)}"


def trial_path(job_id: str, number: int) -> str:
    """Where a trial is."""
    return f"{job_path(job_id)}/trials/{int(number)}"
