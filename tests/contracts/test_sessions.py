"""Users and sessions, with a clock of the test's own, on each kind of database."""

import pytest

from tuning_service.domain.errors import Conflict, Denied, InvalidRequest, NotFound, TooManyRequests, Unauthenticated
from tuning_service.domain.state import Role
from tuning_service.manager import passwords, session_mgr, user_mgr
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.session_mgr import SessionMgr
from tuning_service.manager.user_mgr import UserMgr

PASSWORD = "correct horse battery"
HOUR = 3600.0


class World:
    """A deployment with the tenants 'vision' and 'speech', and the user 'ada' of the former."""

    def __init__(self, store) -> None:
        self.now = 1_900_000_000.0
        self.store = store
        clock = lambda: self.now  # noqa: E731
        self.access = AccessMgr(store, clock)
        self.users = UserMgr(store, clock)
        self.sessions = SessionMgr(store, clock, idle_s=12 * HOUR, lifetime_s=168 * HOUR)
        self.operator = self.access.authenticate(self.access.create_operator_key("root")[1])
        self.admins = {}
        for tenant in ("vision", "speech"):
            self.access.create_tenant(self.operator, tenant, max_parallel=4)
            self.admins[tenant] = self.access.authenticate(self.key(Role.ADMIN, tenant)[1])
        self.ada = self.users.create(self.admins["vision"], name="ada", role=Role.MEMBER, password=PASSWORD)

    def key(self, role=Role.MEMBER, tenant="vision", **options):
        return self.access.create_key(self.operator, name="key", role=role, tenant=tenant, **options)

    def ada_signs_in(self):
        return self.sessions.sign_in("vision", "ada", PASSWORD)

    def good(self, session) -> bool:
        try:
            self.sessions.authenticate(session.token)
        except Unauthenticated:
            return False
        return True


@pytest.fixture
def world(sqlite_store, weak_passwords) -> World:
    return World(sqlite_store)


@pytest.fixture
def anywhere(store, weak_passwords) -> World:
    """The same on each kind of database, where that may matter."""
    return World(store)


def test_a_user_signs_in_and_is_somebody_with_a_name_and_a_role(anywhere):
    session = anywhere.sessions.sign_in("vision", "ada", PASSWORD)
    who, again = anywhere.sessions.authenticate(session.token)
    assert (who.name, who.role, who.tenant.name, who.key_id, who.user_id) == (
        "ada",
        Role.MEMBER,
        "vision",
        anywhere.ada.id,
        anywhere.ada.id,
    )
    assert again.csrf == session.csrf != session.token
    by_id = anywhere.sessions.sign_in(who.tenant.id, "ada", PASSWORD)
    assert by_id.token != session.token
    assert by_id.csrf != session.csrf


def test_an_operator_signs_in_without_a_tenant(anywhere):
    anywhere.users.create_operator("root", PASSWORD)
    with pytest.raises(Conflict, match="'root'"):
        anywhere.users.create_operator("root", PASSWORD)
    session = anywhere.sessions.sign_in("", "root", PASSWORD)
    who = anywhere.sessions.authenticate(session.token)[0]
    assert (who.role, who.tenant) == (Role.OPERATOR, None)


def test_a_key_signs_in_as_its_holder(world):
    key, secret = world.key(Role.VIEWER)
    session = world.sessions.sign_in_with_key(secret)
    who = world.sessions.authenticate(session.token)[0]
    assert who == world.access.authenticate(secret)
    assert (who.key_id, who.name, who.user_id) == (key.id, "key", None)


WRONG = [
    ("vision", "ada", "wrong horse battery"),
    ("vision", "ada", ""),
    ("vision", "ada", "\ud800" + PASSWORD),
    ("vision", "ada", PASSWORD * 1000),
    ("vision", "bob", PASSWORD),
    ("speech", "ada", PASSWORD),
    ("nowhere", "ada", PASSWORD),
    ("", "ada", PASSWORD),
    ("vision", "a\x00da", PASSWORD),
    ("vis\x00ion", "ada", PASSWORD),
    ("vision", "", PASSWORD),
    ("vision", "ada'--", PASSWORD),
]


@pytest.mark.parametrize("key", ["tsk_key\0.secret", "tsk_\ud800.é", "tsk_key\n.secret", "", "tsk_."])
def test_what_can_be_no_key_is_not_known(anywhere, key):
    for enter in (anywhere.access.authenticate, anywhere.sessions.sign_in_with_key):
        with pytest.raises(Unauthenticated, match="not known"):
            enter(key)


def test_all_wrong_sign_ins_have_one_answer_and_cost_the_same(anywhere, monkeypatch):
    checked = []
    real = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda *given: checked.append(given) or real(*given))
    for number, given in enumerate(WRONG):
        with pytest.raises(Unauthenticated, match=r"^The tenant, the name or the password is wrong\.$"):
            anywhere.sessions.sign_in(*given)
        assert len(checked) == number + 1


def test_a_password_may_be_typed_on_any_keyboard(world):
    world.users.create(world.admins["vision"], name="bob", role=Role.VIEWER, password="caf\u00e9 试验 🎛️ ok")
    assert world.good(world.sessions.sign_in("vision", "bob", "cafe\u0301 试验 🎛️ ok"))


def test_guessing_is_slowed_down_by_name_and_by_address(world):
    def guess(name, address):
        with pytest.raises((Unauthenticated, TooManyRequests)) as caught:
            world.sessions.sign_in("vision", name, "wrong horse battery", address=address)
        return caught.type

    seen = [guess("ada", "10.0.0.1") for _ in range(12)]
    assert seen == [Unauthenticated] * 10 + [TooManyRequests] * 2
    with pytest.raises(TooManyRequests, match="Try again in 30 seconds"):
        world.sessions.sign_in("vision", "ada", PASSWORD, address="10.0.0.2")  # the right one, at the wrong time
    seen = [guess(f"user-{number}", "10.0.0.1") for number in range(42)]
    assert seen == [Unauthenticated] * 40 + [TooManyRequests] * 2
    assert guess("eve", "10.0.0.2") is Unauthenticated
    with pytest.raises(TooManyRequests):
        world.sessions.sign_in_with_key("tsk_x.y", address="10.0.0.1")


def test_signing_in_rightly_is_not_slowed_down(world):
    for _ in range(60):
        world.sessions.sign_in("vision", "ada", PASSWORD, address="10.0.0.1")


def test_a_session_ends_when_it_is_not_used(anywhere):
    session = anywhere.ada_signs_in()
    assert session.expires_at == anywhere.now + 12 * HOUR
    for _ in range(5):
        anywhere.now += 11 * HOUR
        assert anywhere.good(session)
    anywhere.now += 12 * HOUR
    assert not anywhere.good(session)


def test_looking_whether_a_session_is_good_is_no_use_of_it(world):
    session = world.ada_signs_in()
    world.now += 11 * HOUR
    looked = world.sessions.authenticate(session.token, use=False)[1]
    assert looked.expires_at == world.now + HOUR
    world.now += HOUR
    assert not world.good(session)


def test_a_session_ends_a_week_after_it_began_however_much_it_is_used(world):
    session = world.ada_signs_in()
    for _ in range(167):
        world.now += HOUR
        assert world.good(session)
    assert world.sessions.authenticate(session.token)[1].expires_at == session.ends_at
    world.now += HOUR
    assert not world.good(session)


def test_a_session_ends_with_its_key(anywhere):
    key, secret = anywhere.key()
    session = anywhere.sessions.sign_in_with_key(secret)
    anywhere.access.revoke_key(anywhere.operator, key.id)
    assert not anywhere.good(session)
    _, brief = anywhere.key(expires_at=anywhere.now + HOUR)
    session = anywhere.sessions.sign_in_with_key(brief)
    assert session.ends_at == session.expires_at == anywhere.now + HOUR
    anywhere.now += HOUR
    assert not anywhere.good(session)
    with pytest.raises(Unauthenticated, match="expired"):
        anywhere.sessions.sign_in_with_key(brief)


def test_a_session_ends_with_its_user(anywhere):
    admin = anywhere.admins["vision"]
    session = anywhere.ada_signs_in()
    anywhere.users.change(admin, anywhere.ada.id, disabled=True)
    assert not anywhere.good(session)
    with pytest.raises(Unauthenticated, match="is wrong"):
        anywhere.ada_signs_in()
    assert anywhere.users.change(admin, anywhere.ada.id, disabled=False).disabled_at is None
    assert not anywhere.good(session)  # does not come to life again
    session = anywhere.ada_signs_in()
    anywhere.users.delete(admin, anywhere.ada.id)
    assert not anywhere.good(session)
    with pytest.raises(Unauthenticated):
        anywhere.ada_signs_in()


def test_another_password_ends_all_sessions(world):
    session, other = world.ada_signs_in(), world.ada_signs_in()
    world.users.change(world.admins["vision"], world.ada.id, password="another horse battery")
    assert not world.good(session)
    assert not world.good(other)
    with pytest.raises(Unauthenticated):
        world.ada_signs_in()
    assert world.good(world.sessions.sign_in("vision", "ada", "another horse battery"))


@pytest.mark.parametrize("change", [{"password": "another horse battery"}, {"disabled": True}])
def test_a_change_while_somebody_signs_in_ends_that_session_too(anywhere, monkeypatch, change):
    real = passwords.matches

    def slow(stored, password):
        right = real(stored, password)
        anywhere.users.change(anywhere.admins["vision"], anywhere.ada.id, **change)
        return right

    monkeypatch.setattr(session_mgr.passwords, "matches", slow)
    with pytest.raises(Unauthenticated):
        anywhere.ada_signs_in()


def test_a_change_of_role_concerns_sessions_that_there_are(world):
    session = world.ada_signs_in()
    world.users.change(world.admins["vision"], world.ada.id, role=Role.VIEWER)
    assert world.sessions.authenticate(session.token)[0].role is Role.VIEWER


def test_signing_out_ends_one_session(world):
    session, other = world.ada_signs_in(), world.ada_signs_in()
    world.sessions.sign_out(session.token)
    world.sessions.sign_out(session.token)
    assert not world.good(session)
    assert world.good(other)


def test_a_token_that_was_never_given_out_is_nobodys(world):
    for token in ("", "tss_", "tss_x", "tsk_key.x", "Ünïcode", "tss_" + "a" * 10_000, "tss_\x00"):
        with pytest.raises(Unauthenticated, match="session has ended"):
            world.sessions.authenticate(token)


def test_neither_tokens_nor_passwords_are_stored(world):
    from sqlalchemy import select

    from tuning_service.storage.tables_access import sessions, users

    session = world.ada_signs_in()
    with world.store.engine.connect() as connection:
        stored = str(connection.execute(select(sessions)).all()) + str(connection.execute(select(users)).all())
    assert "$argon2id$" in stored
    for secret in (session.token, session.token.removeprefix("tss_"), session.csrf, PASSWORD):
        assert secret not in stored
    assert session.token not in repr(session)


def test_ended_sessions_are_forgotten(anywhere):
    from sqlalchemy import func, select

    from tuning_service.storage.tables_access import sessions

    for _ in range(3):
        anywhere.ada_signs_in()
    anywhere.now += 13 * HOUR
    anywhere.ada_signs_in()
    with anywhere.store.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(sessions)) == 1


def test_one_changes_the_own_password_with_the_old_one(world):
    session = world.ada_signs_in()
    who = world.sessions.authenticate(session.token)[0]
    with pytest.raises(InvalidRequest, match="old_password: is wrong"):
        world.users.change_own_password(who, "wrong horse battery", "another horse battery")
    with pytest.raises(InvalidRequest, match="new_password: has 5 characters"):
        world.users.change_own_password(who, PASSWORD, "short")
    assert world.good(session)
    world.users.change_own_password(who, PASSWORD, "another horse battery")
    assert not world.good(session)
    assert world.good(world.sessions.sign_in_again(who))
    with pytest.raises(Conflict, match="API key"):
        world.users.change_own_password(world.operator, PASSWORD, "another horse battery")


def test_the_old_password_cannot_be_guessed_for_long(world):
    who = world.sessions.authenticate(world.ada_signs_in().token)[0]
    seen = []
    for _ in range(12):
        with pytest.raises((InvalidRequest, TooManyRequests)) as caught:
            world.users.change_own_password(who, "wrong horse battery", "another horse battery")
        seen.append(caught.type)
    assert seen == [InvalidRequest] * 10 + [TooManyRequests] * 2


def test_a_change_of_the_own_password_does_not_undo_another(anywhere, monkeypatch):
    who = anywhere.sessions.authenticate(anywhere.ada_signs_in().token)[0]
    real = passwords.matches

    def slow(stored, password):
        right = real(stored, password)
        anywhere.users.change(anywhere.admins["vision"], anywhere.ada.id, password="set by an admin")
        return right

    monkeypatch.setattr(user_mgr.passwords, "matches", slow)
    with pytest.raises(Conflict, match="has just changed"):
        anywhere.users.change_own_password(who, PASSWORD, "another horse battery")
    monkeypatch.setattr(user_mgr.passwords, "matches", real)
    assert anywhere.good(anywhere.sessions.sign_in("vision", "ada", "set by an admin"))


def test_names_are_unique_within_a_tenant(anywhere):
    with pytest.raises(Conflict, match="'ada'"):
        anywhere.users.create(anywhere.admins["vision"], name="ada", role=Role.VIEWER, password=PASSWORD)
    other = anywhere.users.create(anywhere.admins["speech"], name="ada", role=Role.VIEWER, password=PASSWORD)
    assert (
        anywhere.sessions.authenticate(anywhere.sessions.sign_in("speech", "ada", PASSWORD).token)[0].key_id == other.id
    )
    assert [u.id for u in anywhere.users.users(anywhere.admins["speech"])] == [other.id]
    assert [u.id for u in anywhere.users.users(anywhere.operator, "vision")] == [anywhere.ada.id]
    assert anywhere.users.users(anywhere.operator) == []


def test_admins_manage_users_of_their_tenant_and_nobody_else(world):
    stranger = world.admins["speech"]
    with pytest.raises(NotFound):
        world.users.change(stranger, world.ada.id, disabled=True)
    with pytest.raises(NotFound):
        world.users.delete(stranger, world.ada.id)
    with pytest.raises(NotFound):
        world.users.user(stranger, world.ada.id)
    with pytest.raises(NotFound):
        world.users.users(stranger, "vision")
    with pytest.raises(NotFound):
        world.users.create(stranger, name="eve", role=Role.MEMBER, password=PASSWORD, tenant="vision")
    member = world.sessions.authenticate(world.ada_signs_in().token)[0]
    for act in (
        lambda: world.users.users(member),
        lambda: world.users.create(member, name="eve", role=Role.VIEWER, password=PASSWORD),
        lambda: world.users.change(member, world.ada.id, role=Role.ADMIN),
        lambda: world.users.delete(member, world.ada.id),
    ):
        with pytest.raises(Denied):
            act()
    operator = world.users.create_operator("root", PASSWORD)
    with pytest.raises(NotFound):
        world.users.change(world.admins["vision"], operator.id, password=PASSWORD)


def test_nobody_gives_a_role_above_the_own_or_away_from_its_place(world):
    admin = world.admins["vision"]
    with pytest.raises(InvalidRequest, match="role: An operator belongs to no tenant"):
        world.users.change(admin, world.ada.id, role=Role.OPERATOR)
    with pytest.raises(InvalidRequest, match="role: An operator belongs to no tenant"):
        world.users.create(admin, name="eve", role=Role.OPERATOR, password=PASSWORD)
    with pytest.raises(InvalidRequest, match="role"):
        world.users.create(world.operator, name="eve", role=Role.MEMBER, password=PASSWORD)


def test_an_admin_does_not_lock_the_own_door(world):
    boss = world.users.create(world.admins["vision"], name="boss", role=Role.ADMIN, password=PASSWORD)
    who = world.sessions.authenticate(world.sessions.sign_in("vision", "boss", PASSWORD).token)[0]
    for change in ({"disabled": True}, {"role": Role.VIEWER}, {"password": "another horse battery"}):
        with pytest.raises(Conflict, match="This is you"):
            world.users.change(who, boss.id, **change)
    with pytest.raises(Conflict, match="This is you"):
        world.users.delete(who, boss.id)


def test_a_user_that_cannot_be_is_refused_without_quoting_the_password(world):
    for name, password, field in (
        ("Ada", PASSWORD, "name"),
        ("", PASSWORD, "name"),
        ("a" * 64, PASSWORD, "name"),
        ("a\x00", PASSWORD, "name"),
        ("eve", "123456789", "password"),
        ("eve", "x" * 513, "password"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            world.users.create(world.admins["vision"], name=name, role=Role.MEMBER, password=password)
        assert [problem.field for problem in caught.value.problems] == [field]
        assert password not in str(caught.value)
