"""The managers of one process, each with what it works on."""

from collections.abc import Callable
from pathlib import Path

from tuning_service.api.deps import Managers
from tuning_service.domain.clock import Clock
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.analysis_mgr import AnalysisMgr
from tuning_service.manager.artifact_desk import ArtifactDesk
from tuning_service.manager.artifact_mgr import ArtifactMgr
from tuning_service.manager.curve_keeper import CurveKeeper
from tuning_service.manager.job_overview_mgr import JobOverviewMgr
from tuning_service.manager.listing_mgr import ListingMgr
from tuning_service.manager.log_search import LogSearchMgr
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr
from tuning_service.manager.plugin_checks import PluginCheckMgr
from tuning_service.manager.plugin_mgr import PluginMgr
from tuning_service.manager.pool_mgr import PoolMgr
from tuning_service.manager.preview_mgr import PreviewMgr
from tuning_service.manager.program_mgr import ProgramMgr
from tuning_service.manager.resource_mgr import ResourceMgr
from tuning_service.manager.session_mgr import SessionMgr
from tuning_service.manager.steering_mgr import SteeringMgr
from tuning_service.manager.task_desk import TaskDesk
from tuning_service.manager.usage_mgr import UsageMgr
from tuning_service.manager.user_mgr import UserMgr
from tuning_service.manager.watch_mgr import WatchMgr
from tuning_service.runner.bundle import BundleLimits
from tuning_service.search.plugins.cache import PluginCache
from tuning_service.search.plugins.limits import PluginLimits
from tuning_service.settings import Settings
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store


def managers_of(settings: Settings, store: Store, clock: Clock, notify: Callable[[str], None]) -> Managers:
    """All use cases. `notify` is told the id of each job that a controller should look at."""
    artifacts = ArtifactStore(settings.artifacts)
    keeper = CurveKeeper(store)
    cache, limits = plugin_cache(settings), plugin_limits(settings)
    plugins = PluginMgr(store, artifacts, cache, limits=limits, install_s=settings.plugin_install_s, clock=clock)
    return Managers(
        tuning=ModelTuningMgr(
            store,
            artifacts,
            clock=clock,
            notify=notify,
            environments=settings.environments,
        ),
        desk=TaskDesk(
            store,
            artifacts,
            notify=notify,
            keeper=keeper,
            heartbeat_s=settings.heartbeat_s,
            log_limit_bytes=settings.log_limit_bytes,
            data_dir=settings.training_data_dir,
            clock=clock,
            environments=settings.environments,
        ),
        listing=ListingMgr(store, clock),
        overview=JobOverviewMgr(store),
        steering=SteeringMgr(store, notify=notify, clock=clock),
        watching=WatchMgr(store, clock),
        access=AccessMgr(store, clock),
        sessions=SessionMgr(store, clock, idle_s=settings.session_idle_s, lifetime_s=settings.session_lifetime_s),
        users=UserMgr(store, clock),
        pools=PoolMgr(store, clock),
        plugins=plugins,
        plugin_checks=PluginCheckMgr(store, plugins, artifacts, cache, limits=limits, clock=clock),
        previews=PreviewMgr(store, artifacts, environments=settings.environments, clock=clock),
        programs=ProgramMgr(
            store,
            artifacts,
            bundle_limits=BundleLimits(total_bytes=settings.max_unpacked_bytes, files=settings.max_unpacked_files),
            max_upload_bytes=settings.max_upload_bytes,
            clock=clock,
        ),
        log_search=LogSearchMgr(store, artifacts),
        usage=UsageMgr(store, clock),
        resources=ResourceMgr(store),
        artifacts=ArtifactMgr(store, artifacts),
        artifact_desk=ArtifactDesk(store, artifacts, limit_bytes=settings.artifact_limit_bytes, clock=clock),
        analysis=AnalysisMgr(store, clock, keeper=keeper),
    )


def plugin_cache(settings: Settings) -> PluginCache:
    """Where plug-ins are installed on this machine."""
    return PluginCache(Path(settings.data_dir).absolute() / "plugin-cache", install_s=settings.plugin_install_s)


def plugin_limits(settings: Settings) -> PluginLimits:
    """What a plug-in's process may use."""
    return PluginLimits(memory_bytes=settings.plugin_memory_bytes, answer_s=settings.plugin_timeout_s)
