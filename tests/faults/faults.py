"""What may happen to a deployment, and how it is mended again."""

import contextlib
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tests.faults.world import LEASE_S, SILENT_S, Seat, World
from tests.spark_cluster import descendants

Mend = Callable[[], None]
_FREE_BYTES = 2**12


@dataclass(frozen=True)
class Fault:
    """One entry of a plan. Everything about it comes from the plan's seed."""

    kind: str
    after_s: float  # since the one before was over
    lasts_s: float
    which: int  # of several processes: this one, modulo how many there are
    overlaps: bool  # the next one comes before everything is well again

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


# How often a kind comes, and how long it lasts, in seconds. What sleeps does so for longer than it is waited for.
_KINDS: dict[str, tuple[int, float, float]] = {
    "kill manager": (8, 0.5, 4.0),
    "kill both managers": (3, 0.5, 4.0),
    "kill controller": (8, 0.5, 1.5 * LEASE_S),
    "kill executor": (8, 0.0, 0.0),
    "kill runner": (8, 0.0, 0.0),
    "kill worker": (4, 0.5, 4.0),
    "kill master": (3, 0.5, 4.0),
    "kill forgetful master": (1, 0.5, 2.0),
    "kill database": (8, 0.5, 5.0),
    "stop manager": (6, 3.0, 9.0),
    "stop all managers": (2, SILENT_S + 3, SILENT_S + 5),
    "stop controller": (6, 1.2 * LEASE_S, 2 * LEASE_S),
    "stop controller and driver": (5, 1.2 * LEASE_S, 2 * LEASE_S),
    "stop executor": (5, 2.0, 8.0),
    "stop runner": (5, SILENT_S + 2, SILENT_S + 4),
    "stop worker": (3, 9.0, 12.0),
    "stop master": (3, 3.0, 8.0),
    "stop database": (5, 1.2 * LEASE_S, 2 * LEASE_S),
    "stop database for long": (1, SILENT_S + 3, SILENT_S + 5),
    "cut refuse": (6, 2.0, 8.0),
    "cut silent": (6, 2.0, 8.0),
    "cut silent for long": (2, SILENT_S + 2, SILENT_S + 4),
    "cut deaf": (6, 2.0, 8.0),
    "cut spark": (4, 2.0, 8.0),
    "fill disk": (5, 2.0, 6.0),
}
# While these last, no runner can be heard, and so none is to be counted as lost for its silence.
UNHEARD = frozenset({"stop all managers", "kill both managers", "stop database for long"})


def plan(seed: int, count: int, kinds: Iterable[str] = tuple(_KINDS)) -> list[Fault]:
    """The same for the same seed. Each kind comes once before chance decides."""
    rng = random.Random(seed)
    kinds = list(kinds)
    order = rng.sample(kinds, len(kinds))
    weights = [_KINDS[kind][0] for kind in kinds]
    order += rng.choices(kinds, weights, k=max(0, count - len(order)))
    return [
        Fault(
            kind=kind,
            after_s=round(rng.uniform(0.2, 2.0), 2),
            lasts_s=round(rng.uniform(*_KINDS[kind][1:]), 2),
            which=rng.randrange(1000),
            overlaps=rng.random() < 0.25,
        )
        for kind in order[:count]
    ]


def inject(fault: Fault, world: World) -> Mend | None:
    """Let it happen; the function that ends it. None: there is nothing now that it could happen to."""
    what, _, whom = fault.kind.partition(" ")
    if what == "cut":
        how = whom.partition(" ")[0]
        if how == "spark" and world.network is None:
            return None
        world.cut(how)
        return lambda: world.cut("")
    if what == "fill":
        return _fill_disk(world)
    if what == "kill":
        return _kill(whom, fault, world)
    return _stop(_victims(whom, fault, world))


def _kill(whom: str, fault: Fault, world: World) -> Mend | None:
    if whom == "database":
        world.database.kill()
        return world.database.start_again
    if whom in {"manager", "controller", "both managers"}:
        seats = world.managers if whom == "both managers" else [_seat(whom, fault, world)]
        _signal([seat.process.pid for seat in seats if seat.process], signal.SIGKILL)
        for seat in seats:
            assert seat.process is not None
            seat.process.wait()
        return lambda: [world.begin(seat) for seat in seats] and None
    if whom in {"worker", "master", "forgetful master"}:
        number = 1 + fault.which % 2 if whom == "worker" else 0
        _signal([world.cluster.daemon(number).pid], signal.SIGKILL)
        if whom == "forgetful master":
            shutil.rmtree(world.recovery, ignore_errors=True)
        return lambda: world.cluster.start_again(number)
    victims = _victims(whom, fault, world)
    _signal(victims, signal.SIGKILL)
    return (lambda: None) if victims else None


def _seat(whom: str, fault: Fault, world: World) -> Seat:
    return (world.managers if whom == "manager" else world.controllers)[fault.which % 2]


def _victims(whom: str, fault: Fault, world: World) -> list[int]:
    if whom == "all managers":
        return [seat.process.pid for seat in world.managers if seat.process]
    if whom in {"manager", "controller", "controller and driver"}:
        pids = _seat(whom.partition(" ")[0], fault, world).pids
        return pids if whom == "controller and driver" else pids[:1]
    if whom in {"worker", "master"}:
        return [world.cluster.daemon(1 + fault.which % 2 if whom == "worker" else 0).pid]
    if whom.startswith("database"):
        return [world.database.pid, *descendants(world.database.pid)]
    found = world.executors() if whom == "executor" else world.runners()
    return [found[fault.which % len(found)]] if found else []


def _stop(pids: list[int]) -> Mend | None:
    _signal(pids, signal.SIGSTOP)
    return (lambda: _signal(pids, signal.SIGCONT)) if pids else None


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _fill_disk(world: World) -> Mend | None:
    """Executors' work folder has room for nothing."""
    if not world.has_small_disk:
        return None
    path = world.work / "full"
    with path.open("wb", buffering=0) as file:
        for piece in _pieces():
            try:
                while file.write(piece) == len(piece):
                    pass
            except OSError:
                continue
    return lambda: path.unlink(missing_ok=True)


def _pieces() -> Iterator[bytes]:
    size = 2**20
    while size >= _FREE_BYTES:
        yield bytes(size)
        size //= 4
