"""A stored plug-in: a search algorithm that a tenant or the operator brought."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class PluginStatus(StrEnum):
    INSTALLING = "installing"  # its environment is made and it is tried out
    READY = "ready"
    FAILED = "failed"  # `reason` says why


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One version of a plug-in. Its content never changes."""

    id: str
    tenant_id: str | None  # None: the operator's, which all tenants see
    name: str
    version: str
    interface: str  # "hpt", or "dli" for the older one
    digest: str  # SHA-256 of its canonical archive
    bytes: int
    manifest: Mapping[str, Any]  # plugin.toml as JSON
    status: PluginStatus
    reason: str  # while it is installed: what is being done; when that failed: why, with many lines
    created_at: float
