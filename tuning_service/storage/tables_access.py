"""The tables of users and of their sessions."""

from sqlalchemy import Column, Double, ForeignKey, Index, String, Table, Text, UniqueConstraint, text

from tuning_service.storage.tables import metadata

users = Table(
    "users",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant_id", String(40), ForeignKey("tenants.id", ondelete="CASCADE")),  # NULL: an operator
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("disabled_at", Double),
    UniqueConstraint("tenant_id", "name"),
    # The constraint takes each NULL for a tenant of its own.
    Index(
        "uq_users_operators",
        "name",
        unique=True,
        sqlite_where=text("tenant_id IS NULL"),
        postgresql_where=text("tenant_id IS NULL"),
    ),
)

# Whoever has a session's token acts for the key or the user, as long as that may act itself.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of the token, in hexadecimal
    Column("key_id", String(40), ForeignKey("api_keys.id", ondelete="CASCADE"), index=True),
    Column("user_id", String(40), ForeignKey("users.id", ondelete="CASCADE"), index=True),
    Column("created_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
)
