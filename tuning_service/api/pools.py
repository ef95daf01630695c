"""/v1/pools: the compute pools. Tenants see those they may use; operators see and change all."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response, status
from pydantic import BaseModel, ConfigDict, Field

from tuning_service.api.deps import IdempotencyKey, Pools, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.idempotency import Answer, Keep, answered_once
from tuning_service.api.schemas import Out, Page, moment, moment_or_none
from tuning_service.domain.pool import Cordon
from tuning_service.domain.state import Role
from tuning_service.manager.pool_mgr import HIDDEN, PoolView

router = APIRouter(prefix="/v1/pools", tags=["pools"])

_TEN_YEARS = 10 * 366 * 24 * 60  # in minutes
_SECRET = ("secret", "password", "token", "credential", "key")


class PoolChange(BaseModel):
    """What is left out stays."""

    master: str = Field("", description="local[*], spark://host:7077, yarn, k8s://…; at a controller's start")
    conf: dict[str, str] = Field({}, description="Spark configuration, all of it; at a controller's start")
    slots: int | None = Field(
        None, description="null: what Spark says. Stated for clusters that grow on demand", le=2**31 - 1
    )
    cpus_per_slot: int = Field(1, description="Of a stated slot: most that one trial can get", le=2**31 - 1)
    gpus_per_slot: int = Field(0, description="The same for GPUs", le=2**31 - 1)
    price: float = Field(0.0, description="Of a GPU for an hour")
    tenants: list[str] | None = Field(None, description="Names or ids of those that may use it; null: all")
    drained: bool = Field(False, description="true: no further trial starts; what runs goes on")

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"price": 2.5, "drained": True}]})

    def given(self) -> dict[str, Any]:
        """The fields that the request has."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"name"}}


class PoolIn(PoolChange):
    name: str = Field(examples=["h100"])
    master: str = Field(examples=["spark://spark:7077"])

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "h100", "master": "spark://spark:7077", "price": 2.5}]}
    )


class ControllerOut(Out):
    id: str
    version: str = Field(examples=["0.1.0"])
    host: str = Field(examples=["node1"])
    pid: int
    started_at: datetime
    seen_at: datetime
    connected: bool = Field(description="To Spark")
    problem: str
    cpus: int
    gpus: int
    skew_s: float = Field(description="By how much the clock of its machine is ahead of the database's")


class CordonIn(BaseModel):
    reason: str = Field("", max_length=500, examples=["its disk is being replaced"])
    minutes: float | None = Field(
        None, gt=0, le=_TEN_YEARS, allow_inf_nan=False, description="null: until it is uncordoned"
    )

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "new disk", "minutes": 60}]})


_NO_WISH = CordonIn(reason="", minutes=None)


class CordonOut(Out):
    host: str = Field(examples=["node7"])
    reason: str
    set_by: str = Field(description="operator, or service: trials died there in one way", examples=["operator"])
    created_at: datetime
    ends_at: datetime | None = Field(description="null: when it is uncordoned")

    @classmethod
    def of(cls, cordon: Cordon) -> "CordonOut":
        same = {name: getattr(cordon, name) for name in ("host", "reason", "set_by")}
        return cls(created_at=moment(cordon.created_at), ends_at=moment_or_none(cordon.ends_at), **same)


class NewCordonOut(CordonOut):
    note: str = Field("", description="Where trials ran lately, when none ran there: the host may be called otherwise")


class PoolOut(Out):
    name: str = Field(examples=["h100"])
    cpus: int = Field(description="In all, used or not")
    gpus: int
    slots: int | None = Field(description="As stated; null: Spark is asked")
    cpus_per_slot: int
    gpus_per_slot: int
    price: float
    drained: bool
    trouble: str = Field(description='Why no trial can start now; "" when one can')
    master: str | None = Field(None, description="For operators, as what follows")
    conf: dict[str, str] | None = Field(None, description="Values of secrets are not shown")
    tenants: list[str] | None = Field(None, description="Ids; null: all may use it")
    controllers: list[ControllerOut] | None = None
    cordons: list[CordonOut] | None = Field(None, description="Executors that get no trials")

    @classmethod
    def of(cls, view: PoolView, *, for_operator: bool) -> "PoolOut":
        """What tenants see, and more for an operator."""
        pool = view.pool
        same = ("name", "slots", "cpus_per_slot", "gpus_per_slot", "price", "drained")
        fields: dict[str, Any] = {name: getattr(pool, name) for name in same}
        if for_operator:
            fields |= {
                "master": pool.master,
                "conf": {name: _shown(name, value) for name, value in pool.conf.items()},
                "tenants": None if pool.tenants is None else list(pool.tenants),
                "controllers": [_controller(c) for c in view.controllers],
                "cordons": [CordonOut.of(cordon) for cordon in view.cordons],
            }
        return cls(cpus=view.cpus, gpus=view.gpus, trouble=view.trouble, **fields)


def _shown(name: str, value: str) -> str:
    return HIDDEN if any(word in name.lower() for word in _SECRET) else value


def _controller(seen: Any) -> ControllerOut:
    same = ("id", "version", "host", "pid", "connected", "problem", "cpus", "gpus", "skew_s")
    fields = {name: getattr(seen, name) for name in same}
    return ControllerOut(started_at=moment(seen.started_at), seen_at=moment(seen.seen_at), **fields)


def _out(who: Who, view: PoolView) -> PoolOut:
    return PoolOut.of(view, for_operator=who.role is Role.OPERATOR)


@router.get("", responses=responses())
def list_pools(who: Who, pools: Pools) -> Page[PoolOut]:
    """List the pools that jobs may name."""
    return Page(items=[_out(who, view) for view in pools.pools(who)])


@router.post("", status_code=status.HTTP_201_CREATED, response_model=PoolOut, responses=responses(403, 409, 422))
def create_pool(
    wish: PoolIn, who: Who, pools: Pools, tuning: Tuning, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a pool; operators only. Start a controller with `--pool NAME` to serve it."""

    def create(_keep: Keep) -> Answer:
        made = _out(who, pools.create(who, wish.name, **wish.given()))
        return status.HTTP_201_CREATED, made.model_dump_json()

    return answered_once(tuning, who, idempotency_key, ["POST /v1/pools", wish.model_dump(mode="json")], create)


@router.get("/{name}", responses=responses(404))
def get_pool(name: str, who: Who, pools: Pools) -> PoolOut:
    """One pool."""
    return _out(who, pools.pool(who, name))


@router.patch("/{name}", responses=responses(403, 404, 422))
def change_pool(name: str, change: PoolChange, who: Who, pools: Pools) -> PoolOut:
    """Change or drain a pool; operators only. Master and conf count from a controller's next start, the rest now."""
    return _out(who, pools.change(who, name, **change.given()))


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT, responses=responses(403, 404, 409))
def delete_pool(name: str, who: Who, pools: Pools) -> None:
    """Forget a pool in which no unfinished job is; operators only."""
    pools.delete(who, name)


@router.put("/{name}/cordons/{host}", responses=responses(403, 404, 422))
def cordon_executor(name: str, host: str, who: Who, pools: Pools, wish: CordonIn = _NO_WISH) -> NewCordonOut:
    """Give an executor no further trials; what runs there goes on. Operators only; again: another reason or time."""
    cordon, note = pools.cordon(who, name, host, reason=wish.reason, minutes=wish.minutes)
    return NewCordonOut(note=note, **CordonOut.of(cordon).model_dump())


@router.delete("/{name}/cordons/{host}", status_code=status.HTTP_204_NO_CONTENT, responses=responses(403, 404))
def uncordon_executor(name: str, host: str, who: Who, pools: Pools) -> None:
    """Give an executor trials again; operators only."""
    pools.uncordon(who, name, host)
