"""SessionMgr: signing in, with a key or a password, and who a session's token stands for."""

import hashlib
import hmac
import secrets
from contextlib import suppress
from dataclasses import dataclass, field

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import NotFound, TryAgain, Unauthenticated
from tuning_service.domain.principal import Principal, StoredSession, User
from tuning_service.manager import passwords
from tuning_service.manager.access import NAME, AccessMgr, key_holder
from tuning_service.manager.throttle import BY_ADDRESS, BY_NAME, Allowance, Throttle, neighbourhood
from tuning_service.storage.store import Store, Unit

IDLE_S = 12 * 3600.0
LIFETIME_S = 7 * 24 * 3600.0
_PREFIX = "tss_"
_LONGEST_TOKEN = 100
_WRONG = "The tenant, the name or the password is wrong."
_ENDED = "This session has ended; sign in again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A sign-in. `token` and `csrf` are secrets, the one for a cookie that scripts cannot read, the other for them."""

    principal: Principal
    token: str = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: float  # unless it is used before
    ends_at: float  # however much it is used


class SessionMgr:
    """Sessions of browsers. Safe from any thread.

    A session is good for as long as its key or user is: that is looked up each time.
    """

    def __init__(
        self, store: Store, clock: Clock = system_clock, *, idle_s: float = IDLE_S, lifetime_s: float = LIFETIME_S
    ) -> None:
        """A session ends `idle_s` seconds after its last use, and `lifetime_s` after the sign-in."""
        self._store = store
        self._clock = clock
        self._access = AccessMgr(store, clock)
        self._idle_s = idle_s
        self._lifetime_s = lifetime_s
        self._throttle = Throttle()
        # A use is written down only now and then: most of them only read.
        self._step_s = min(60.0, idle_s / 10)

    def sign_in_with_key(self, key: str, *, address: str = "") -> Session:
        """A new session of whoever holds this API key. It ends with the key at the latest.

        `address` is where the request comes from.

        Raises:
            Unauthenticated: the key is not known, was revoked, or has expired.
            TooManyRequests: too many attempts from this address have failed.
        """
        counted = self._counted(address)
        self._throttle.attempt(*counted)
        principal = self._access.authenticate(key)
        self._throttle.succeeded(None, *counted)
        with self._store.write() as unit:
            found = unit.tenancy.key(principal.key_id)
            assert found is not None  # keys are revoked, never deleted
            return self._begin(unit, principal, found[0].expires_at)

    def sign_in(self, tenant: str, name: str, password: str, *, address: str = "") -> Session:
        """A new session of a user of this tenant (id or name); of an operator when that is empty.

        An unknown user is answered as a wrong password is, and takes as long.

        Raises:
            Unauthenticated: there is no such user, the password is wrong, or the user is disabled.
            TooManyRequests: too many attempts for this name, or from this address, have failed.
            TryAgain: too many sign in at this moment.
        """
        by_name = ("name", tenant[:64], name[:64])
        counted = [(by_name, BY_NAME), *self._counted(address)]
        self._throttle.attempt(*counted)
        with self._store.read() as unit:
            user, stored = _user(unit, tenant, name)
        if not passwords.matches(stored, password) or user is None or user.disabled_at is not None:
            raise Unauthenticated(_WRONG)
        self._throttle.succeeded(by_name, *counted)
        with self._store.write() as unit:
            # Locked, so that a password that is changed meanwhile ends this session as well.
            again = unit.users.get(user.id, lock=True)
            if again is None or again[0].disabled_at is not None or again[1] != stored:
                raise Unauthenticated(_WRONG)
            return self._begin(unit, _principal(unit, again[0]), None)

    def sign_in_again(self, principal: Principal) -> Session:
        """A new session for a user who has one: after a change of the password, which has ended them all.

        Raises:
            Unauthenticated: the user was disabled or deleted meanwhile.
        """
        assert principal.user_id is not None
        with self._store.write() as unit:
            found = unit.users.get(principal.user_id, lock=True)
            if found is None or found[0].disabled_at is not None:
                raise Unauthenticated(_ENDED)
            return self._begin(unit, _principal(unit, found[0]), None)

    def authenticate(self, token: str, *, use: bool = True) -> tuple[Principal, Session]:
        """Who has this session. Without `use` that does not put its end off.

        Raises:
            Unauthenticated: there is none, it has ended, its key was revoked or has expired, its user was disabled,
                deleted, or given another password.
        """
        if not token.isascii() or not token.startswith(_PREFIX) or len(token) > _LONGEST_TOKEN:
            raise Unauthenticated(_ENDED)
        now = self._clock()
        with self._store.read() as unit:
            stored = unit.sessions.find(_digest(token))
            if stored is None or min(stored.ends_at, stored.seen_at + self._idle_s) <= now:
                raise Unauthenticated(_ENDED)
            principal = _holder(unit, stored, now)
        if use and now - stored.seen_at >= self._step_s:
            # While nothing can be written, who is signed in may go on reading.
            with suppress(TryAgain), self._store.write() as unit:
                unit.sessions.seen(stored.id, now)
        return principal, self._session(token, principal, now if use else stored.seen_at, stored.ends_at)

    def sign_out(self, token: str) -> None:
        """The session has ended; one that is not known has ended before."""
        with self._store.write() as unit:
            unit.sessions.remove(_digest(token))

    def _counted(self, address: str) -> list[tuple[object, Allowance]]:
        return [(("address", neighbourhood(address)), BY_ADDRESS)] if address else []

    def _begin(self, unit: Unit, principal: Principal, key_ends_at: float | None) -> Session:
        now = self._clock()
        token = _PREFIX + secrets.token_urlsafe(32)
        ends_at = now + self._lifetime_s
        if key_ends_at is not None:
            ends_at = min(ends_at, key_ends_at)
        unit.sessions.tidy(now, self._idle_s)
        unit.sessions.add(
            StoredSession(
                id=_digest(token),
                key_id=principal.key_id if principal.user_id is None else None,
                user_id=principal.user_id,
                created_at=now,
                seen_at=now,
                ends_at=ends_at,
            )
        )
        return self._session(token, principal, now, ends_at)

    def _session(self, token: str, principal: Principal, seen_at: float, ends_at: float) -> Session:
        expires_at = min(ends_at, seen_at + self._idle_s)
        return Session(principal=principal, token=token, csrf=_csrf(token), expires_at=expires_at, ends_at=ends_at)


def _user(unit: Unit, tenant: str, name: str) -> tuple[User | None, str | None]:
    """The user of that name and the password's hash."""
    if not NAME.fullmatch(name) or (tenant and not NAME.fullmatch(tenant)):
        return None, None
    try:
        found = unit.users.named(unit.tenancy.tenant(tenant).id if tenant else None, name)
    except NotFound:
        return None, None
    return found or (None, None)


def _holder(unit: Unit, stored: StoredSession, now: float) -> Principal:
    if stored.key_id is not None:
        found = unit.tenancy.key(stored.key_id)
        if found is not None:
            return key_holder(unit, found[0], now)
    elif stored.user_id is not None:
        known = unit.users.get(stored.user_id)
        if known is not None and known[0].disabled_at is None:
            return _principal(unit, known[0])
    raise Unauthenticated(_ENDED)


def _principal(unit: Unit, user: User) -> Principal:
    tenant = None if user.tenant_id is None else unit.tenancy.tenant(user.tenant_id)
    return Principal(key_id=user.id, role=user.role, tenant=tenant, name=user.name, user_id=user.id)


def _digest(token: str) -> str:
    # A fast hash is right here: the token is 256 random bits, so there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()


def _csrf(token: str) -> str:
    """Made from the token, so that it is stored nowhere; the token cannot be found from it."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()
