"""What so many open pages ask of a service, without browsers, which would need more of the machine than the service.

A watcher of ours does what static/live.js does: it follows the stream and asks for the page's changed parts. One of
optuna-dashboard asks for the study's new trials every ten seconds, as its pages do by default.
"""

import asyncio
import itertools
import multiprocessing
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from benchmarks.portal.live import Step
from benchmarks.portal.servers import Server

_PEER_PERIOD_S = 10.0
_GAP_S = 0.4


def watched(server: Server, step: Step, kind: str, where: Mapping[str, str], *, count: int, seconds: float) -> Any:
    """Cores that the server uses while `count` watch and something changes once a second, and while nothing does."""
    context = multiprocessing.get_context("spawn")
    updates, errors = context.Value("q", 0), context.Value("q", 0)
    process = context.Process(target=_run, args=(server.url, kind, dict(where), count, updates, errors))
    process.start()
    try:
        time.sleep(8)  # all have begun
        quiet = _cores(server, seconds / 2)
        stop = threading.Event()
        acting = threading.Thread(target=_act, args=(step, stop))
        before, memory = updates.value, server.rss_mib()
        acting.start()
        try:
            busy = _cores(server, seconds)
        finally:
            stop.set()
            acting.join()
        if not process.is_alive():
            raise RuntimeError("the watchers gave up; what they say stands above")
        return {
            "watchers": count,
            "cores_one_update_a_second": round(busy, 3),
            "cores_quiet": round(quiet, 3),
            "answers_per_watcher_and_s": round((updates.value - before) / count / seconds, 2),
            "errors": errors.value,
            "server_rss_mib": round(memory, 1),
        }
    finally:
        process.terminate()
        process.join()


def _cores(server: Server, seconds: float) -> float:
    cpu, began = server.cpu_s(), time.monotonic()
    time.sleep(seconds)
    return (server.cpu_s() - cpu) / (time.monotonic() - began)


def _act(step: Step, stop: threading.Event) -> None:
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        step()
        due += 1


def _run(url: str, kind: str, where: dict[str, str], count: int, updates: Any, errors: Any) -> None:
    async def all_of_them() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
            await asyncio.gather(
                *(_KINDS[kind](client, where, number / count, updates, errors) for number in range(count))
            )

    asyncio.run(all_of_them())


async def _ours(client: httpx.AsyncClient, where: dict[str, str], share: float, updates: Any, errors: Any) -> None:
    await asyncio.sleep(3 * share)
    if not client.cookies:  # they share one session, which costs as much as 50
        answer = await client.post("/v1/session", json={"key": where["key"]})
        answer.raise_for_status()
    changed = asyncio.Event()
    version = ""

    async def ask() -> None:
        tag = ""
        while True:
            await changed.wait()
            changed.clear()
            headers = {"X-Live": "1", "X-Version": version} | ({"If-None-Match": tag} if tag else {})
            answer = await client.get(where["page"], headers=headers)
            tag = answer.headers.get("etag", "")
            _count(updates if answer.status_code in {200, 304} else errors)
            await asyncio.sleep(_GAP_S)

    asking = asyncio.create_task(ask())
    async with client.stream("GET", f"/live/{where['topic']}") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                version = line[6:]
                changed.set()
    asking.cancel()


async def _peer(client: httpx.AsyncClient, where: dict[str, str], share: float, updates: Any, errors: Any) -> None:
    await asyncio.sleep(_PEER_PERIOD_S * share)
    for _ in itertools.count():
        try:
            answer = await client.get(where["api"])
            _count(updates if answer.status_code == httpx.codes.OK else errors)
        except httpx.TimeoutException:
            _count(errors)
        await asyncio.sleep(_PEER_PERIOD_S)


def _count(what: Any) -> None:
    with what.get_lock():
        what.value += 1


_KINDS: dict[str, Callable[..., Awaitable[None]]] = {"ours": _ours, "optuna-dashboard": _peer}
