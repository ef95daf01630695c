"""Users and their sessions: rows that belong to no tenant's scope."""

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from tuning_service.domain.errors import Conflict
from tuning_service.domain.principal import StoredSession, User
from tuning_service.domain.state import Role
from tuning_service.storage.rows import AnyRow
from tuning_service.storage.tables_access import sessions, users


class UserRows:
    """People who sign in with a password."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, user: User, password_hash: str) -> None:
        """Raises Conflict when the tenant has a user of that name."""
        values = asdict(user) | {"role": str(user.role), "password_hash": password_hash}
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(users).values(**values))
        except IntegrityError as error:
            raise Conflict(f"There is a user {user.name!r} already.") from error

    def get(self, user_id: str, *, lock: bool = False) -> tuple[User, str] | None:
        """The user and the password's hash, or None; with `lock`, which nobody changes until the transaction ends."""
        query = select(users).where(users.c.id == user_id)
        return _known(self._connection.execute(query.with_for_update() if lock else query).first())

    def named(self, tenant_id: str | None, name: str) -> tuple[User, str] | None:
        """The tenant's user of that name and the password's hash, or None; without a tenant, of the operators."""
        query = select(users).where(users.c.tenant_id.is_not_distinct_from(tenant_id), users.c.name == name)
        return _known(self._connection.execute(query).first())

    def all(self, tenant_id: str | None) -> list[User]:
        """One tenant's users by name; None: the operators."""
        query = select(users).where(users.c.tenant_id.is_not_distinct_from(tenant_id)).order_by(users.c.name)
        return [_user_from(row) for row in self._connection.execute(query)]

    def change(self, user: User, password_hash: str) -> None:
        """Store what may change of a user."""
        values = {"role": str(user.role), "disabled_at": user.disabled_at, "password_hash": password_hash}
        self._connection.execute(update(users).where(users.c.id == user.id).values(values))

    def delete(self, user_id: str) -> None:
        """The user goes, with all sessions."""
        self._connection.execute(delete(users).where(users.c.id == user_id))


class SessionRows:
    """Who is signed in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, session: StoredSession) -> None:
        """Store a new session."""
        self._connection.execute(insert(sessions).values(**asdict(session)))

    def find(self, session_id: str) -> StoredSession | None:
        """The session, or None."""
        row = self._connection.execute(select(sessions).where(sessions.c.id == session_id)).first()
        return None if row is None else StoredSession(**row._asdict())

    def seen(self, session_id: str, now: float) -> None:
        """It was used at that time."""
        self._connection.execute(
            update(sessions).where(sessions.c.id == session_id, sessions.c.seen_at < now).values(seen_at=now)
        )

    def remove(self, session_id: str) -> None:
        """The session ends."""
        self._connection.execute(delete(sessions).where(sessions.c.id == session_id))

    def remove_of_user(self, user_id: str) -> None:
        """All sessions of a user end."""
        self._connection.execute(delete(sessions).where(sessions.c.user_id == user_id))

    def tidy(self, now: float, idle_s: float) -> None:
        """Forget those that have ended by themselves."""
        self._connection.execute(
            delete(sessions).where((sessions.c.ends_at <= now) | (sessions.c.seen_at <= now - idle_s))
        )


def _known(row: AnyRow | None) -> tuple[User, str] | None:
    return None if row is None else (_user_from(row), row.password_hash)


def _user_from(row: AnyRow) -> User:
    return User(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )
