"""Executors on which different trials die the same way, while others are well: they are left out for a time."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from tuning_service.compute.base import Capacity
from tuning_service.domain.pool import SERVICE, Cordon
from tuning_service.storage.cordons import Death, Life, Parked
from tuning_service.storage.store import Store

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

DEATHS = 3  # different configurations that died the same way, with no success between
WINDOW_S = 1800.0  # how far back is looked
CORDON_S = 1800.0  # how long an executor is left out
PARKED_S = 20.0  # a slot of which no runner has said for so long that it holds it is free


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """An executor that should be left out."""

    host: str
    way: str
    count: int  # of configurations that died so


def suspects(
    deaths: Sequence[Death], lives: Collection[Life], judged_from: Mapping[str, float] | None = None
) -> list[Suspect]:
    """Executors on which `DEATHS` configurations died in one way, none succeeded between, and others are well.

    Others are well where a program came to its own end since, or has run for longer than those that died; when as many
    saw such deaths themselves, it is no matter of one executor. What was before `judged_from`, by host, is forgiven.
    """
    start = judged_from or {}
    by_way: defaultdict[tuple[str, str], list[Death]] = defaultdict(list)
    for death in deaths:
        if death.at > start.get(death.host, 0.0):
            by_way[death.host, death.way].append(death)
    last_success = {life.host: 0.0 for life in lives}
    for life in lives:
        if life.succeeded:
            last_success[life.host] = max(last_success[life.host], life.at)
    found: dict[str, Suspect] = {}
    for (host, way), died in by_way.items():
        row = [death for death in died if death.at > last_success.get(host, 0.0)]
        count = len({death.configuration for death in row})
        if count < DEATHS:
            continue
        first, longest = min(d.at for d in row), max(d.ran_s for d in row)
        well = {life.host for life in lives if life.at >= first and (not life.running or life.ran_s > longest)}
        ill = {death.host for death in deaths if death.way == way and death.at >= first}
        if len(well - ill) > len(ill - {host}):
            found[host] = Suspect(host=host, way=way, count=count)
    return list(found.values())


def leave_out(store: Store, pool: str, now: float) -> None:
    """Cordon the executors of the pool that are suspect."""
    since = now - WINDOW_S
    with store.read() as unit:
        deaths = unit.cordons.deaths(pool, since)
        if len(deaths) < DEATHS:
            return
        lives = unit.cordons.lives(pool, since, now)
        before = {c.host: c for c in unit.cordons.of_pool(pool)}
    judged_from = {host: min(c.ends_at or now, now) for host, c in before.items()}
    for suspect in suspects(deaths, lives, judged_from):
        if suspect.host in before and before[suspect.host].holds(now):
            continue
        reason = f"{suspect.count} trials in a row ended there: {suspect.way}; other executors are well"
        cordon = Cordon(
            pool=pool, host=suspect.host, reason=reason, set_by=SERVICE, created_at=now, ends_at=now + CORDON_S
        )
        with store.write() as unit:
            unit.cordons.put(cordon)
        log.warning("executor is left out", pool=pool, host=cordon.host, reason=reason, minutes=CORDON_S / 60)


def without(capacity: Capacity, parked: Collection[Parked]) -> Capacity:
    """What is left of the capacity beside slots that are held without a training."""
    cpus = sum(slot.cpus for slot in parked)
    gpus = sum(slot.gpus for slot in parked)
    return replace(capacity, cpus=max(0, capacity.cpus - cpus), gpus=max(0, int(capacity.gpus - gpus + 1e-9)))


def why_none(cordons: Collection[Cordon], parked: Collection[Parked]) -> str:
    """What a job is told when all slots that it could have are held on executors that are left out."""
    hosts = {slot.host for slot in parked}
    told = "; ".join(f"{c.host} ({c.reason})" if c.reason else c.host for c in cordons if c.host in hosts)
    return f"Waits: the executors that are free are cordoned: {told or ', '.join(sorted(hosts))}."
