"""The tables of plug-ins and of their checks. The same metadata as `tables`."""

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, String, Table, Text

from tuning_service.storage.tables import Json, metadata

# Of NULL tenants: the operator's.
plugins = Table(
    "plugins",
    metadata,
    Column("id", String(40), primary_key=True),  # made from owner, name and version, see plugins.py
    Column("tenant_id", String(40), ForeignKey("tenants.id", ondelete="CASCADE")),
    Column("name", String(64), nullable=False),
    Column("version", String(40), nullable=False),
    Column("interface", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("manifest", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_plugins_tenant_id_name", "tenant_id", "name"),
)

# The last check of a plug-in, and the one that runs.
plugin_checks = Table(
    "plugin_checks",
    metadata,
    Column("plugin_id", String(40), ForeignKey("plugins.id", ondelete="CASCADE"), primary_key=True),
    # Of the one that runs, or has ended with its process without a result; NULL: none does.
    Column("run", String(40)),
    Column("began_at", Double),
    Column("seen_at", Double),
    # Of the last one with a result; NULL: there was none.
    Column("ended_at", Double),
    Column("results", Json),
)
