"""Where a controller takes a job's plug-in from."""

from collections.abc import Callable

from tuning_service.domain.errors import NotFound
from tuning_service.domain.job import TuningJob
from tuning_service.search.plugins.cache import PluginCache, PreparedPlugin
from tuning_service.search.plugins.manifest import Manifest
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store


def plugin_source(
    job: TuningJob, store: Store, artifacts: ArtifactStore, cache: PluginCache | None
) -> Callable[[], PreparedPlugin] | None:
    """What makes the job's plug-in ready to start, in minutes at worst; None for a built-in algorithm."""
    choice = job.spec.algorithm
    if not choice.version or cache is None:
        return None

    def prepare() -> PreparedPlugin:
        with store.read() as unit:
            versions = unit.plugins_of(job.tenant_id).visible(choice.name)
        plugin = next((p for p in versions if p.version == choice.version), None)
        if plugin is None:
            raise NotFound("it was deleted.")
        if choice.digest not in {"", plugin.digest}:  # "": of a job that was stored before digests were pinned
            raise NotFound("it was deleted, and what is stored under this version now is not what the job began with.")
        manifest = Manifest.from_json(plugin.manifest)
        return cache.prepare(manifest, plugin.digest, lambda: artifacts.plugin(plugin.tenant_id, plugin.digest))

    return prepare
