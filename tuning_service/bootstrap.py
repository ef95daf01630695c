"""The three kinds of process of a deployment, made of concrete classes; their managers are made in `wiring`."""

import dataclasses
import fcntl
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from tuning_service import __version__, observability, portal
from tuning_service.api.app import create_app
from tuning_service.api.deps import Managers
from tuning_service.domain.clock import system_clock
from tuning_service.domain.errors import Conflict, GiveUp
from tuning_service.domain.pool import Pool, pool_problems
from tuning_service.domain.principal import ApiKey, User
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.presence import Presence
from tuning_service.manager.task_tokens import TaskTokens
from tuning_service.manager.user_mgr import UserMgr
from tuning_service.settings import Settings
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.clock import DatabaseClock
from tuning_service.storage.engine import check_schema, upgrade_schema
from tuning_service.storage.store import Store
from tuning_service.wiring import managers_of, plugin_cache, plugin_limits

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_READY_FILE = "ready-file"  # the name of keys in ready files


def serve(settings: Settings, *, ready_file: str | None = None) -> None:
    """The embedded service: interface, controller and Spark driver in this process, until SIGTERM or SIGINT.

    Creates and upgrades its database by itself. `ready_file` is written, readable by its owner only, once requests
    are served: {"url", "pid", "operator_key"}, the key being new and valid until the service ends.

    Raises:
        GiveUp: another process serves this data folder, the port is taken, or the database is too new.
    """
    observability.configure(settings.log_format)
    with _data_dir_lock(settings), _listener(settings) as listener, _store(settings, upgrade=True) as store:
        url = settings.service_url or _url(listener)
        controller = _Controller(settings, store, url, alone=True)
        interface = _interface(settings, store, controller.notify, alone=True)
        with _first_key(interface.managers.access, store, ready_file) as key, controller.running():
            interface.managers.plugins.start(Path(settings.plugins_dir), alone=True)
            _serve_until_told(interface, listener, ready_file, {"url": url, "operator_key": key})


def run_manager(settings: Settings, *, ready_file: str | None = None) -> None:
    """One process of the interface, beside any number of others, until SIGTERM or SIGINT.

    Raises:
        GiveUp: the database has another schema, or the port is taken.
    """
    observability.configure(settings.log_format)
    with _listener(settings) as listener, _store(settings) as store:
        # Controllers are other processes: they find what changed in the database.
        interface = _interface(settings, store, lambda _job_id: None, alone=False)
        interface.managers.plugins.start(Path(settings.plugins_dir), alone=False)
        _serve_until_told(interface, listener, ready_file, {"url": settings.service_url or _url(listener)})


def run_controller(settings: Settings, *, ready_file: str | None = None) -> None:
    """One controller of the pool that the settings name, until SIGTERM or SIGINT.

    Raises:
        GiveUp: the database has another schema, or `service_url` is not set.
    """
    observability.configure(settings.log_format)
    if not settings.service_url:
        raise GiveUp("A controller needs --service-url: the address of the managers, as executors reach it.")
    with _store(settings) as store:
        controller = _Controller(settings, store, settings.service_url, alone=False)
        told = _told_to_end()
        with controller.running():
            _announce(ready_file, {"url": settings.service_url})
            told.wait()


def upgrade(settings: Settings) -> str:
    """The schema's revision, after bringing the database to this version's."""
    with _store(settings, upgrade=True) as store:
        return check_schema(store.engine)


def create_operator_key(settings: Settings, name: str) -> tuple[ApiKey, str]:
    """An operator's key and its secret, written straight to the database: the way in for whoever owns it."""
    with _store(settings) as store:
        return AccessMgr(store).create_operator_key(name)


def create_operator(settings: Settings, name: str, password: str) -> User:
    """An operator who signs in with a password, written straight to the database, as the key above."""
    with _store(settings) as store:
        return UserMgr(store).create_operator(name, password)


# -- parts


class _Controller:
    """The reconciler with all that it drives."""

    def __init__(self, settings: Settings, store: Store, service_url: str, *, alone: bool) -> None:
        # Imported here: a manager needs neither pyspark nor the search host.
        from tuning_service.compute.spark import SparkBackend, SparkSettings
        from tuning_service.control.job_ctrl import Tools
        from tuning_service.control.reconciler import Reconciler
        from tuning_service.search.host import AlgorithmHost

        self._algorithms = AlgorithmHost(
            children=settings.algorithm_processes,
            timeout_s=settings.algorithm_timeout_s,
            plugin_limits=plugin_limits(settings),
        )
        self._store = store
        self._plugins = plugin_cache(settings)
        folder = Path(settings.data_dir)
        folder.mkdir(parents=True, exist_ok=True)
        pool = _pool(settings, store, alone=alone)
        self._backend = SparkBackend(
            SparkSettings(
                master=pool.master,
                conf={**pool.conf, **settings.spark_conf},
                local_gpus=settings.local_gpus,
                python=settings.spark_python or None,
                output=str(folder / "spark.log"),
                patience_s=settings.spark_patience_s,
            )
        )
        self._clock = DatabaseClock(store.engine)
        tools = Tools(
            store=store,
            clock=self._clock,
            artifacts=ArtifactStore(settings.artifacts),
            backend=self._backend,
            algorithms=self._algorithms,
            token=TaskTokens(store).of,
            service_url=service_url,
            notify=self.notify,
            silent_s=settings.silent_s,
            plugins=self._plugins,
            managers_apart=not alone,
        )
        self._reconciler = Reconciler(
            tools,
            tick_s=settings.tick_s,
            lease_s=settings.lease_s,
            alone=alone,
            pool=pool.name,
            version=__version__,
            clock_skew=lambda: self._clock.skew_s,
        )

    def notify(self, job_id: str) -> None:
        self._reconciler.notify(job_id)

    @contextmanager
    def running(self) -> Iterator[None]:
        with self._store.read() as unit:
            stored = unit.plugins_of(None).contents()
        self._plugins.tidy(stored)
        self._reconciler.start()
        try:
            with self._clock.kept():
                yield
        finally:
            self._reconciler.stop()
            self._backend.stop()
            self._plugins.close()
            self._algorithms.close()


def _pool(settings: Settings, store: Store, *, alone: bool) -> Pool:
    """The pool to serve, made when it is new. The embedded service's own master goes before what is stored.

    Raises:
        GiveUp: the pool has another master than the settings.
    """
    with store.write() as unit:
        pool = unit.pools.find(settings.pool)
        if pool is None:
            pool = _sound(Pool(name=settings.pool, master=settings.spark_master, created_at=system_clock()))
            try:
                unit.pools.add(pool)
            except Conflict:  # another controller that starts was faster; what it made is visible by now
                pool = unit.pools.get(settings.pool)
        elif alone or not pool.master:
            pool = _sound(dataclasses.replace(unit.pools.lock(settings.pool), master=settings.spark_master))
            unit.pools.change(pool)
        elif settings.spark_master not in {pool.master, Settings().spark_master}:
            raise GiveUp(
                f"The pool {pool.name!r} has the master {pool.master}, not {settings.spark_master}. Leave --master out,"
                f" name another --pool, or change it: tuning-service pool set {pool.name} --master"
                f" {settings.spark_master}"
            )
    return pool


def _sound(pool: Pool) -> Pool:
    problems = [problem for problem in pool_problems(pool) if problem.field in {"name", "master"}]
    if problems:
        raise GiveUp("; ".join(map(str, problems)))
    return pool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interface:
    """The HTTP side, until it is told to end."""

    managers: Managers
    server: uvicorn.Server
    clock: DatabaseClock
    presence: Presence
    streams_end: threading.Event  # set: event and log streams end, which may else last for ever


def _interface(settings: Settings, store: Store, notify: Callable[[str], None], *, alone: bool) -> _Interface:
    clock = DatabaseClock(store.engine)
    managers = managers_of(settings, store, clock, notify)
    presence = Presence(store, ArtifactStore(settings.artifacts), clock, apart=not alone)
    app = create_app(managers, is_ready=presence.ready)
    portal.install(app)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        # Whom X-Forwarded-Proto and X-Forwarded-For are believed; without the setting, nobody.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )
    return _Interface(
        managers=managers,
        server=uvicorn.Server(config),
        clock=clock,
        presence=presence,
        streams_end=app.state.stopping,
    )


@contextmanager
def _first_key(access: AccessMgr, store: Store, ready_file: str | None) -> Iterator[str | None]:
    """A key for whoever starts the service: for the ready file, or shown once when there is none yet."""
    if ready_file is None:
        with store.read() as unit:
            known = unit.tenancy.keys(None)
        if not known:
            secret = access.create_operator_key("first")[1]
            print(f"Operator key, shown this once: {secret}", flush=True)  # noqa: T201
        yield None
        return
    access.revoke_operator_keys(_READY_FILE)  # of those who were killed
    try:
        yield access.create_operator_key(_READY_FILE)[1]
    finally:
        with suppress(Exception):  # the database may be away: then the next start does it
            access.revoke_operator_keys(_READY_FILE)


@contextmanager
def _store(settings: Settings, *, upgrade: bool = False) -> Iterator[Store]:
    if settings.database.startswith("sqlite"):
        Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    store = Store.open(settings.database)
    try:
        if upgrade:
            upgrade_schema(store.engine)
        check_schema(store.engine)
        yield store
    finally:
        store.close()


@contextmanager
def _data_dir_lock(settings: Settings) -> Iterator[None]:
    """One embedded service a folder. The lock goes with the process, however it ends."""
    folder = Path(settings.data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "serve.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GiveUp(f"Another process serves {folder}; use another --data-dir.") from error
        yield


@contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise GiveUp(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}.") from error
    # Listening already, so that whoever comes early waits instead of being refused.
    listener.listen(2048)
    with listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _serve_until_told(
    interface: _Interface, listener: socket.socket, ready_file: str | None, news: dict[str, Any]
) -> None:
    server = interface.server
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="interface")
    # uvicorn installs handlers only in a main thread; here they are ours, for the controller has to end as well.
    told = _told_to_end()
    thread.start()
    try:
        with interface.clock.kept(), interface.presence.kept():
            while not (server.started or told.is_set()) and thread.is_alive():
                told.wait(0.05)
            if server.started:
                _announce(ready_file, news)
            while thread.is_alive() and not told.is_set():
                told.wait(1.0)
    finally:
        log.info("stopping")
        interface.streams_end.set()
        interface.managers.plugins.close()
        server.should_exit = True
        thread.join()
        interface.managers.analysis.close()


def _told_to_end() -> threading.Event:
    """Set by SIGTERM or SIGINT from now on."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    return told


def _announce(ready_file: str | None, news: dict[str, Any]) -> None:
    log.info("ready", url=news["url"])
    if ready_file is None:
        return
    path = Path(ready_file)
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(news | {"pid": os.getpid()}, file)
    part.replace(path)
