"""Who gets in, and to what."""

import socket
from urllib.parse import urlsplit

import pytest
from starlette.routing import Route

from tests.plugins import plugin_files, zipped
from tests.rest_service import Driver, Service, a_user, an_expired_key
from tuning_service import bootstrap

OPEN = {"/healthz", "/readyz"}
OPEN_PAGES = {"/sign-in", "/static/{release}/{name}"}
SIGN_IN = ("POST", "/v1/session")
# What a route does not do without.
NEEDS = {"search": {"q": "epoch"}, "slice": {"parameter": "lr"}, "contour": {"x": "lr", "y": "optimizer"}}


def walk(routes: object, prefix: str = "") -> list[tuple[str, str, bool]]:
    """(method, path template, whether it is the portal's) of every route, however deep it is nested."""
    found = []
    for route in routes:  # type: ignore[attr-defined]
        if hasattr(route, "methods") and hasattr(route, "path"):
            path = (prefix + route.path).replace(":path}", "}")
            is_page = route.endpoint.__module__.startswith("tuning_service.portal")
            found += [(method, path, is_page) for method in route.methods or () if method != "HEAD"]
        elif hasattr(route, "routes"):
            found += walk(route.routes, prefix + getattr(route, "prefix", ""))
    return found


def all_routes(service: Service) -> list[tuple[str, str]]:
    """(method, path template) of every route that the application has beside the portal's pages."""
    listed = [(method, path) for method, path, is_page in walk(service.app.routes) if not is_page]
    for path, item in service.app.openapi()["paths"].items():
        listed += [(method.upper(), path) for method in item]
    return sorted(set(listed))


def all_pages(service: Service) -> list[str]:
    """The path templates of all that the portal adds, which is looked at and never written to."""
    pages = [(method, path) for method, path, is_page in walk(service.app.routes) if is_page]
    assert {method for method, _ in pages} == {"GET"}
    return sorted({path for _, path in pages})


def filled(path: str, driver: Driver, digest: str, user_id: str = "user_0") -> str:
    for name, value in (
        ("job_id", driver.job_id),
        ("number", "0"),
        ("digest", digest),
        ("key_id", driver.service.principal().key_id),
        ("task_id", "task_0"),
        ("user_id", user_id),
        ("name", "mine"),
        ("version", "1.0.0"),
        ("tenant", "vision"),
        ("host", "node7"),
        ("path", "train.py"),
        ("topic", driver.job_id),
    ):
        path = path.replace("{" + name + "}", value)
    assert "{" not in path, path
    return path


def test_every_route_but_health_needs_a_key(service: Service, driver: Driver) -> None:
    routes = all_routes(service)
    assert len(routes) >= 25
    assert {"/v1/tasks/{task_id}/report", "/v1/tuning-jobs/{job_id}/events", "/openapi.json"} <= {p for _, p in routes}
    with service.http(key="") as anonymous:
        for method, path in routes:
            answer = anonymous.request(method, filled(path, driver, "0" * 64))
            if path in OPEN:
                assert answer.status_code == 200, path
            elif (method, path) == SIGN_IN:
                assert [error["field"] for error in answer.json()["errors"]] == ["Content-Type"]
            else:
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.headers["content-type"] == "application/problem+json"


def test_every_page_sends_strangers_to_the_sign_in(service: Service, driver: Driver) -> None:
    pages = all_pages(service)
    assert {"/", "/jobs", "/jobs/{job_id}", *OPEN_PAGES} <= set(pages)
    with service.http(key="", follow_redirects=True) as anonymous:
        for path in set(pages) - OPEN_PAGES - {"/live/{topic}"}:
            page = filled(path, driver, "0" * 64)
            answer = anonymous.get(page)
            assert (answer.status_code, answer.url.path) == (200, "/sign-in"), page
            assert answer.url.params["next"] == ("/jobs" if page == "/" else page)
            assert driver.job_id not in answer.text.replace(page, "")
            part = anonymous.get(page, headers={"X-Live": "1"})
            assert (part.status_code, part.text) == (401, "") or page == "/"
        assert anonymous.get(f"/live/{driver.job_id}").status_code == 401
        assert anonymous.get("/sign-in").status_code == 200


def test_pages_of_another_tenants_objects_are_not_found(service: Service, driver: Driver) -> None:
    driver.add_trial(0).complete(0.9)
    of_jobs = [path for path in all_pages(service) if "{job_id}" in path or "{topic}" in path]
    assert len(of_jobs) >= 8
    with service.http(key="") as stranger, service.http(key="") as owner:
        for http, key in ((stranger, service.keys["speech/admin"]), (owner, service.key)):
            assert http.post("/v1/session", json={"key": key}).status_code == 200
        for path in of_jobs:
            page = filled(path, driver, "0" * 64)
            answer = stranger.get(page)
            assert answer.status_code == 404, page
            assert "digits" not in answer.text
            assert stranger.get(page, headers={"X-Live": "1"}).status_code == 404
            with owner.stream("GET", page) as seen:
                assert seen.status_code == 200, page


def test_another_tenants_objects_are_not_found(service: Service, driver: Driver) -> None:
    driver.add_trial(0).complete(0.9)
    service.plugins.upload(service.principal(), zipped(plugin_files(name="mine", version="1.0.0")))
    with service.http() as http:
        digest = http.get("/v1/programs").json()["items"][0]["digest"]
    user = a_user(service, "ada")
    named = [(m, p) for m, p in all_routes(service) if "{" in p and not p.startswith("/v1/tasks/")]
    assert len(named) >= 12
    with service.http(service.keys["speech/admin"]) as stranger:
        for method, path in named:
            body = {} if method == "PATCH" else None
            wanted = NEEDS.get(path.rpartition("/")[2])
            answer = stranger.request(method, filled(path, driver, digest, user.id), json=body, params=wanted)
            assert answer.status_code == 404, (method, path, answer.text)
            assert answer.json()["title"] == "Not found"
        assert stranger.get("/v1/tuning-jobs").json()["items"] == []
        assert stranger.get("/v1/programs").json()["items"] == []
    with service.http() as owner:
        assert owner.get(f"/v1/tuning-jobs/{driver.job_id}").json()["target"] == "running"
    assert service.users.users(service.principal(service.keys["vision/admin"])) == [user]


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_both_headers_carry_a_key(service: Service, header: str) -> None:
    value = f"Bearer {service.key}" if header == "Authorization" else service.key
    with service.http(key="") as http:
        assert http.get("/v1/tuning-jobs", headers={header: value}).status_code == 200


@pytest.mark.parametrize("key", ["tsk_key_0.x", "x", "tsk_", "Ünïcode", "a" * 5000, "tsk_\x01"])
def test_a_wrong_key_is_refused(service: Service, key: str) -> None:
    with service.http(key="") as http:
        answer = http.get("/v1/tuning-jobs", headers={b"Authorization": b"Bearer " + key.encode("latin-1")})
    assert answer.status_code in {400, 401}


def test_an_expired_key_is_refused(service: Service) -> None:
    with service.http(an_expired_key(service)) as http:
        answer = http.get("/v1/tuning-jobs")
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


def test_a_viewer_may_only_look(service: Service, driver: Driver) -> None:
    with service.http(service.keys["vision/viewer"]) as viewer:
        assert viewer.get(f"/v1/tuning-jobs/{driver.job_id}").status_code == 200
        for method, path in (("POST", "/stop"), ("POST", "/resume"), ("DELETE", "")):
            answer = viewer.request(method, f"/v1/tuning-jobs/{driver.job_id}{path}")
            assert answer.status_code == 403
            assert "role member" in answer.json()["detail"]
        assert viewer.post("/v1/programs", content=b"x").status_code == 403


def test_keys_are_made_shown_once_and_revoked(service: Service) -> None:
    with service.http(service.keys["vision/admin"]) as admin:
        wish = {"name": "notebook", "role": "member", "expires_at": "2100-01-01T00:00:00Z"}
        made = admin.post("/v1/keys", json=wish)
        assert made.status_code == 201
        key = made.json()
        assert key["expires_at"] == "2100-01-01T00:00:00Z"
        listed = next(item for item in admin.get("/v1/keys").json()["items"] if item["id"] == key["id"])
        assert "secret" not in listed
        with service.http(key["secret"]) as http:
            assert http.get("/v1/tuning-jobs").status_code == 200
            revoked = admin.delete(f"/v1/keys/{key['id']}")
            assert revoked.json()["revoked_at"] is not None
            assert http.get("/v1/tuning-jobs").status_code == 401


def test_the_key_in_a_ready_file_is_good_for_as_long_as_the_service_runs(service: Service) -> None:
    _, of_one_that_was_killed = service.access.create_operator_key("ready-file")
    with bootstrap._first_key(service.access, service.store, "ready.json") as key:
        assert key is not None
        with service.http(key) as http, service.http(of_one_that_was_killed) as old:
            assert http.get("/v1/tenants").status_code == 200
            assert old.get("/v1/tenants").status_code == 401
    with service.http(key) as http, service.http(service.operator_key) as other:
        assert http.get("/v1/tenants").status_code == 401
        assert other.get("/v1/tenants").status_code == 200


def test_a_repeated_key_request_makes_one_key_and_stores_no_secret(service: Service) -> None:
    with service.http(service.keys["vision/admin"]) as admin:
        before = len(admin.get("/v1/keys").json()["items"])
        wish = {"name": "twice", "role": "viewer"}
        first = admin.post("/v1/keys", json=wish, headers={"Idempotency-Key": "k1"})
        second = admin.post("/v1/keys", json=wish, headers={"Idempotency-Key": "k1"})
        assert first.status_code == 201
        assert second.status_code == 409
        assert first.json()["id"] in second.json()["detail"]
        assert len(admin.get("/v1/keys").json()["items"]) == before + 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "a", "role": "boss"}, 422, "role"),
        ({"name": "A B", "role": "member"}, 422, "name"),
        ({"name": "a", "role": "member", "expires_at": "2001-01-01T00:00:00Z"}, 422, "expires_at"),
        ({"name": "a", "role": "member", "expires_at": "2101-01-01T00:00:00"}, 422, "expires_at"),
        ({"name": "a", "role": "member", "rolle": "x"}, 422, "rolle"),
    ],
)
def test_a_bad_key_request_names_its_field(service: Service, body: dict[str, str], status: int, field: str) -> None:
    with service.http(service.keys["vision/admin"]) as admin:
        answer = admin.post("/v1/keys", json=body)
    assert answer.status_code == status
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_tenants_are_the_operators_business(service: Service) -> None:
    with service.http(service.keys["vision/admin"]) as admin:
        assert admin.get("/v1/tenants").status_code == 403
        assert admin.post("/v1/tenants", json={"name": "mine"}).status_code == 403
        assert admin.post("/v1/keys", json={"name": "up", "role": "operator"}).status_code in {403, 422}
    with service.http(service.operator_key) as operator:
        made = operator.post("/v1/tenants", json={"name": "audio", "max_parallel": 3})
        assert made.status_code == 201
        assert made.json()["max_parallel"] == 3
        assert operator.post("/v1/tenants", json={"name": "audio"}).status_code == 409
        names = [tenant["name"] for tenant in operator.get("/v1/tenants").json()["items"]]
        assert names == ["audio", "speech", "vision"]
        # An operator runs the deployment and sees no tenant's work.
        assert operator.get("/v1/tuning-jobs").status_code == 403


def test_a_tasks_token_opens_that_task_alone(service: Service, driver: Driver) -> None:
    first, second = driver.add_trial(0), driver.add_trial(1)
    assert first.claim().status_code == 200
    stolen = service.token(first.task_id)
    assert second.post("report", {}, token=stolen).status_code == 401
    good = {"measurements": [], "log_offset": 0, "log": "", "outcome": None}
    assert second.post("report", good, token=stolen).status_code == 401
    assert second.post("report", good, token=service.key).status_code == 401
    with service.http(stolen) as http:
        assert http.get("/v1/tuning-jobs").status_code == 401


def test_a_stranger_is_refused_before_what_it_sends_is_taken_in(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    place = urlsplit(service.url)
    for what in ("claim", "report"):
        head = f"POST /v1/tasks/{run.task_id}/{what} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\n"
        with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
            connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode())  # and no body
            assert connection.recv(12) == b"HTTP/1.1 401"


def test_routes_of_runners_are_plain_ones(service: Service) -> None:
    lean = [route for route in service.app.routes if type(route) is Route and "/v1/tasks" in route.path]
    assert len(lean) == 5
