"""/v1/plugins/{name}/{version}/check: whether a plug-in passes the suite of the service's own algorithms."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from tuning_service.api.deps import PluginChecks, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Out, moment
from tuning_service.manager.plugin_checks import PluginCheck

router = APIRouter(prefix="/v1/plugins/{name}/{version}/check", tags=["plug-ins"])


class CheckResultOut(Out):
    name: str = Field(description="What was checked", examples=["loads and suggests"])
    ok: bool
    detail: str = Field(description="What was wrong", examples=[""])


class PluginCheckOut(Out):
    at: datetime
    passed: bool = Field(description="All of them are right")
    results: list[CheckResultOut]

    @classmethod
    def of(cls, check: PluginCheck) -> "PluginCheckOut":
        results = [CheckResultOut(name=r.name, ok=r.ok, detail=r.detail) for r in check.results]
        return cls(at=moment(check.at), passed=check.passed, results=results)


@router.post("", responses=responses(403, 404, 409))
def check_plugin(name: str, version: str, who: Who, checks: PluginChecks) -> PluginCheckOut:
    """Run the suite that the service's own algorithms pass over a version that is ready; for seconds or minutes."""
    return PluginCheckOut.of(checks.check(who, name, version))


@router.get("", responses=responses(404))
def get_check(name: str, version: str, who: Who, checks: PluginChecks) -> PluginCheckOut:
    """Get the last result; 404 before the first check."""
    return PluginCheckOut.of(checks.last(who, name, version))
