"""/v1/plugins/{name}/{version}/check: whether a plug-in passes the suite of the service's own algorithms."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from tuning_service.api.deps import PluginChecks, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Out, moment_or_none
from tuning_service.manager.plugin_checks import PluginCheck

router = APIRouter(prefix="/v1/plugins/{name}/{version}/check", tags=["plug-ins"])


class CheckResultOut(Out):
    name: str = Field(description="What was checked", examples=["loads and suggests"])
    ok: bool
    detail: str = Field(description="What was wrong", examples=[""])


class PluginCheckOut(Out):
    at: datetime | None = Field(description="When the last result came; null before the first one")
    passed: bool = Field(description="There is a result, and all of it is right")
    results: list[CheckResultOut]
    running_since: datetime | None = Field(description="A check runs since then, on any manager; null: none does")
    interrupted: bool = Field(description="A later check ended without a result, with the manager that ran it")

    @classmethod
    def of(cls, check: PluginCheck) -> "PluginCheckOut":
        return cls(
            at=moment_or_none(check.at),
            passed=check.passed,
            results=[CheckResultOut(name=r.name, ok=r.ok, detail=r.detail) for r in check.results],
            running_since=moment_or_none(check.running_since),
            interrupted=check.interrupted,
        )


@router.post("", responses=responses(403, 404, 409))
def check_plugin(name: str, version: str, who: Who, checks: PluginChecks) -> PluginCheckOut:
    """Run the suite that the service's own algorithms pass over a version that is ready; for seconds or minutes.

    It goes on when the connection is lost; GET tells of it.
    """
    return PluginCheckOut.of(checks.check(who, name, version))


@router.get("", responses=responses(404))
def get_check(name: str, version: str, who: Who, checks: PluginChecks) -> PluginCheckOut:
    """Get the last result, and whether a check runs; 404 before the first check."""
    return PluginCheckOut.of(checks.last(who, name, version))
