"""Compute pools: named Spark clusters that jobs run on, and the controllers that serve them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tuning_service.domain.errors import FieldProblem
from tuning_service.domain.texts import is_storable, storable

DEFAULT_POOL = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_HOSTS = r"[^/\s,\0]+:\d{1,5}"
_MASTER = re.compile(rf"local(\[([1-9]\d{{0,5}}|\*)(,\d+)?\])?|spark://{_HOSTS}(,{_HOSTS})*|yarn|k8s://[!-~]+")
_LAST_PORT = 65_535
_MOST = 1_000_000  # of slots, of CPUs and GPUs in one, of money for an hour
# A controller that was not heard of for so many of its leases is gone.
SILENT_LEASES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A Spark master with what has to be known of it.

    What the pool has is asked of Spark, unless `slots` is stated: as for clusters that start executors on demand and
    have none before. A stated slot has `cpus_per_slot` and `gpus_per_slot`, the most that one trial can get.
    """

    name: str
    master: str
    conf: Mapping[str, str] = field(default_factory=dict)
    slots: int | None = None
    cpus_per_slot: int = 1
    gpus_per_slot: int = 0
    price: float = 0.0  # of a GPU for an hour, in the deployment's currency
    tenants: tuple[str, ...] | None = None  # ids of those that may use it; None: all
    drained: bool = False  # starts no further trials; what runs goes on
    created_at: float

    @property
    def stated(self) -> tuple[int, int] | None:
        """CPUs and GPUs in all, as stated; None when Spark is to be asked."""
        return None if self.slots is None else (self.slots * self.cpus_per_slot, self.slots * self.gpus_per_slot)

    def admits(self, tenant_id: str) -> bool:
        """True when the tenant may use it."""
        return self.tenants is None or tenant_id in self.tenants


# What an operator may change of a pool, beside who may use it.
POOL_FIELDS = ("master", "conf", "slots", "cpus_per_slot", "gpus_per_slot", "price", "tenants", "drained")


def pool_problems(pool: Pool) -> list[FieldProblem]:
    """What is wrong with a pool's description, as far as it can be told without the cluster."""
    problems = []
    if not _NAME.fullmatch(pool.name):
        remedy = "Use up to 63 lower-case letters, digits, dots, dashes and underscores."
        problems.append(FieldProblem(field="name", message=f"{pool.name!r} cannot be a name.", remedy=remedy))
    if not _is_master(pool.master):
        message = f"{pool.master!r} is no Spark master."
        remedy = "Use local[*], spark://host:7077, yarn or k8s://https://host:443."
        problems.append(FieldProblem(field="master", message=message, remedy=remedy))
    problems += _conf_problems(pool.conf)
    for name, least in (("slots", 1), ("cpus_per_slot", 1), ("gpus_per_slot", 0), ("price", 0)):
        value = getattr(pool, name)
        if value is None or (math.isfinite(value) and least <= value <= _MOST):
            continue
        message, remedy = f"must be at least {least}, not {value:g}.", "Raise it."
        if value > _MOST:
            message, remedy = f"must be at most {_MOST}, not {value:g}.", "Lower it."
        problems.append(FieldProblem(field=name, message=message, remedy=remedy))
    return problems


def _is_master(text: str) -> bool:
    ports = re.findall(r":(\d+)(?:,|$)", text) if text.startswith("spark:") else []
    return _MASTER.fullmatch(text) is not None and all(0 < int(port) <= _LAST_PORT for port in ports)


def _conf_problems(conf: Mapping[str, str]) -> list[FieldProblem]:
    """Names that Spark would pass over without a word, and what no database or command line can hold."""
    problems = []
    for name, value in conf.items():
        field_name = f"conf.{storable(name)[:80]}"
        if name == "spark.master":
            message, remedy = "is the pool's master.", "Say it in `master`."
        elif not re.fullmatch(r"spark\.\S+", name):
            message, remedy = "is no name of Spark's.", "Names begin with 'spark.', as in spark.executor.memory."
        elif not (is_storable(name) and is_storable(value)):
            message, remedy = "holds a character that cannot be stored.", "Remove NUL and halves of surrogate pairs."
        else:
            continue
        problems.append(FieldProblem(field=field_name, message=message, remedy=remedy))
    return problems


OPERATOR, SERVICE = "operator", "service"  # who can have set a cordon


@dataclass(frozen=True, slots=True, kw_only=True)
class Cordon:
    """An executor of a pool that gets no trials; what runs there goes on."""

    pool: str
    host: str  # as the executor calls itself: the `host` of tasks
    reason: str
    set_by: str
    created_at: float
    ends_at: float | None = None  # None: when an operator ends it

    def holds(self, now: float) -> bool:
        """False once it has ended."""
        return self.ends_at is None or self.ends_at > now


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSeen:
    """One controller process, as it last said of itself."""

    id: str
    pool: str
    version: str
    host: str
    pid: int
    started_at: float
    seen_at: float
    lease_s: float
    connected: bool  # to Spark
    problem: str = ""  # why it is not, or why it can run nothing all the same
    cpus: int = 0
    gpus: int = 0
    skew_s: float = 0.0  # by how much its machine's clock is ahead of the database's

    def is_alive(self, now: float) -> bool:
        """False when it has not been heard of for long."""
        return now - self.seen_at < SILENT_LEASES * self.lease_s
