"""The service as a runner sees it: a few requests over one connection that is kept."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tuning_service.domain.artifact import ArtifactRoom
from tuning_service.domain.state import Decision
from tuning_service.domain.trial import LaunchPlan
from tuning_service.runner.protocol import Claim, plan_from_json

_TIMEOUT_S = 10.0
_CHUNK = 2**20
_BINARY = "application/octet-stream"
_LONGEST_PARK_S = 60.0


class Gone(Exception):
    """The service does not want this execution any more."""


class Unreachable(Exception):
    """No answer, or one that says to come again: the same request may succeed later."""


class Parked(Exception):
    """The executor is left out: claim again after `seconds`, and do nothing until then."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Refused(Exception):
    """The service will not take this request, however often it is sent."""


class Unreadable(Exception):
    """A file that was to be sent cannot be read, or is not what it was."""


class Service:
    """One connection to one service, opened on first use and again after every failure. Not for two threads at once."""

    def __init__(self, url: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self.url = url
        self._timeout_s = timeout_s
        parts = urlsplit(url)
        self._https = parts.scheme == "https"
        self._address = (parts.hostname or "localhost", parts.port)
        self._prefix = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection | None = None

    def claim(self, task_id: str, token: str, claim: Claim) -> LaunchPlan:
        """The plan. Raises Gone, Parked, Refused, Unreachable."""
        data = self._post(f"/v1/tasks/{task_id}/claim", token, json.dumps(claim.to_json()).encode())
        try:
            return plan_from_json(data)
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"the answer to a claim is no launch plan: {error!r}") from error

    def report(self, task_id: str, token: str, body: bytes) -> Decision:
        """The service's decision. Raises Gone, Refused, Unreachable."""
        data = self._post(f"/v1/tasks/{task_id}/report", token, body)
        try:
            return Decision(data["decision"])
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"the answer to a report is no decision: {error!r}") from error

    def program(self, task_id: str, token: str, progress: Callable[[], None]) -> bytes:
        """The bundle's bytes; `progress` is called now and then. Raises Gone, Refused, Unreachable."""
        response = self._send("GET", f"/v1/tasks/{task_id}/program", token, None)
        parts = []
        try:
            while part := response.read(_CHUNK):
                parts.append(part)
                progress()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(str(error) or repr(error)) from error
        except BaseException:
            self.close()  # the rest of the answer is still to come on this connection
            raise
        return b"".join(parts)

    def artifact_room(self, task_id: str, token: str) -> ArtifactRoom:
        """What the execution may store. Raises Gone, Refused (also by a service that keeps none), Unreachable."""
        data = self._read(self._send("GET", f"/v1/tasks/{task_id}/artifacts", token, None))
        try:
            return ArtifactRoom(bytes=int(data["bytes"]), files=int(data["files"]), why=str(data["why"]))
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"the answer says nothing of room: {error!r}") from error

    def put_artifact(self, task_id: str, token: str, path: str, place: str, size: int) -> None:
        """Send the file at `place`, to be kept as `path`. Raises Gone, Refused, Unreachable, Unreadable."""
        url = f"{self._prefix}/v1/tasks/{task_id}/artifacts/{quote(path)}"
        headers = {"Authorization": f"Bearer {token}", "Content-Length": str(size), "Content-Type": _BINARY}
        try:
            connection = self._connected()
            # A service that does not want it may not read it all: its answer, if any, says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request("PUT", url, body=_pieces(place, size), headers=headers)
            response = connection.getresponse()
        except Unreadable:
            self.close()  # the rest of the request is owed on this connection
            raise
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(str(error) or repr(error)) from error
        if response.status != 200:
            raise self._problem(response)
        self._read(response)

    def _post(self, path: str, token: str, body: bytes) -> Any:
        return self._read(self._send("POST", path, token, body))

    def _read(self, response: http.client.HTTPResponse) -> Any:
        try:
            return json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Unreachable(str(error) or repr(error)) from error

    def _send(self, method: str, path: str, token: str, body: bytes | None) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        fresh = self._connection is None
        try:
            response = self._exchange(method, path, headers, body)
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            self.close()
            if fresh:
                raise Unreachable(str(error) or repr(error)) from error
            # A kept connection may have been closed meanwhile, which is no failure of the service.
            try:
                response = self._exchange(method, path, headers, body)
            except (OSError, http.client.HTTPException) as again:
                self.close()
                raise Unreachable(str(again) or repr(again)) from again
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(str(error) or repr(error)) from error
        if response.status == 200:
            return response
        raise self._problem(response)

    def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> http.client.HTTPResponse:
        connection = self._connected()
        connection.request(method, self._prefix + path, body=body, headers=headers)
        return connection.getresponse()

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            make = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
            self._connection = make(*self._address, timeout=self._timeout_s)
        return self._connection

    def _problem(self, response: http.client.HTTPResponse) -> Exception:
        try:
            text = response.read(2000).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            text = ""
        if not response.isclosed():
            self.close()
        if response.status == 202:
            try:
                park = json.loads(text)
                return Parked(min(max(float(park["seconds"]), 0.1), _LONGEST_PARK_S), str(park["reason"]))
            except (KeyError, TypeError, ValueError):
                pass
        message = f"HTTP {response.status}: {text.strip()[:500]}"
        if response.status == 410:
            return Gone(message)
        if 400 <= response.status < 500 and response.status not in {408, 425, 429}:
            return Refused(message)
        return Unreachable(message)

    def interrupt(self) -> None:
        """Have a request that another thread waits in fail at once."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


_idle: dict[str, list[Service]] = {}
_lock = threading.Lock()


def borrow(url: str) -> Service:
    """An idle connection of this process to the service at `url`, or a new one. Hand it back with `give_back`."""
    with _lock:
        idle = _idle.get(url)
        return idle.pop() if idle else Service(url)


def give_back(service: Service) -> None:
    """Keep the connection for the next task."""
    with _lock:
        _idle.setdefault(service.url, []).append(service)


def close_idle() -> None:
    """Close all idle connections."""
    with _lock:
        for services in _idle.values():
            for service in services:
                service.close()
        _idle.clear()


def _pieces(place: str, size: int) -> Iterator[bytes]:
    """The file's first `size` bytes. Raises Unreadable."""
    left = size
    try:
        with Path(place).open("rb") as stream:
            while left and (piece := stream.read(min(left, _CHUNK))):
                yield piece
                left -= len(piece)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    if left:
        raise Unreadable("it became shorter meanwhile")
