"""PluginCheckMgr: the suite that the service's own algorithms pass, run over a stored plug-in."""

import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from tuning_service.domain.clock import Clock, now_and_then, system_clock
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
from tuning_service.storage.plugin_checks import WORD_S, StoredCheck
from tuning_service.storage.store import Store

_log = logging.getLogger(__name__)
_MOST_DETAIL = 4000
_MOST_RESULTS = 200  # the suite has a tenth of that; what a plug-in's process says is not to be trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCheck:
    """What came of the last one that had a result, in the order of the checks, and whether one runs now."""

    at: float | None = None  # None: there is no result yet
    results: Sequence[CheckResult] = field(default_factory=tuple)
    running_since: float | None = None
    interrupted: bool = False  # a later one ended without a result, with the process that it ran in

    @property
    def passed(self) -> bool:
        """There is a result, and all of it is right."""
        return self.at is not None and all(result.ok for result in self.results)


class PluginCheckMgr:
    """One check at a time in this process, and one of a plug-in in all. The last result stays with the plug-in.

    Safe from any thread.
    """

    def __init__(
        self,
        store: Store,
        plugins: PluginMgr,
        artifacts: ArtifactStore,
        cache: PluginCache,
        *,
        limits: PluginLimits,
        clock: Clock = system_clock,
    ) -> None:
        self._store = store
        self._plugins = plugins
        self._artifacts = artifacts
        self._cache = cache
        self._limits = limits
        self._clock = clock
        self._busy = threading.Lock()

    def check(self, principal: Principal, name: str, version: str) -> PluginCheck:
        """Its result, after seconds, or minutes for a slow algorithm: as long as the deployment lets one answer take.

        It goes on when nobody waits for it any more; `last` tells of it, on each manager.

        Raises:
            NotFound
            Conflict: it is not installed.
            TryAgain: it is being checked already, or this process checks another one.
        """
        principal.require(Role.MEMBER)
        plugin = self._plugins.plugin(principal, name, version)
        if plugin.status is not PluginStatus.READY:
            raise Conflict(f"This plug-in is {plugin.status}; only one that is ready can be checked.")
        if not self._busy.acquire(blocking=False):
            raise TryAgain("Another plug-in is being checked.", retry_after_s=5)
        try:
            return self._check(plugin)
        finally:
            self._busy.release()

    def last(self, principal: Principal, name: str, version: str) -> PluginCheck:
        """Of the last time, and of now. Raises NotFound, also when it was never checked."""
        plugin = self._plugins.plugin(principal, name, version)
        found = self.of([plugin])
        if not found:
            raise NotFound("This plug-in has not been checked yet.")
        return found[plugin.id]

    def of(self, plugins: Sequence[Plugin]) -> Mapping[str, PluginCheck]:
        """The same of several, by the ids of those that were ever checked."""
        with self._store.read() as unit:
            found = unit.plugin_checks.of([plugin.id for plugin in plugins])
        now = self._clock()
        return {plugin_id: _shown(stored, now) for plugin_id, stored in found.items()}

    def _check(self, plugin: Plugin) -> PluginCheck:
        run = uuid.uuid4().hex
        with self._store.write() as unit:
            if not unit.plugin_checks.claim(plugin.id, run, self._clock()):
                raise TryAgain("This plug-in is being checked already.", retry_after_s=5)
        results = None
        try:
            with now_and_then(lambda: self._keep_known(plugin.id, run), WORD_S, name="plugin-check"):
                results = self._results(plugin)
        finally:
            now = self._clock()
            with self._store.write() as unit:
                stored = None if results is None else [asdict(result) for result in results]
                unit.plugin_checks.end(plugin.id, run, now, stored)
        return PluginCheck(at=now, results=results)

    def _keep_known(self, plugin_id: str, run: str) -> None:
        """Others know that this process is still at it."""
        try:
            with self._store.write() as unit:
                unit.plugin_checks.goes_on(plugin_id, run, self._clock())
        except Exception:  # noqa: BLE001  # the database may be away; the next word may get through
            _log.warning("a check of a plug-in could not be kept known", exc_info=True)

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
        return [CheckResult(name="loads and suggests", ok=True), *map(_shortened, more[:_MOST_RESULTS])]


def _shown(stored: StoredCheck, now: float) -> PluginCheck:
    running = stored.is_running(now)
    return PluginCheck(
        at=stored.ended_at,
        results=[CheckResult(**result) for result in stored.results],
        running_since=stored.began_at if running else None,
        interrupted=stored.began_at is not None and not running,
    )


def _shortened(result: CheckResult) -> CheckResult:
    """What the plug-in's process says of itself, as it can be stored and shown."""
    detail = storable(result.detail[:_MOST_DETAIL])
    return CheckResult(name=storable(result.name[:200]), ok=result.ok, detail=detail)
