"""PluginMgr: search algorithms that tenants upload, and those in the operator's folder."""

import contextlib
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import (
    Conflict,
    FieldProblem,
    GiveUp,
    InvalidRequest,
    NotFound,
    TooLarge,
    TryAgain,
    TuningError,
)
from tuning_service.domain.plugin import Plugin, PluginStatus
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import Role
from tuning_service.manager.quotas import check_storage
from tuning_service.search.base import algorithms
from tuning_service.search.host import AlgorithmFailed
from tuning_service.search.plugins import archive
from tuning_service.search.plugins.cache import PluginCache
from tuning_service.search.plugins.check import try_out
from tuning_service.search.plugins.limits import PluginLimits
from tuning_service.search.plugins.manifest import Manifest
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.plugins import PluginRows, plugin_id
from tuning_service.storage.store import Store
from tuning_service.storage.tenant_scope import TenantScope

_log = logging.getLogger(__name__)
MAX_BYTES = archive.LIMITS.total_bytes  # of an upload
_INSTALLERS = 2  # at once in this process
_MOST_REASON = 8000


class PluginMgr:
    """Upload, list, delete. What takes long happens in threads of its own. Safe from any thread."""

    def __init__(
        self,
        store: Store,
        artifacts: ArtifactStore,
        cache: PluginCache,
        *,
        limits: PluginLimits,
        install_s: float = 600.0,
        clock: Clock = system_clock,
    ) -> None:
        """An installation that lasts for longer than `install_s` has died with the process that it ran in."""
        self._store = store
        self._artifacts = artifacts
        self._cache = cache
        self._limits = limits
        self._install_s = install_s
        self._clock = clock
        self._threads = ThreadPoolExecutor(_INSTALLERS, thread_name_prefix="plugins")
        self._under_way: set[tuple[str, str]] = set()  # id and digest: a version may be replaced meanwhile
        self._lock = threading.Lock()

    # -- tenants

    def upload(self, principal: Principal, data: bytes, *, name: str = "", version: str = "") -> Plugin:
        """The stored plug-in, which is being installed and tried out, or was before: the same content is stored once.

        `name` and `version` are for archives of the older interface, which do not tell.

        Raises:
            InvalidRequest: the archive or its plugin.toml cannot be accepted, or the name is taken.
            Conflict: this version is stored with other content.
            TooLarge
            OverQuota: the tenant's quota of storage is used up.
        """
        principal.require(Role.MEMBER)
        if len(data) > MAX_BYTES:
            raise TooLarge(f"A plug-in may have at most {MAX_BYTES} bytes as an archive; this one has {len(data)}.")
        packed = archive.read(data, name=name, version=version)
        _check_name(packed.manifest)
        plugin = self._made(principal.tenant_id, packed)
        # Bytes before the row: a row without its bytes would be found by a controller, bytes without a row by nobody.
        self._artifacts.put_plugin(plugin.tenant_id, plugin.digest, packed.data)
        try:
            with self._store.write() as unit:
                plugin = self._added(unit.for_tenant(principal), plugin, packed.manifest)
        except TuningError:
            self._drop_unused(principal, plugin.digest)
            raise
        if not self._artifacts.has_plugin(plugin.tenant_id, plugin.digest):
            # Deleted between the two steps above; any deletion from here on takes the row along.
            self._artifacts.put_plugin(plugin.tenant_id, plugin.digest, packed.data)
        if plugin.status is PluginStatus.INSTALLING:
            self._install_soon(plugin)
        return plugin

    def _added(self, scope: TenantScope, plugin: Plugin, manifest: Manifest) -> Plugin:
        """The row that is there from now on: the plug-in's, or the one of before."""
        tenant, rows = scope.lock(), scope.plugins
        self._refuse_operators_name(rows, manifest)
        known = rows.own(plugin.name, plugin.version)
        if known is None:
            check_storage(scope, tenant, plugin.bytes)
            rows.add(plugin)
            return plugin
        if known.digest != plugin.digest:
            raise Conflict(
                f"{plugin.name} {plugin.version} is stored with other content; raise the version in plugin.toml."
            )
        if known.status is PluginStatus.FAILED:
            # What failed may have been a registry that was away.
            rows.set_status(known, PluginStatus.INSTALLING, "")
            return replace(known, status=PluginStatus.INSTALLING, reason="")
        return known

    def _drop_unused(self, principal: Principal, digest: str) -> None:
        """Delete the bytes unless a row has them: what is refused or deleted takes no room.

        In a transaction of its own, for one that may still be rolled back would keep a row without its bytes.
        """
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            scope.lock()  # so nobody adds a row meanwhile
            if not scope.plugins.is_used(digest):
                self._artifacts.delete_plugin(principal.tenant_id, digest)

    def plugins(self, principal: Principal, name: str | None = None) -> Sequence[Plugin]:
        """The tenant's and the operator's, by name, oldest first. Raises NotFound for a `name` that there is not."""
        with self._store.read() as unit:
            found = unit.for_tenant(principal).plugins.visible(name)
        if name is not None and not found:
            raise NotFound(f"There is no plug-in {name!r}.")
        return found

    def plugin(self, principal: Principal, name: str, version: str) -> Plugin:
        """Raises NotFound."""
        for plugin in self.plugins(principal, name):
            if plugin.version == version:
                return plugin
        raise NotFound(f"There is no version {version!r} of plug-in {name!r}.")

    def delete(self, principal: Principal, name: str, version: str) -> None:
        """This version is gone; the operator's cannot be deleted here.

        Raises:
            NotFound
            Conflict: a job that has not ended uses it, or it is the operator's.
        """
        principal.require(Role.MEMBER)
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            scope.lock()
            rows = scope.plugins
            plugin = next((p for p in rows.visible(name) if p.version == version), None)
            if plugin is None:
                raise NotFound(f"There is no version {version!r} of plug-in {name!r}.")
            if plugin.tenant_id is None:
                raise Conflict("This plug-in is the operator's, for all tenants.")
            rows.delete(plugin)
        self._drop_unused(principal, plugin.digest)
        self._tidy_soon()

    def _refuse_operators_name(self, rows: PluginRows, manifest: Manifest) -> None:
        if any(p.tenant_id is None for p in rows.visible(manifest.name)):
            message = f"{manifest.name!r} is the name of a plug-in of the operator's."
            raise InvalidRequest(FieldProblem(field="plugin.toml.name", message=message, remedy="Choose another one."))

    # -- the operator

    def start(self, folder: Path, *, alone: bool) -> None:
        """Take up the plug-ins in the operator's `folder`, and installations that an earlier process left behind.

        Each is a folder, zip or tar. One that is broken is logged and listed with its error; those that are there no
        more are forgotten, unless a job uses them. `alone`: no other process can be at an installation.
        """
        with self._store.read() as unit:
            left = unit.plugins_of(None).installing(self._clock() - (0.0 if alone else 2 * self._install_s))
        for plugin in left:
            self._install_soon(plugin)
        if folder.is_dir():
            self._follow(folder)
        self._tidy_soon()

    def _follow(self, folder: Path) -> None:
        """What is in the operator's folder is what there is."""
        kept = {self._take_up(path) for path in sorted(folder.iterdir()) if _looks_like_one(path)}
        with self._store.read() as unit:
            gone = [p for p in unit.plugins_of(None).visible() if p.id not in kept]
        for plugin in gone:
            self._forget(plugin)

    def _take_up(self, path: Path) -> str:
        """The id of the operator's plug-in at `path`."""
        name = path.name.partition(".")[0]
        try:
            packed = archive.read(path, name=name if _is_old(path) else "")
            _check_name(packed.manifest)
        except (TuningError, OSError) as error:
            _log.warning("plug-in in %s cannot be used: %s", path, error)
            return self._list_broken(name, str(error))
        plugin = self._made(None, packed)
        self._artifacts.put_plugin(None, plugin.digest, packed.data)
        with self._store.write() as unit:
            rows = unit.plugins_of(None)
            known = rows.own(plugin.name, plugin.version)
            if known is not None and known.digest != plugin.digest:
                try:
                    rows.delete(known)
                except Conflict as error:
                    _log.warning("plug-in in %s has other content than before: %s", path, error.message)
                    return known.id
                known = None
            if known is None:
                rows.add(plugin)
            elif known.status is PluginStatus.READY:
                return known.id
        self._install_soon(plugin)
        return plugin.id

    def _list_broken(self, name: str, reason: str) -> str:
        plugin = Plugin(
            id=plugin_id(None, name, "0"),
            tenant_id=None,
            name=name[:64],
            version="0",
            interface="hpt",
            digest="",
            bytes=0,
            manifest={"name": name, "version": "0"},
            status=PluginStatus.FAILED,
            reason=reason,
            created_at=self._clock(),
        )
        with self._store.write() as unit:
            rows = unit.plugins_of(None)
            if not rows.add(plugin):
                rows.set_status(plugin, PluginStatus.FAILED, reason)
        return plugin.id

    def _forget(self, plugin: Plugin) -> None:
        try:
            with self._store.write() as unit:
                unit.plugins_of(None).delete(plugin)
        except Conflict as error:
            _log.warning("plug-in %s is not in the operator's folder any more: %s", plugin.name, error.message)

    # -- installing

    def close(self) -> None:
        """Installations under way end; another process, or this one when it starts again, will do them over."""
        self._cache.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _made(self, tenant_id: str | None, packed: archive.Packed) -> Plugin:
        manifest = packed.manifest
        return Plugin(
            id=plugin_id(tenant_id, manifest.name, manifest.version),
            tenant_id=tenant_id,
            name=manifest.name,
            version=manifest.version,
            interface=manifest.interface,
            digest=packed.digest,
            bytes=len(packed.data),
            manifest=manifest.to_json(),
            status=PluginStatus.INSTALLING,
            reason="",
            created_at=self._clock(),
        )

    def _install_soon(self, plugin: Plugin) -> None:
        with self._lock:
            if (plugin.id, plugin.digest) in self._under_way:
                return
            self._under_way.add((plugin.id, plugin.digest))
        try:
            self._threads.submit(self._install, plugin)
        except RuntimeError as error:  # closed
            raise TryAgain("The service is stopping.") from error

    def _tidy_soon(self) -> None:
        with contextlib.suppress(RuntimeError):  # closed
            self._threads.submit(self._tidy)

    def _tidy(self) -> None:
        try:
            with self._store.read() as unit:
                stored = unit.plugins_of(None).contents()
            self._cache.tidy(stored)
        except Exception:  # noqa: BLE001  # the next time will do
            _log.exception("the cache of plug-ins could not be tidied")

    def _install(self, plugin: Plugin) -> None:
        try:
            status, reason = self._outcome(plugin)
        except Exception:  # noqa: BLE001  # whatever it is, the plug-in must not stay "installing"
            _log.exception("plug-in %s %s could not be installed", plugin.name, plugin.version)
            status, reason = PluginStatus.FAILED, "The service failed to install it; upload it again."
        # Before its end is told: who uploads it again upon that begins anew.
        with self._lock:
            self._under_way.discard((plugin.id, plugin.digest))
        if status is PluginStatus.INSTALLING:
            return
        try:
            self._set(plugin, status, reason)
            _log.info("plug-in %s %s: %s %s", plugin.name, plugin.version, status, reason.partition("\n")[0])
        except Exception:  # noqa: BLE001  # nobody looks at what this thread raises
            _log.exception("the end of installing plug-in %s %s could not be stored", plugin.name, plugin.version)

    def _outcome(self, plugin: Plugin) -> tuple[PluginStatus, str]:
        try:
            prepared = self._cache.prepare(
                Manifest.from_json(plugin.manifest),
                plugin.digest,
                lambda: self._artifacts.plugin(plugin.tenant_id, plugin.digest),
                lambda what: self._set(plugin, PluginStatus.INSTALLING, what),
            )
            try_out(prepared, self._limits)
        except AlgorithmFailed as error:
            return PluginStatus.FAILED, "\n".join(filter(None, [error.message, error.explanation]))[:_MOST_REASON]
        except (GiveUp, NotFound) as error:
            return PluginStatus.FAILED, error.message[:_MOST_REASON]
        except TryAgain:
            return PluginStatus.INSTALLING, ""
        return PluginStatus.READY, ""

    def _set(self, plugin: Plugin, status: PluginStatus, reason: str) -> None:
        with self._store.write() as unit:
            unit.plugins_of(plugin.tenant_id).set_status(plugin, status, reason)


def _check_name(manifest: Manifest) -> None:
    if manifest.name in algorithms():
        message = f"{manifest.name!r} is the name of a built-in algorithm."
        raise InvalidRequest(FieldProblem(field="plugin.toml.name", message=message, remedy="Choose another one."))


def _looks_like_one(path: Path) -> bool:
    if path.name.startswith((".", "_")):
        return False
    return path.is_dir() or path.name.endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def _is_old(path: Path) -> bool:
    return not (path / "plugin.toml").is_file() if path.is_dir() else path.name.endswith(".tar")
