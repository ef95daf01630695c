"""Requests that survive a service that is restarting."""

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from tuning_service.client.errors import BadJobFile, ServiceUnreachable, TuningApiError

DEFAULT_URL = "http://127.0.0.1:8765"
_LATER = frozenset({httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS})
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


class Transport:
    """Sends requests; those that fail on the way, or find the service busy, again for `retry_s` seconds.

    That is safe for all requests here: each POST carries an Idempotency-Key, which stays the same when it is repeated.
    """

    def __init__(self, url: str | None, api_key: str | None, *, timeout_s: float, retry_s: float) -> None:
        self.url = (url or os.environ.get("TUNING_URL") or DEFAULT_URL).rstrip("/")
        key = (api_key or os.environ.get("TUNING_API_KEY") or "").strip()
        if not key.isascii() or not key.isprintable():
            raise TuningApiError(401, {"detail": "The API key is none: it has characters that no key has."})
        self._retry_s = retry_s
        headers = {"User-Agent": "tuning-service-client"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s)
        except (httpx.InvalidURL, ValueError) as error:
            raise ServiceUnreachable(self.url, f"the address is malformed: {error}") from error

    def close(self) -> None:
        self._http.close()

    def json(self, method: str, path: str, **options: Any) -> Any:
        """The decoded body of the answer. Raises TuningApiError."""
        return self.send(method, path, **options).json()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer, whole. Raises TuningApiError."""
        _check(path)
        if method == "POST":
            options["headers"] = {"Idempotency-Key": str(uuid.uuid4()), **options.get("headers", {})}
        if "json" in options:
            options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
            options["content"] = _encoded(options.pop("json"))
        deadline = time.monotonic() + self._retry_s
        pause = _FIRST_PAUSE_S
        while True:
            wait = pause
            try:
                response = self._http.request(method, path, **options)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                failure: TuningApiError = ServiceUnreachable(self.url, str(error) or type(error).__name__)
                if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
                    raise failure from error
            else:
                if response.is_success:
                    return response
                failure = error_from(response)
                if response.status_code not in _LATER:
                    raise failure
                wait = max(wait, _retry_after(response))
            if time.monotonic() + wait > deadline:
                raise failure
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    @contextmanager
    def stream(
        self, path: str, params: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """An answer that is read as it comes. Raises TuningApiError, also when the connection breaks meanwhile."""
        _check(path)
        # Silence is no fault here: nothing may happen for long; the service's heartbeats keep event streams alive.
        timeout = httpx.Timeout(10.0, read=60.0)
        try:
            with self._http.stream("GET", path, params=params, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise error_from(response)
                yield response
        except httpx.TransportError as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from error


def _check(path: str) -> None:
    """Raises TuningApiError where an empty id would make another address of it, that of a list perhaps."""
    if "" in path.removeprefix("/").split("/"):
        raise TuningApiError(
            422, {"errors": [{"field": "id", "message": "is empty.", "remedy": "Name what is meant."}]}
        )


def _encoded(body: Any) -> str:
    """Raises BadJobFile, which names the field, for what JSON has no form for: NaN, or an array of numpy."""
    try:
        return json.dumps(body, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        field = next((name for name, value in body.items() if not _has_form(value)), "request")
        raise BadJobFile(field, f"cannot be written as JSON: {error}.", "Use plain numbers and texts.") from error


def _has_form(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False, default=_plain)
    except (TypeError, ValueError):
        return False
    return True


def _plain(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def error_from(response: httpx.Response) -> TuningApiError:
    """The problem document of an answer, or what can be told without one."""
    if response.is_redirect:
        # A proxy that wants HTTPS, mostly. Not followed: the key is for the address that was named.
        elsewhere = response.headers.get("Location", "")
        detail = f"{response.url} is answered from elsewhere: {elsewhere}. Use that address of the service."
        return TuningApiError(response.status_code, {"title": "The service is elsewhere", "detail": detail})
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"title": f"HTTP status {response.status_code}", "detail": response.text[:500]}
    return TuningApiError(response.status_code, problem)


def _retry_after(response: httpx.Response) -> float:
    try:
        return float(response.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0


def parse_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events: {"id", "event", "data"}."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
        elif fields:
            if "data" in fields:
                yield {
                    "id": int(fields["id"]) if "id" in fields else None,
                    "event": fields.get("event", "message"),
                    "data": json.loads(fields["data"]),
                }
            fields = {}
