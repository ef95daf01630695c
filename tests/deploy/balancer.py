"""A load balancer in small, in the place of the proxy: connections go in turn to the managers that take them."""

import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import Self


class Balancer:
    """Context manager on a port of 127.0.0.1. `ports` are those of the managers."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = list(ports)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.served: dict[int, int] = dict.fromkeys(ports, 0)  # connections that each manager got

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        _shut(self._listener)
        with self._lock:
            for connection in self._open:
                _shut(connection)
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        self._listener.close()

    def _spawn(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                self._spawn(self._serve, self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        with client, self._manager() as manager:
            with self._lock:
                self._open |= {client, manager}
            back = threading.Thread(target=_copy, args=(manager, client), daemon=True)
            back.start()
            _copy(client, manager)
            back.join()
            with self._lock:
                self._open -= {client, manager}

    def _manager(self) -> socket.socket:
        for _ in self._ports:
            with self._lock:
                self._ports.append(port := self._ports.pop(0))
            with contextlib.suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", port), 5)
                connection.settimeout(None)
                self.served[port] += 1
                return connection
        return socket.socket()  # nobody is there: the client's connection ends at once


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _shut(source)
    _shut(target)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
