"""UserMgr: people who sign in with a password."""

import dataclasses
from collections.abc import Sequence

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import Conflict, Denied, FieldProblem, InvalidRequest, NotFound
from tuning_service.domain.ids import new_id
from tuning_service.domain.principal import Principal, User
from tuning_service.domain.state import Role
from tuning_service.manager import passwords
from tuning_service.manager.access import administered, check_name
from tuning_service.manager.throttle import BY_NAME, Throttle
from tuning_service.storage.store import Store, Unit


class UserMgr:
    """Users of a tenant, for its admins, and all users, for operators. Safe from any thread."""

    def __init__(self, store: Store, clock: Clock = system_clock) -> None:
        self._store = store
        self._clock = clock
        self._throttle = Throttle()

    def create_operator(self, name: str, password: str) -> User:
        """An operator. For the command line on the machine itself. Raises InvalidRequest, Conflict."""
        return self._add(None, name, Role.OPERATOR, password)

    def create(self, principal: Principal, *, name: str, role: Role, password: str, tenant: str | None = None) -> User:
        """A new user. `tenant` (id or name) is for operators; a tenant's admin makes users of the own tenant.

        Raises:
            Denied, NotFound, InvalidRequest
            Conflict: the tenant has a user of that name.
        """
        tenant_id = administered(self._store, principal, tenant)
        _check_role(principal, tenant_id, role)
        return self._add(tenant_id, name, role, password)

    def users(self, principal: Principal, tenant: str | None = None) -> Sequence[User]:
        """A tenant's users, by name; without a tenant, an operator sees the operators. Raises Denied, NotFound."""
        tenant_id = administered(self._store, principal, tenant)
        with self._store.read() as unit:
            return unit.users.all(tenant_id)

    def user(self, principal: Principal, user_id: str) -> User:
        """One of those that the principal may manage. Raises Denied, NotFound."""
        principal.require(Role.ADMIN)
        with self._store.read() as unit:
            return _found(unit, principal, user_id)[0]

    def change(
        self,
        principal: Principal,
        user_id: str,
        *,
        role: Role | None = None,
        password: str | None = None,
        disabled: bool | None = None,
    ) -> User:
        """The user with what is given changed. Another password, and being disabled, end the user's sessions at once.

        Raises:
            Denied, NotFound, InvalidRequest
            Conflict: it is the very user that asks, who could lose the way back.
        """
        with self._store.read() as unit:
            user = _other(unit, principal, user_id)[0]
        if role is not None:
            _check_role(principal, user.tenant_id, role)
        if password is not None:
            passwords.check_password("password", password)
        # Before the transaction: it takes a tenth of a second.
        new_hash = None if password is None else passwords.hashed(password)
        with self._store.write() as unit:
            user, old_hash = _other(unit, principal, user_id, lock=True)
            disabled_at = user.disabled_at
            if disabled is not None:
                disabled_at = (disabled_at or self._clock()) if disabled else None
            changed = dataclasses.replace(user, role=role or user.role, disabled_at=disabled_at)
            unit.users.change(changed, new_hash or old_hash)
            if new_hash is not None or changed.disabled_at is not None:
                unit.sessions.remove_of_user(user_id)
        return changed

    def change_own_password(self, principal: Principal, old: str, new: str) -> None:
        """The user who asks has the password `new` from now on, and is signed out everywhere.

        Raises:
            Conflict: the holder of a key asks, who has no password.
            InvalidRequest: `old` is wrong, or `new` cannot be a password.
            TooManyRequests: `old` was wrong too often.
        """
        user_id = principal.user_id
        if user_id is None:
            raise Conflict("You are signed in with an API key, which has no password.")
        passwords.check_password("new_password", new)
        counted = (user_id, BY_NAME)
        self._throttle.attempt(counted)
        with self._store.read() as unit:
            found = unit.users.get(user_id)
        if found is None:
            raise NotFound("There is no such user any more.")
        if not passwords.matches(found[1], old):
            raise InvalidRequest(
                FieldProblem(field="old_password", message="is wrong.", remedy="Write the password you signed in with.")
            )
        self._throttle.succeeded(user_id, counted)
        new_hash = passwords.hashed(new)
        with self._store.write() as unit:
            again = unit.users.get(user_id, lock=True)
            if again is None or again[1] != found[1]:
                raise Conflict("Somebody else has just changed this password.")
            unit.users.change(again[0], new_hash)
            unit.sessions.remove_of_user(user_id)

    def delete(self, principal: Principal, user_id: str) -> None:
        """The user goes, with all sessions; jobs stay, and go on saying whose they were.

        Raises:
            Denied, NotFound
            Conflict: it is the very user that asks.
        """
        with self._store.write() as unit:
            _other(unit, principal, user_id, lock=True)
            unit.users.delete(user_id)

    def _add(self, tenant_id: str | None, name: str, role: Role, password: str) -> User:
        check_name("name", name)
        passwords.check_password("password", password)
        user = User(id=new_id("user"), tenant_id=tenant_id, name=name, role=role, created_at=self._clock())
        password_hash = passwords.hashed(password)
        with self._store.write() as unit:
            unit.users.add(user, password_hash)
        return user


def _other(unit: Unit, principal: Principal, user_id: str, *, lock: bool = False) -> tuple[User, str]:
    """A user whom the principal may change, and the password's hash."""
    principal.require(Role.ADMIN)
    found = _found(unit, principal, user_id, lock=lock)
    if user_id == principal.user_id:
        raise Conflict("This is you: have another admin do that. PUT /v1/session/password changes your password.")
    return found


def _found(unit: Unit, principal: Principal, user_id: str, *, lock: bool = False) -> tuple[User, str]:
    found = unit.users.get(user_id, lock=lock)
    foreign = principal.role is not Role.OPERATOR and found and found[0].tenant_id != principal.tenant_id
    if found is None or foreign:
        raise NotFound(f"There is no user {user_id!r}.")
    return found


def _check_role(principal: Principal, tenant_id: str | None, role: Role) -> None:
    if (tenant_id is None) != (role is Role.OPERATOR):
        message = "An operator belongs to no tenant, and every other user to one."
        raise InvalidRequest(FieldProblem(field="role", message=message, remedy="Name a tenant or another role."))
    if not principal.role.includes(role):
        raise Denied(f"The role {principal.role} cannot give anybody the role {role}.")
