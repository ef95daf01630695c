"""The unit of work: the only place that begins and commits a transaction."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InternalError, OperationalError

from tuning_service.domain.errors import TryAgain
from tuning_service.domain.principal import Principal
from tuning_service.storage.artifact_rows import ArtifactRows
from tuning_service.storage.control import ControlRows
from tuning_service.storage.cordons import CordonRows
from tuning_service.storage.engine import open_engine
from tuning_service.storage.idempotency import IdempotencyRows
from tuning_service.storage.managers import ManagerRows
from tuning_service.storage.outlines import CurveRows, OutlineRows
from tuning_service.storage.plugin_checks import PluginCheckRows
from tuning_service.storage.plugins import PluginRows
from tuning_service.storage.pools import PoolRows
from tuning_service.storage.resources import ResourceRows
from tuning_service.storage.runner import RunnerRows
from tuning_service.storage.tenancy import TenancyRows
from tuning_service.storage.tenant_scope import TenantScope
from tuning_service.storage.usage import QuotaRows
from tuning_service.storage.usage_months import UsageMonths
from tuning_service.storage.users import SessionRows, UserRows
from tuning_service.storage.watching import WatchRows


class Unit:
    """One transaction's view of the database. Do not keep it past the `with` block that gave it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.tenancy = TenancyRows(connection)
        self.control = ControlRows(connection)
        self.runner = RunnerRows(connection)
        self.idempotency = IdempotencyRows(connection)

    def for_tenant(self, principal: Principal) -> TenantScope:
        """The rows of the principal's tenant: the only way to them for code that serves requests.

        Raises:
            Denied: the principal belongs to no tenant.
        """
        return TenantScope(self._connection, principal.tenant_id)

    def outlines_for(self, principal: Principal) -> OutlineRows:
        """The same rows as charts read them. Raises Denied."""
        return OutlineRows(self._connection, principal.tenant_id)

    @property
    def curves(self) -> CurveRows:
        """Measurements to reduce, for the service itself."""
        return CurveRows(self._connection)

    def plugins_of(self, tenant_id: str | None) -> PluginRows:
        """Plug-ins as that tenant sees them, for controllers; None: the operator's own."""
        return PluginRows(self._connection, tenant_id)

    @property
    def plugin_checks(self) -> PluginCheckRows:
        """What checks made of plug-ins, over all tenants."""
        return PluginCheckRows(self._connection)

    @property
    def managers(self) -> ManagerRows:
        """Managers, as they say of themselves."""
        return ManagerRows(self._connection)

    @property
    def quotas(self) -> QuotaRows:
        """What tenants use over all jobs and controllers."""
        return QuotaRows(self._connection)

    @property
    def usage_months(self) -> UsageMonths:
        """What tenants have used, month by month."""
        return UsageMonths(self._connection)

    @property
    def pools(self) -> PoolRows:
        """Compute pools and their controllers."""
        return PoolRows(self._connection)

    @property
    def watching(self) -> WatchRows:
        """Signs of change, over all tenants."""
        return WatchRows(self._connection)

    @property
    def cordons(self) -> CordonRows:
        """Executors that are left out."""
        return CordonRows(self._connection)

    @property
    def users(self) -> UserRows:
        """People who sign in with a password."""
        return UserRows(self._connection)

    @property
    def sessions(self) -> SessionRows:
        """Who is signed in."""
        return SessionRows(self._connection)

    @property
    def resources(self) -> ResourceRows:
        """What executions use over time."""
        return ResourceRows(self._connection)

    @property
    def artifacts(self) -> ArtifactRows:
        """The files that executions leave."""
        return ArtifactRows(self._connection)


class Store:
    """All stored state. Share one among the threads of a process.

    `with store.read() as unit` and `with store.write() as unit` are each one transaction, committed when the block
    ends without an exception and rolled back otherwise. Keep them short: no network, no training, no algorithm inside.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # SQLite has one writer at a time and lets the others poll; a lock wakes them at once instead.
        self._writer = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._write_engine = engine.execution_options(sqlite_begin="IMMEDIATE")

    @classmethod
    def open(cls, url: str) -> "Store":
        """A store on the database at `url`. See `engine.open_engine` for what may be raised."""
        return cls(open_engine(url))

    @contextmanager
    def read(self) -> Iterator[Unit]:
        """A transaction that only reads."""
        with self.engine.connect() as connection, connection.begin():
            yield Unit(connection)

    @contextmanager
    def write(self) -> Iterator[Unit]:
        """A transaction that may write.

        Raises:
            TryAgain: the database has no room, or may only be read at present.
        """
        with self._writer or nullcontext(), _writable(), self._write_engine.connect() as connection, connection.begin():
            yield Unit(connection)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InternalError) as error:
        if not any(sign in str(error.orig) for sign in _CANNOT_WRITE):
            raise
        message = "The service's database takes no changes at present."
        raise TryAgain(message, retry_after_s=5, detail=str(error.orig)) from error


# SQLite's words, then PostgreSQL's.
_CANNOT_WRITE = ("disk is full", "disk I/O error", "readonly database", "No space left", "read-only transaction")
