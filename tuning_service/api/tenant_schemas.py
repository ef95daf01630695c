"""Tenants in requests and answers."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tuning_service.api.schemas import Out, moment
from tuning_service.domain.principal import QUOTAS, Tenant, Usage


class TenantChange(BaseModel):
    """What an operator may change of a tenant; what is left out stays, and null is no limit."""

    max_parallel: int = Field(4, description="Trials in parallel over all its jobs", le=2**31 - 1)
    weight: float = Field(1.0, description="Its part of contended slots: two tenants at 3 and 1 get them 3 to 1")
    max_gpus: float | None = Field(None, description="GPUs in use at once over all its jobs")
    max_gpu_hours: float | None = Field(None, description="GPU-hours in a calendar month, UTC")
    max_jobs: int | None = Field(None, description="Jobs that have not ended", le=2**31 - 1)
    max_storage_bytes: int | None = Field(None, description="Bytes of programs, plug-ins, logs and artifacts", le=2**62)
    max_requests_per_s: float | None = Field(None, description="Requests a second, at each manager process")

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"weight": 3, "max_parallel": 16, "max_gpu_hours": 500}]}
    )

    def given(self) -> dict[str, Any]:
        """The fields that the request has."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class TenantIn(TenantChange):
    name: str = Field(examples=["vision"])

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "vision", "max_parallel": 8, "weight": 2}]}
    )

    def quotas(self) -> dict[str, Any]:
        """All but the name."""
        return {name: getattr(self, name) for name in QUOTAS}


class TenantOut(Out):
    id: str = Field(examples=["ten_01k9b0m3r1x5v7t2c4n6p8q0sw"])
    name: str = Field(examples=["vision"])
    created_at: datetime
    max_parallel: int = Field(examples=[8])
    weight: float
    max_gpus: float | None = Field(description="null: no limit, here and below")
    max_gpu_hours: float | None
    max_jobs: int | None
    max_storage_bytes: int | None
    max_requests_per_s: float | None

    @classmethod
    def of(cls, tenant: Tenant) -> "TenantOut":
        return cls(**_tenant_fields(tenant))


class UsageOut(Out):
    """What a tenant uses now, and has used since the calendar month began (UTC)."""

    parallel: int = Field(description="Trials that run", examples=[4])
    gpus: float = Field(description="GPUs that they hold")
    gpu_hours: float = Field(description="This month, of what runs too")
    cpu_hours: float = Field(description="The same for CPUs")
    cost: float = Field(description="Of the GPU-hours, at the prices of their pools")
    tasks: int = Field(description="Executions that ended this month")
    jobs: int = Field(description="Jobs that have not ended")
    storage_bytes: int = Field(description="Programs, plug-ins, logs and artifacts")


class TenantDetail(TenantOut):
    usage: UsageOut

    @classmethod
    def with_usage(cls, tenant: Tenant, usage: Usage) -> "TenantDetail":
        return cls(usage=UsageOut(**asdict(usage)), **_tenant_fields(tenant))


def _tenant_fields(tenant: Tenant) -> dict[str, Any]:
    return asdict(tenant) | {"created_at": moment(tenant.created_at)}
