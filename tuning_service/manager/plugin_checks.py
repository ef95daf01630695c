"""PluginCheckMgr: the suite that the service's own algorithms pass, run over a stored plug-in."""

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import Conflict, GiveUp, NotFound, TryAgain
from tuning_service.domain.plugin import Plugin, PluginStatus
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import Role
from tuning_service.domain.texts import storable
from tuning_service.manager.plugin_mgr import PluginMgr
from tuning_service.search.host import AlgorithmFailed
from tuning_service.search.plugins.cache import PluginCache
from tuning_service.search.plugins.check import CheckResult, conformance, try_out
from tuning_service.search.plugins.limits import PluginLimits
from tuning_service.search.plugins.manifest import Manifest
from tuning_service.storage.artifacts import ArtifactStore

_MOST_DETAIL = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCheck:
    """What came of it, in the order of the checks."""

    at: float
    results: Sequence[CheckResult]

    @property
    def passed(self) -> bool:
        """All of them."""
        return all(result.ok for result in self.results)


class PluginCheckMgr:
    """One check at a time in this process. The last result stays with the plug-in. Safe from any thread."""

    def __init__(
        self,
        plugins: PluginMgr,
        artifacts: ArtifactStore,
        cache: PluginCache,
        *,
        limits: PluginLimits,
        clock: Clock = system_clock,
    ) -> None:
        self._plugins = plugins
        self._artifacts = artifacts
        self._cache = cache
        self._limits = limits
        self._clock = clock
        self._busy = threading.Lock()

    def check(self, principal: Principal, name: str, version: str) -> PluginCheck:
        """Its result, after seconds, or minutes for a slow algorithm: as long as the deployment lets one answer take.

        Raises:
            NotFound
            Conflict: it is not installed.
            TryAgain: another one is being checked.
        """
        principal.require(Role.MEMBER)
        plugin = self._plugins.plugin(principal, name, version)
        if plugin.status is not PluginStatus.READY:
            raise Conflict(f"This plug-in is {plugin.status}; what is ready can be checked.")
        if not self._busy.acquire(blocking=False):
            raise TryAgain("Another plug-in is being checked.", retry_after_s=5)
        try:
            done = PluginCheck(at=self._clock(), results=self._results(plugin))
        finally:
            self._busy.release()
        self._artifacts.put_plugin_check(plugin.tenant_id, plugin.digest, json.dumps(asdict(done)).encode())
        return done

    def last(self, principal: Principal, name: str, version: str) -> PluginCheck:
        """Of the last time. Raises NotFound, also when it was never checked."""
        plugin = self._plugins.plugin(principal, name, version)
        data = json.loads(self._artifacts.plugin_check(plugin.tenant_id, plugin.digest))
        return PluginCheck(at=data["at"], results=[CheckResult(**result) for result in data["results"]])

    def _results(self, plugin: Plugin) -> list[CheckResult]:
        manifest = Manifest.from_json(plugin.manifest)
        try:
            prepared = self._cache.prepare(
                manifest, plugin.digest, lambda: self._artifacts.plugin(plugin.tenant_id, plugin.digest)
            )
        except (GiveUp, NotFound) as error:
            return [CheckResult(name="requirements", ok=False, detail=error.message)]
        try:
            try_out(prepared, self._limits)
        except AlgorithmFailed as error:
            detail = "\n".join(filter(None, [error.message, error.explanation]))
            return [CheckResult(name="loads and suggests", ok=False, detail=detail)]
        # The suite is written for today's interface.
        more = conformance(prepared, self._limits) if manifest.interface == "hpt" else ()
        return [CheckResult(name="loads and suggests", ok=True), *map(_shortened, more)]


def _shortened(result: CheckResult) -> CheckResult:
    """What the plug-in's process says of itself, as it can be stored and shown."""
    detail = storable(result.detail[:_MOST_DETAIL])
    return CheckResult(name=storable(result.name[:200]), ok=result.ok, detail=detail)
