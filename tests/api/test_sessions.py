"""Signing in from a browser: cookies, tokens against forged requests, and what ends a session."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import databases
from tests.api.test_access import all_routes, filled
from tests.e2e.service import Deployment
from tests.rest_service import PASSWORD, Driver, Service, a_user, job_file, upload
from tests.waiting import wait_for
from tuning_service import bootstrap
from tuning_service.api import app as app_module
from tuning_service.api import events as events_module
from tuning_service.api import welcome
from tuning_service.domain.errors import GiveUp
from tuning_service.manager import passwords
from tuning_service.settings import Settings

pytestmark = pytest.mark.usefixtures("weak_passwords")
COOKIE = "tuning_session"
NEW_PASSWORD = "another horse battery"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service for requests that are refused, and so change nothing."""
    service = Service(tmp_path_factory.mktemp("shared"))
    with service.served():
        yield service
    service.close()


@pytest.fixture
def ada(service: Service) -> Any:
    return a_user(service, "ada")


def sign_in(http: httpx.Client, password: str = PASSWORD, **changes: Any) -> httpx.Response:
    return http.post("/v1/session", json={"tenant": "vision", "name": "ada", "password": password} | changes)


@contextmanager
def signed_in(service: Service, **who: Any) -> Iterator[httpx.Client]:
    """A browser's page: the cookie goes along by itself, and the page's code adds the token."""
    with service.http(key="") as http:
        answer = http.post("/v1/session", json=who) if who else sign_in(http)
        assert answer.status_code == 200, answer.text
        http.headers["X-CSRF-Token"] = answer.json()["csrf"]
        yield http


def test_a_user_signs_in_works_and_signs_out(service: Service, ada: Any, driver: Driver) -> None:
    with service.http(key="") as http:
        answer = sign_in(http)
        assert answer.status_code == 200
        body = answer.json()
        assert body["principal"] == {
            "id": ada.id,
            "name": "ada",
            "role": "member",
            "tenant": "vision",
            "is_user": True,
        }
        assert answer.headers["cache-control"] == "no-store"
        assert http.get("/v1/session").json()["csrf"] == body["csrf"]
        assert http.get(f"/v1/tuning-jobs/{driver.job_id}").status_code == 200
        token = {"X-CSRF-Token": body["csrf"]}
        assert http.post(f"/v1/tuning-jobs/{driver.job_id}/stop", headers=token).json()["target"] == "stopped"
        stolen = http.cookies[COOKIE]
        out = http.delete("/v1/session", headers=token)
        assert out.status_code == 204
        assert COOKIE not in http.cookies
        assert http.get("/v1/tuning-jobs").status_code == 401
        again = http.get("/v1/tuning-jobs", headers={"Cookie": f"{COOKIE}={stolen}"})
        assert again.status_code == 401
        assert again.json()["detail"] == "This session has ended; sign in again."


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(service: Service, ada: Any) -> None:
    with service.http(key="") as http:
        answer = sign_in(http)
    value, *flags = answer.headers["set-cookie"].split("; ")
    assert value.startswith(f"{COOKIE}=tss_")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(flags)
    assert "Secure" not in flags  # over plain HTTP a browser would drop it
    lasts = next(int(flag.removeprefix("Max-Age=")) for flag in flags if flag.startswith("Max-Age="))
    assert 7 * 86400 - 60 < lasts <= 7 * 86400
    assert not any(flag.startswith("Domain") for flag in flags)


def test_over_https_the_cookie_is_for_https_and_this_host_alone(service: Service, ada: Any) -> None:
    https = {"X-Forwarded-Proto": "https"}  # the test's server believes its own machine
    with service.http(key="") as http:
        answer = http.post("/v1/session", json={"tenant": "vision", "name": "ada", "password": PASSWORD}, headers=https)
        value, *flags = answer.headers["set-cookie"].split("; ")
        assert value.startswith(f"__Host-{COOKIE}=tss_")
        assert {"Secure", "Path=/", "HttpOnly"} <= set(flags)
        token = value.partition("=")[2]
        http.cookies.clear()

        def status(name: str, headers: dict[str, str]) -> int:
            return http.get("/v1/session", headers={"Cookie": f"{name}={token}"} | headers).status_code

        assert status(f"__Host-{COOKIE}", https) == 200
        # What somebody on the way has set without HTTPS does not count over HTTPS, nor the other way round.
        assert status(COOKIE, https) == 401
        assert status(f"__Host-{COOKIE}", {}) == 401


@pytest.mark.parametrize("trusted", ["", "127.0.0.1"])
def test_what_a_proxy_says_counts_only_from_trusted_ones(tmp_path: Path, trusted: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    databases.sqlite_in(data)
    bootstrap.create_operator(Settings.load({"TUNING_SERVICE_DATA_DIR": str(data)}), "root", PASSWORD)
    deployment = Deployment(tmp_path, TRUSTED_PROXIES=trusted)
    try:
        deployment.start("manager")
        proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        body = {"name": "root", "password": PASSWORD}
        answer = httpx.post(f"{deployment.url}/v1/session", json=body, headers=proxied)
    finally:
        deployment.stop()
    assert answer.status_code == 200
    assert ("Secure" in answer.headers["set-cookie"]) == bool(trusted)


@pytest.mark.parametrize("text", ["proxy", "10.0.0.1/8", "*"])
def test_a_proxy_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(GiveUp, match="TRUSTED_PROXIES"):
        Settings.load({"TUNING_SERVICE_TRUSTED_PROXIES": text})


def test_a_key_signs_in_and_its_session_ends_with_it(service: Service) -> None:
    with signed_in(service, key=service.key) as http:
        who = http.get("/v1/session").json()["principal"]
        assert (who["name"], who["role"], who["is_user"]) == ("member", "member", False)
        assert who["id"] == service.principal().key_id
        service.access.revoke_key(service.principal(service.operator_key), who["id"])
        refused = http.get("/v1/tuning-jobs")
    assert refused.status_code == 401
    assert refused.json()["detail"] == "This API key was revoked."


def test_every_change_needs_the_sessions_token(service: Service, ada: Any, driver: Driver) -> None:
    routes = [(m, p) for m, p in all_routes(service) if m not in {"GET", "HEAD", "OPTIONS"}]
    routes = [(m, p) for m, p in routes if not p.startswith("/v1/tasks/") and (m, p) != ("POST", "/v1/session")]
    assert len(routes) >= 15
    with signed_in(service) as http, signed_in(service) as other:
        for wrong in (b"", "Ünïcode".encode(), other.headers["X-CSRF-Token"].encode()):
            headers = {b"X-CSRF-Token": wrong}
            for method, path in routes:
                answer = http.request(method, filled(path, driver, "0" * 64, ada.id), headers=headers)
                assert answer.status_code == 403, (method, path)
                assert "X-CSRF-Token" in answer.json()["detail"]
                assert answer.headers["content-type"] == "application/problem+json"
        assert http.get(f"/v1/tuning-jobs/{driver.job_id}").json()["target"] == "running"


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Sec-Fetch-Site": "cross-site", "Origin": "OWN"},
]


def test_pages_of_other_sites_change_nothing(service: Service, ada: Any, driver: Driver) -> None:
    with signed_in(service) as http, service.http() as with_key:
        for foreign in FOREIGN:
            headers = {name: service.url if value == "OWN" else value for name, value in foreign.items()}
            answer = http.post(f"/v1/tuning-jobs/{driver.job_id}/stop", headers=headers)
            assert answer.status_code == 403, foreign
            assert "another site" in answer.json()["detail"]
            assert http.post("/v1/session", json={"key": service.key}, headers=headers).status_code == 403
            assert http.get(f"/v1/tuning-jobs/{driver.job_id}").json()["target"] == "running"
        # A key is never sent by accident: where there is one, nothing else is looked at.
        assert with_key.post(f"/v1/tuning-jobs/{driver.job_id}/stop", headers=FOREIGN[0]).status_code == 200


def test_pages_of_this_service_work(service: Service, ada: Any, driver: Driver) -> None:
    with signed_in(service) as http:
        for headers in ({"Sec-Fetch-Site": "same-origin", "Origin": "https://seen.outside"}, {"Origin": service.url}):
            assert http.post(f"/v1/tuning-jobs/{driver.job_id}/stop", headers=headers).status_code == 200


def test_a_key_goes_before_a_cookie(service: Service, ada: Any) -> None:
    with signed_in(service) as http:
        header = {"Authorization": f"Bearer {service.keys['speech/viewer']}"}
        who = http.get("/v1/session", headers=header).json()
        assert (who["principal"]["tenant"], who["csrf"], who["expires_at"]) == ("speech", None, None)
        assert http.get("/v1/session", headers={"X-API-Key": "tsk_wrong.x"}).status_code == 401


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name", "password"]),
        ({"name": "ada"}, ["password"]),
        ({"key": "tsk_x.y", "password": PASSWORD}, ["key"]),
        ({"key": "k" * 300}, ["key"]),
        ({"key": 7}, ["key"]),
        ({"name": "ada", "password": ["hunter2"]}, ["password"]),
        ({"name": "ada", "password": "hunter2" * 100}, ["password"]),
        ({"user": "ada", "name": "ada", "password": PASSWORD}, ["user"]),
        ([1], ["body"]),
    ],
)
def test_a_bad_sign_in_names_its_fields_and_quotes_no_secret(shared: Service, body: Any, fields: list[str]) -> None:
    with shared.http(key="") as http:
        answer = http.post("/v1/session", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == fields
    assert "hunter2" not in answer.text
    assert "kkk" not in answer.text


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_no_form_of_another_site_can_sign_in(shared: Service, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    with shared.http(key="") as http:
        answer = http.post("/v1/session", content=b'{"key": "x"}', headers=headers)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["Content-Type"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"", 422),
        (b'{"name": "ada", "password": "\\ud800\\ud800\\ud800\\ud800\\ud800"}', 401),
        (b'{"tenant": "vi\\u0000", "name": "ad\\u0000a", "password": "12345678901"}', 401),
    ],
)
def test_odd_bodies_are_answered(shared: Service, content: bytes, status: int) -> None:
    with shared.http(key="") as http:
        answer = http.post("/v1/session", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {status, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_wrong_sign_ins_have_one_answer_until_they_are_too_many(service: Service, ada: Any) -> None:
    with service.http(key="") as http:
        wrong, unknown = sign_in(http, "wrong horse battery"), sign_in(http, name="bob")
        assert wrong.status_code == unknown.status_code == 401
        varying = ("request_id",)
        same = [{k: v for k, v in answer.json().items() if k not in varying} for answer in (wrong, unknown)]
        assert same[0] == same[1]
        assert "set-cookie" not in wrong.headers
        statuses = [sign_in(http, "wrong horse battery").status_code for _ in range(10)]
        assert statuses == [401] * 9 + [429]
        refused = sign_in(http)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 30
        assert sign_in(http, name="bob").status_code == 401  # others are not concerned


def test_one_changes_the_own_password_and_is_signed_out_elsewhere(service: Service, ada: Any) -> None:
    change = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}
    with signed_in(service) as http, signed_in(service) as elsewhere:
        for wrong, field in (
            (change | {"old_password": "wrong"}, "old_password"),
            (change | {"new_password": "x"}, "new_password"),
        ):
            answer = http.put("/v1/session/password", json=wrong)
            assert answer.status_code == 422
            assert [error["field"] for error in answer.json()["errors"]] == [field]
        answer = http.put("/v1/session/password", json=change)
        assert answer.status_code == 200
        assert elsewhere.get("/v1/session").status_code == 401
        assert http.get("/v1/session").json()["csrf"] == answer.json()["csrf"] != http.headers["X-CSRF-Token"]
        assert sign_in(elsewhere).status_code == 401
        assert sign_in(elsewhere, NEW_PASSWORD).status_code == 200


def test_what_sessions_are_asked_of_keys_is_refused(service: Service) -> None:
    with service.http() as http:
        assert http.delete("/v1/session").status_code == 409
        assert http.put("/v1/session/password", json={"old_password": "x", "new_password": "y"}).status_code == 409
    with signed_in(service, key=service.key) as http:
        change = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}
        answer = http.put("/v1/session/password", json=change)
        assert answer.status_code == 409
        assert "API key" in answer.json()["detail"]


def test_signing_in_again_ends_the_session_before(service: Service, ada: Any) -> None:
    with signed_in(service) as http:
        before = http.cookies[COOKIE]
        assert sign_in(http).status_code == 200
        assert http.cookies[COOKIE] != before
        assert http.get("/v1/session", headers={"Cookie": f"{COOKIE}={before}"}).status_code == 401


def test_users_are_made_changed_and_deleted_by_an_admin(service: Service) -> None:
    with service.http(service.keys["vision/admin"]) as admin, service.http(key="") as browser:
        wish = {"name": "ada", "password": PASSWORD, "role": "member"}
        made = admin.post("/v1/users", json=wish, headers={"Idempotency-Key": "u1"})
        assert made.status_code == 201
        again = admin.post("/v1/users", json=wish, headers={"Idempotency-Key": "u1"})
        assert (again.json(), again.headers["idempotency-replayed"]) == (made.json(), "true")
        assert admin.post("/v1/users", json=wish).status_code == 409
        user = made.json()
        path = f"/v1/users/{user['id']}"
        assert "password" not in made.text
        assert admin.get("/v1/users").json()["items"] == [user] == [admin.get(path).json()]
        assert sign_in(browser).status_code == 200
        assert admin.patch(path, json={"role": "viewer"}).json()["role"] == "viewer"
        assert browser.get("/v1/session").json()["principal"]["role"] == "viewer"
        assert admin.patch(path, json={"disabled": True}).json()["disabled_at"] is not None
        assert browser.get("/v1/session").status_code == 401
        assert sign_in(browser).status_code == 401
        assert admin.patch(path, json={"disabled": False, "password": NEW_PASSWORD}).json()["disabled_at"] is None
        assert sign_in(browser, NEW_PASSWORD).status_code == 200
        assert admin.delete(path).status_code == 204
        assert browser.get("/v1/session").status_code == 401
        assert admin.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Ada Lovelace", "password": PASSWORD}, "name"),
        ({"name": "eve", "password": "short"}, "password"),
        ({"name": "eve"}, "password"),
        ({"name": "eve", "password": PASSWORD, "role": "boss"}, "role"),
        ({"name": "eve", "password": PASSWORD, "role": "operator"}, "role"),
        ({"name": "eve", "password": PASSWORD, "rolle": "member"}, "rolle"),
    ],
)
def test_a_bad_user_request_names_its_field(shared: Service, body: Any, field: str) -> None:
    with shared.http(shared.keys["vision/admin"]) as admin:
        answer = admin.post("/v1/users", json=body)
        assert answer.status_code == 422, answer.text
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert "short" not in answer.text


def test_jobs_say_whose_they_are_also_when_the_owner_is_gone(service: Service, ada: Any) -> None:
    with signed_in(service) as http:
        program = upload(http)
        mine = http.post("/v1/tuning-jobs", json=job_file(program)).json()
        assert (mine["owner"], mine["owner_name"]) == (ada.id, "ada")
    with service.http() as http:
        other = http.post("/v1/tuning-jobs", json=job_file(program)).json()
    key_id = service.principal().key_id
    operator = service.principal(service.operator_key)
    service.access.revoke_key(operator, key_id)
    service.users.delete(operator, ada.id)
    with service.http(service.keys["vision/viewer"]) as http:
        jobs = {job["id"]: (job["owner"], job["owner_name"]) for job in http.get("/v1/tuning-jobs").json()["items"]}
    assert jobs == {mine["id"]: (ada.id, "ada"), other["id"]: (key_id, "member")}


@pytest.mark.parametrize("kind", ["events", "log"])
def test_streams_end_with_the_session(
    service: Service, ada: Any, driver: Driver, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(welcome, "CHECK_S", 0.1)
    monkeypatch.setattr(events_module, "HEARTBEAT_S", 0.1)
    run = driver.add_trial(0)
    run.claim()
    run.report(log="one\n")
    path = "/events" if kind == "events" else "/trials/0/log?follow=true"
    with signed_in(service) as http, http.stream("GET", f"/v1/tuning-jobs/{driver.job_id}{path}") as answer:
        assert answer.status_code == 200
        pieces = answer.iter_text()
        assert next(pieces)
        service.users.change(service.principal(service.operator_key), ada.id, disabled=True)
        list(pieces)  # ends, although neither the job nor the trial has


def test_the_portals_paths_are_open_and_know_who_comes(service: Service, ada: Any) -> None:
    from fastapi import Request

    @service.app.get("/page")
    async def page(request: Request) -> dict[str, Any]:
        state = request.state
        return {
            "name": state.principal and state.principal.name,
            "csrf": state.session and state.session.csrf,
            "expires": state.session and state.session.expires_at,
        }

    @service.app.get("/static/app.js")
    async def script(request: Request) -> dict[str, Any]:
        return {"name": request.state.principal and request.state.principal.name}

    nobody = {"name": None, "csrf": None, "expires": None}
    with service.http(key="") as http:
        assert http.get("/page").json() == nobody
        assert http.get("/page", headers={"Cookie": f"{COOKIE}=tss_wrong"}).json() == nobody
        assert http.get("/page", headers={"Authorization": f"Bearer {service.key}"}).json() == nobody
        assert http.get("/nothing-here").status_code == 404
        for closed in ("/v1", "/v1/nothing-here", "/metrics", "/openapi.json"):
            assert http.get(closed).status_code == 401, closed
    with signed_in(service) as http:
        seen = http.get("/page").json()
        assert (seen["name"], seen["csrf"]) == ("ada", http.headers["X-CSRF-Token"])
        assert seen["expires"] > service.tuning.now()
        assert http.get("/static/app.js").json() == {"name": None}
        del http.headers["X-CSRF-Token"]
        assert http.post("/page").status_code == 403


def test_a_route_for_principals_outside_the_closed_paths_is_closed_all_the_same(service: Service) -> None:
    from tuning_service.api.deps import Who

    @service.app.get("/fragment")
    async def fragment(who: Who) -> str:
        return who.name

    with service.http(key="") as http:
        assert http.get("/fragment").status_code == 401


def test_requests_of_sessions_count_within_the_tenants_quota(service: Service, ada: Any) -> None:
    with signed_in(service) as http:
        operator = service.principal(service.operator_key)
        service.access.change_tenant(operator, "vision", max_requests_per_s=1)
        wait_for(lambda: http.get("/v1/session").status_code == 429)


def test_an_operator_who_is_signed_in_sees_tenants_and_no_jobs(service: Service) -> None:
    service.users.create_operator("root", PASSWORD)
    with signed_in(service, name="root", password=PASSWORD) as http:
        assert [tenant["name"] for tenant in http.get("/v1/tenants").json()["items"]] == ["speech", "vision"]
        assert http.get("/metrics").status_code == 200
        assert http.get("/v1/tuning-jobs").status_code == 403
        assert [user["name"] for user in http.get("/v1/users").json()["items"]] == ["root"]


def test_many_sign_ins_at_once_keep_no_other_request_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "_THREADS", 3)
    go_on = threading.Event()
    real = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda *given: go_on.wait(60) and real(*given))
    service = Service(tmp_path)
    a_user(service, "ada")
    statuses: list[int] = []

    def one() -> None:
        with service.http(key="") as http:
            statuses.append(sign_in(http).status_code)

    with service.served():
        threads = [threading.Thread(target=one) for _ in range(8)]
        try:
            for thread in threads:
                thread.start()
            with service.http() as http:
                wait_for(lambda: service.sessions._throttle._until)
                assert http.get("/v1/tuning-jobs").status_code == 200
                assert statuses == []
        finally:
            go_on.set()
            for thread in threads:
                thread.join()
    assert statuses == [200] * 8
    service.close()
