"""Plug-ins over REST: uploaded, installed, listed, named by jobs, deleted; and what is refused."""

from tests.plugins import OLD_RANDOM, plugin_files, tarred, waiting_files, write, zipped
from tests.rest_service import Driver, Service, submit
from tests.waiting import wait_for
from tuning_service.domain.state import JobStatus
from tuning_service.manager.plugin_mgr import PluginMgr
from tuning_service.search.plugins.cache import PluginCache
from tuning_service.search.plugins.limits import PluginLimits

OPTIONS = """
[options.reach]
type = "float"
default = 0.5
min = 0.0
max = 1.0
description = "How far."
[options.mode]
type = "str"
default = "calm"
choices = ["calm", "wild"]
"""


def upload(service: Service, data: bytes, status: int = 202, key: str | None = None, **params):
    with service.http(key) as http:
        answer = http.post("/v1/plugins", content=data, params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


def installed(service: Service, data: bytes, **params):
    made = upload(service, data, **params)
    with service.http() as http:
        path = f"/v1/plugins/{made['name']}/{made['version']}"
        return wait_for(lambda: (p := http.get(path).json())["status"] != "installing" and p)


def submitted(service: Service, algorithm: dict, status: int, **changes):
    with service.http() as http:
        answer = submit(http, algorithm=algorithm, **changes)
    assert answer.status_code == status, answer.text
    return answer.json()


def problem(service: Service, algorithm: dict, **changes) -> str:
    (error,) = submitted(service, algorithm, 422, **changes)["errors"]
    return f"{error['field']}: {error['message']} {error['remedy']}"


def test_a_plugin_from_upload_to_deletion(service: Service):
    files = plugin_files(rest=OPTIONS)
    plugin = installed(service, zipped(files, prefix="my folder/"))
    assert (plugin["status"], plugin["reason"], plugin["kind"]) == ("ready", "", "plugin")
    again = upload(service, tarred(files))
    assert (again["digest"], again["status"]) == (plugin["digest"], "ready")

    with service.http(service.keys["vision/viewer"]) as http:
        (item,) = [a for a in http.get("/v1/algorithms").json()["items"] if a["name"] == "mine"]
        assert item == http.get("/v1/algorithms/mine").json()
        assert (item["kind"], item["version"], item["status"]) == ("plugin", "1.0.0", "ready")
        assert item["options"]["properties"]["mode"]["enum"] == ["calm", "wild"]
        assert [p["version"] for p in http.get("/v1/plugins/mine").json()["items"]] == ["1.0.0"]
        assert http.delete("/v1/plugins/mine/1.0.0").status_code == 403
        assert http.post("/v1/plugins", content=zipped(files)).status_code == 403

    job = submitted(service, {"name": "mine", "options": {"mode": "wild"}}, 201)
    pinned = {"name": "mine", "version": "1.0.0", "options": {"reach": 0.5, "mode": "wild"}}
    assert job["spec"]["algorithm"] == pinned | {"digest": plugin["digest"]}
    again = submitted(service, job["spec"]["algorithm"], 201)
    assert again["spec"]["algorithm"] == job["spec"]["algorithm"]
    assert "has other content now" in problem(service, pinned | {"digest": "0" * 64})
    with service.http() as http:
        refused = http.delete("/v1/plugins/mine/1.0.0")
        assert refused.status_code == 409
        assert job["id"] in refused.json()["detail"]
        for made in (job, again):
            Driver(service, made["id"]).set_status(JobStatus.COMPLETED)
        assert http.delete("/v1/plugins/mine/1.0.0").status_code == 204
        assert http.get("/v1/plugins/mine/1.0.0").status_code == 404
        assert http.get("/v1/plugins").json()["items"] == []


def test_bad_options_of_a_plugin_are_refused_without_running_it(service: Service):
    installed(service, zipped(plugin_files(rest=OPTIONS)))
    mine = {"name": "mine"}
    assert "Did you mean 'reach'?" in problem(service, mine | {"options": {"raech": 1}})
    assert "less than or equal to 1" in problem(service, mine | {"options": {"reach": 2}})
    assert "algorithm.options.mode" in problem(service, mine | {"options": {"mode": "mad"}})
    assert "should be a number" in problem(service, mine | {"options": {"reach": True}})
    assert "There are: 1.0.0." in problem(service, mine | {"version": "2.0"})
    assert "Did you mean 'mine'?" in problem(service, {"name": "mien"})
    assert "is built in and has no versions" in problem(service, {"name": "random", "version": "1"})


def test_what_replaces_a_version_that_was_being_installed_is_installed_too(service: Service, tmp_path):
    gate = tmp_path / "gate"
    upload(service, zipped(waiting_files(gate)))
    with service.http() as http:
        assert http.delete("/v1/plugins/mine/1.0.0").status_code == 204
    assert installed(service, zipped(plugin_files()))["status"] == "ready"
    gate.touch()


def test_a_job_takes_the_newest_version_that_is_ready(service: Service):
    for version in ("1.9.0", "1.10.0"):
        installed(service, zipped(plugin_files(version=version)))
    installed(service, zipped(plugin_files("1 / 0", version="2.0.0")))
    assert submitted(service, {"name": "mine"}, 201)["spec"]["algorithm"]["version"] == "1.10.0"
    assert submitted(service, {"name": "mine", "version": "1.9.0"}, 201)["spec"]["algorithm"]["version"] == "1.9.0"
    assert "mine 2.0.0 cannot be used: Plug-in mine 2.0.0 failed: ZeroDivisionError" in problem(
        service, {"name": "mine", "version": "2.0.0"}
    )


BROKEN = [
    ("class Mine(:\n    pass\n", "mine.py, line 1: invalid syntax: class Mine(:"),
    ("class Mein: pass", "module mine has no class Mine. Did you mean 'Mein'?"),
    ("import nowhere", "imports 'nowhere', which is not there; name its package among the requirements"),
    ("1 / 0", "its module mine does not import: ZeroDivisionError: division by zero"),
    ("class Mine: pass", "Mine is no HPTAlgorithm; derive it"),
    (
        "import tuning_service.search as s\nclass Mine(s.random_search.RandomSearch):\n def __init__(self): pass",
        "does not take what it is given (too many positional arguments); use __init__(self, space, objectives,",
    ),
]


def test_a_plugin_that_does_not_load_says_why(service: Service):
    for i, (module, _) in enumerate(BROKEN):
        upload(service, zipped(plugin_files(version=f"1.{i}") | {"mine.py": module}))
    with service.http() as http:
        for i, (_, told) in enumerate(BROKEN):
            path = f"/v1/plugins/mine/1.{i}"
            plugin = wait_for(lambda path=path: (p := http.get(path).json())["status"] != "installing" and p)
            assert plugin["status"] == "failed"
            assert told in plugin["reason"]


def test_requirements_that_do_not_resolve_are_told_with_pips_own_words(service: Service, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    plugin = installed(service, zipped(plugin_files(rest="requirements = ['there-is-no-such-package==1.0']")))
    assert plugin["status"] == "failed"
    assert "No matching distribution found for there-is-no-such-package==1.0" in plugin["reason"]
    assert "mine 1.0.0 cannot be used: The requirements could not be installed." in problem(service, {"name": "mine"})


def test_what_an_upload_may_not_be(service: Service):
    def refused(files=None, data=None, status=422, **params):
        answer = upload(service, data or zipped(files), status, **params)
        return answer["detail"]

    good = plugin_files()
    assert "is the name of a built-in algorithm" in refused(plugin_files(name="random"))
    assert "plugin.toml: is no TOML" in refused(good | {"plugin.toml": "name = "})
    assert "is missing; at the top level are mine.py" in refused({"mine.py": good["mine.py"]})
    assert "this is no readable tar" in refused(data=b"not an archive at all")
    assert "leads out of the program's folder" in refused({"../mine.py": "x"})
    upload(service, zipped(good))
    detail = refused(plugin_files("pass  # other"), status=409)
    assert "stored with other content; raise the version" in detail


def test_another_tenant_sees_nothing_of_it_and_may_have_the_same_name(service: Service):
    installed(service, zipped(plugin_files()))
    stranger = service.keys["speech/admin"]
    with service.http(stranger) as http:
        assert http.get("/v1/plugins").json()["items"] == []
        assert http.get("/v1/algorithms/mine").status_code == 404
        assert http.delete("/v1/plugins/mine/1.0.0").status_code == 404
    upload(service, zipped(plugin_files("pass  # theirs")), key=stranger)


def test_the_older_interface_is_uploaded_as_it_is(service: Service):
    data = tarred({"optimizer.py": OLD_RANDOM})
    assert "name: is needed for a plug-in without plugin.toml" in upload(service, data, 422)["detail"]
    plugin = installed(service, data, name="old_random")
    assert (plugin["status"], plugin["interface"], plugin["version"]) == ("ready", "dli", "1"), plugin["reason"]
    old = {"name": "old_random", "options": {"RandomSeed": "7", "Whatever": 3}}
    assert problem(service, old).startswith("space.momentum.when: old_random knows no conditions.")
    flat = {"space": {"lr": {"type": "float", "min": 0, "max": 1}}}
    assert submitted(service, old, 201, **flat)["spec"]["algorithm"]["options"] == old["options"]


def test_the_operators_folder_is_for_all_and_a_broken_one_is_listed(service: Service, tmp_path):
    folder = tmp_path / "operators"
    write(folder / "mine", plugin_files())
    write(folder / "broken", {"plugin.toml": "name = 1"})
    (folder / "README.md").write_text("Plug-ins.")
    (folder / "old.tar").write_bytes(tarred({"optimizer.py": OLD_RANDOM}))
    service.plugins.start(folder, alone=True)
    with service.http(service.keys["speech/viewer"]) as http:

        def states():
            return {p["name"]: p["status"] for p in http.get("/v1/plugins").json()["items"]}

        assert set(states()) == {"mine", "broken", "old"}
        wait_for(lambda: states() == {"mine": "ready", "old": "ready", "broken": "failed"})
        (broken,) = http.get("/v1/plugins/broken").json()["items"]
        assert "plugin.toml.name" in broken["reason"]
        assert broken["kind"] == "operator-plugin"
        assert http.get("/v1/algorithms/mine").json()["kind"] == "operator-plugin"
    assert "is the name of a plug-in of the operator's" in upload(service, zipped(plugin_files()), 422)["detail"]
    with service.http() as http:
        assert http.delete("/v1/plugins/mine/1.0.0").status_code == 409

    write(folder / "broken", plugin_files(name="mended"))
    (folder / "old.tar").unlink()
    submitted(service, {"name": "mine"}, 201)
    (folder / "mine" / "plugin.toml").unlink()
    service.plugins.start(folder, alone=True)
    with service.http() as http:
        wait_for(lambda: {p["name"]: p["status"] for p in http.get("/v1/plugins").json()["items"]}.get("mended"))
        names = {p["name"] for p in http.get("/v1/plugins").json()["items"]}
    assert "old" not in names
    assert "mine" in names  # a job uses it


def test_an_installation_that_died_with_its_process_is_done_over(service: Service, tmp_path):
    service.plugins.close()
    with service.http() as http:
        assert http.post("/v1/plugins", content=zipped(plugin_files())).status_code == 503
        assert http.get("/v1/plugins/mine/1.0.0").json()["status"] == "installing"
        cache = PluginCache(tmp_path / "cache")
        again = PluginMgr(service.store, service.artifacts, cache, limits=PluginLimits())
        again.start(tmp_path / "none", alone=True)
        wait_for(lambda: http.get("/v1/plugins/mine/1.0.0").json()["status"] == "ready")
    again.close()


def test_a_form_may_carry_it(service: Service):
    with service.http() as http:
        form = {"data": {"name": "from_form", "version": "3"}, "files": {"file": tarred({"optimizer.py": OLD_RANDOM})}}
        answer = http.post("/v1/plugins", **form)
    assert (answer.status_code, answer.json()["name"], answer.json()["version"]) == (202, "from_form", "3")
    assert answer.headers["location"] == "/v1/plugins/from_form/3"
