"""A load balancer over the managers, and the network in front of them, which may be cut."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Sequence
from typing import Self

_PIECE = 65536


class Forwarder:
    """Context manager. Hands each connection to the next of `backends` (ports of 127.0.0.1) that takes it.

    `cut` says how the network is: "" is well; "refuse" ends all connections and takes no new ones; "silent" lets
    nothing through, and "deaf" no answers, while connections stay: what was held back arrives when it is well again.
    """

    def __init__(self, backends: Sequence[int], host: str = "127.0.0.1") -> None:
        self.host = host
        self.backends = list(backends)
        self.port = 0
        self._turn = itertools.count()
        self._cut = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="forwarder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def cut(self, how: str) -> None:
        """From now on the network is so."""
        asyncio.run_coroutine_threadsafe(self._set(how), self._loop).result(10)

    async def _open(self) -> None:
        self._well = asyncio.Event()
        self._well.set()
        self._open_ones: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._end_connections()

    async def _end_connections(self) -> None:
        ending = list(self._open_ones)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _set(self, how: str) -> None:
        self._cut = how
        if how:
            self._well.clear()
        else:
            self._well.set()
        if how == "refuse":
            await self._end_connections()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open_ones.add(task)
        try:
            if self._cut != "refuse":
                await self._forward(reader, writer)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            self._open_ones.discard(task)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await self._backend()
        if there is None:
            return
        backend_reader, backend_writer = there
        ways = [
            asyncio.ensure_future(self._pump(reader, backend_writer, {"silent"})),
            asyncio.ensure_future(self._pump(backend_reader, writer, {"silent", "deaf"})),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            backend_writer.transport.abort()  # before anything is awaited, which may be cancelled
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _backend(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._turn)
        for i in range(len(self.backends)):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self.backends[(first + i) % len(self.backends)])
        return None

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: set[str]) -> None:
        while data := await reader.read(_PIECE):
            while self._cut in held:
                await self._well.wait()
            writer.write(data)
            await writer.drain()
