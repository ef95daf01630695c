"""Rows of plug-ins: a tenant's own beside the operator's."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, delete, select, update

from tuning_service.domain.errors import Conflict
from tuning_service.domain.plugin import Plugin, PluginStatus
from tuning_service.storage.leases import UNFINISHED
from tuning_service.storage.rows import AnyRow
from tuning_service.storage.tables import tuning_jobs
from tuning_service.storage.tables_plugins import plugins
from tuning_service.storage.writes import insert_if_new


def plugin_id(tenant_id: str | None, name: str, version: str) -> str:
    """The one id that this version of this plug-in can have, so that no two of them are stored."""
    text = "\n".join([tenant_id or "", name, version])
    return f"plugin_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


class PluginRows:
    """Plug-ins as one tenant sees them; without a tenant, the operator's alone. Only own ones are written."""

    def __init__(self, connection: Connection, tenant_id: str | None) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    def add(self, plugin: Plugin) -> bool:
        """False when this version of it is there already, whatever its content."""
        values = asdict(plugin) | {"status": str(plugin.status), "manifest": dict(plugin.manifest)}
        return insert_if_new(self._connection, plugins, values)

    def own(self, name: str, version: str) -> Plugin | None:
        """Of this owner alone."""
        row = self._connection.execute(
            select(plugins).where(plugins.c.id == plugin_id(self._tenant_id, name, version))
        ).first()
        return None if row is None else _plugin_from(row)

    def visible(self, name: str | None = None) -> list[Plugin]:
        """All that this owner may use, by name, oldest first; an own one hides the operator's of the same name."""
        query = select(plugins).where(self._mine() | plugins.c.tenant_id.is_(None))
        if name is not None:
            query = query.where(plugins.c.name == name)
        rows = self._connection.execute(query.order_by(plugins.c.name, plugins.c.created_at, plugins.c.version))
        found = [_plugin_from(row) for row in rows]
        own = {p.name for p in found if p.tenant_id is not None}
        return [p for p in found if p.tenant_id is not None or p.name not in own]

    def installing(self, before: float) -> list[Plugin]:
        """Of all owners, those that are being installed since before that time."""
        rows = self._connection.execute(
            select(plugins).where(plugins.c.status == str(PluginStatus.INSTALLING), plugins.c.created_at < before)
        )
        return [_plugin_from(row) for row in rows]

    def contents(self) -> list[tuple[str, dict[str, Any]]]:
        """Digest and manifest of those of all owners. Without the operator's broken ones, which have no content."""
        query = select(plugins.c.digest, plugins.c.manifest).where(plugins.c.digest != "")
        return [(row.digest, row.manifest) for row in self._connection.execute(query)]

    def set_status(self, plugin: Plugin, status: PluginStatus, reason: str) -> None:
        """Where it is now. One that was deleted or replaced meanwhile is left alone."""
        self._connection.execute(
            update(plugins)
            .where(plugins.c.id == plugin.id, plugins.c.digest == plugin.digest)
            .values(status=str(status), reason=reason)
        )

    def delete(self, plugin: Plugin) -> None:
        """It is unknown from now on.

        Raises:
            Conflict: a job that has not ended uses it.
        """
        for job_id in self._users(plugin):
            message = f"Job {job_id} uses {plugin.name} {plugin.version}; stop or delete the job first."
            raise Conflict(message)
        self._connection.execute(delete(plugins).where(plugins.c.id == plugin.id))

    def is_used(self, digest: str) -> bool:
        """True when a plug-in of this owner has that content."""
        query = select(plugins.c.id).where(self._mine(), plugins.c.digest == digest)
        return self._connection.execute(query).first() is not None

    def _users(self, plugin: Plugin) -> Sequence[str]:
        query = select(tuning_jobs.c.id, tuning_jobs.c.spec).where(
            UNFINISHED,
            # Cheap for the database, and only a hint: what counts is read below.
            tuning_jobs.c.spec.contains(plugin.name, autoescape=True),
        )
        if plugin.tenant_id is not None:
            query = query.where(tuning_jobs.c.tenant_id == plugin.tenant_id)
        wanted = (plugin.name, plugin.version)
        choices = ((row.id, orjson.loads(row.spec)["algorithm"]) for row in self._connection.execute(query))
        return [job for job, choice in choices if (choice["name"], choice.get("version", "")) == wanted]

    def _mine(self) -> ColumnElement[bool]:
        return plugins.c.tenant_id.is_(None) if self._tenant_id is None else plugins.c.tenant_id == self._tenant_id


def _plugin_from(row: AnyRow) -> Plugin:
    values = {name: getattr(row, name) for name in Plugin.__slots__}
    return Plugin(**values | {"status": PluginStatus(row.status)})
