"""What the store promises about plug-ins, on each kind of database."""

import dataclasses

import pytest

from tests.samples import a_spec, stored_job
from tuning_service.domain.errors import Conflict
from tuning_service.domain.job import AlgorithmChoice
from tuning_service.domain.plugin import Plugin, PluginStatus
from tuning_service.domain.state import JobStatus
from tuning_service.storage.plugins import plugin_id


def a_plugin(tenant_id, name="mine", version="1.0", **changes):
    plugin = Plugin(
        id=plugin_id(tenant_id, name, version),
        tenant_id=tenant_id,
        name=name,
        version=version,
        interface="hpt",
        digest="e" * 64,
        bytes=12,
        manifest={"name": name, "options": {"größe": {"min": 0.5}}},
        status=PluginStatus.INSTALLING,
        reason="installing 日本",
        created_at=2.0,
    )
    return dataclasses.replace(plugin, **changes)


def test_a_version_is_stored_once_and_comes_back_as_it_was(store, alice):
    plugin = a_plugin(alice.tenant_id)
    with store.write() as unit:
        rows = unit.for_tenant(alice).plugins
        assert rows.add(plugin)
        assert not rows.add(dataclasses.replace(plugin, digest="f" * 64))
    with store.read() as unit:
        rows = unit.for_tenant(alice).plugins
        assert rows.own("mine", "1.0") == plugin
        assert rows.own("mine", "2.0") is None
        assert rows.is_used("e" * 64)
        assert not rows.is_used("f" * 64)


def test_a_tenant_sees_its_own_and_the_operators_and_nobody_elses(store, alice, bob):
    with store.write() as unit:
        unit.for_tenant(alice).plugins.add(a_plugin(alice.tenant_id, "b"))
        unit.for_tenant(bob).plugins.add(a_plugin(bob.tenant_id, "a"))
        unit.plugins_of(None).add(a_plugin(None, "a"))
        unit.plugins_of(None).add(a_plugin(None, "c"))
    with store.read() as unit:
        assert [p.name for p in unit.for_tenant(alice).plugins.visible()] == ["a", "b", "c"]
        (own,) = unit.for_tenant(bob).plugins.visible("a")  # made before the operator's of that name
        assert own.tenant_id == bob.tenant_id
        assert unit.for_tenant(bob).plugins.own("b", "1.0") is None
        assert [p.name for p in unit.plugins_of(None).visible()] == ["a", "c"]
        assert unit.plugins_of(bob.tenant_id).visible("b") == []


def test_a_status_is_of_the_content_that_it_was_found_of(store, alice):
    plugin = a_plugin(alice.tenant_id)
    with store.write() as unit:
        rows = unit.for_tenant(alice).plugins
        rows.add(plugin)
        rows.set_status(dataclasses.replace(plugin, digest="0" * 64), PluginStatus.FAILED, "another one")
        assert rows.own("mine", "1.0").status is PluginStatus.INSTALLING
        assert rows.installing(before=3.0) == [plugin]
        assert rows.installing(before=2.0) == []
        rows.set_status(plugin, PluginStatus.READY, "")
        assert rows.own("mine", "1.0") == dataclasses.replace(plugin, status=PluginStatus.READY, reason="")
        assert rows.installing(before=3.0) == []


def test_it_is_kept_while_a_job_of_its_tenants_uses_that_version(store, alice, bob):
    mine, theirs, shared = a_plugin(alice.tenant_id), a_plugin(bob.tenant_id), a_plugin(None, "common")
    using = {name: a_spec(algorithm=AlgorithmChoice(name=name, version="1.0")) for name in ("mine", "common")}
    job = stored_job(store, alice, spec=using["mine"])
    other = stored_job(store, bob, spec=using["common"])
    with store.write() as unit:
        for tenant, plugin in ((alice.tenant_id, mine), (bob.tenant_id, theirs), (None, shared)):
            unit.plugins_of(tenant).add(plugin)
        unit.plugins_of(alice.tenant_id).add(a_plugin(alice.tenant_id, version="2.0"))
    for plugin, user in ((mine, job), (shared, other)):
        with store.write() as unit, pytest.raises(Conflict, match=user.id):
            unit.plugins_of(plugin.tenant_id).delete(plugin)
    with store.write() as unit:
        unit.plugins_of(bob.tenant_id).delete(theirs)
        unit.plugins_of(alice.tenant_id).delete(a_plugin(alice.tenant_id, version="2.0"))
        unit.control.set_job(dataclasses.replace(job, status=JobStatus.COMPLETED), 3.0)
    with store.write() as unit:
        unit.plugins_of(alice.tenant_id).delete(mine)
    with store.read() as unit:
        assert [p.name for p in unit.plugins_of(alice.tenant_id).visible()] == ["common"]


def check_of(store, plugin):
    with store.read() as unit:
        return unit.plugin_checks.of([plugin.id]).get(plugin.id)


def test_a_plugin_is_checked_by_one_and_keeps_its_last_result(store, alice):
    plugin = a_plugin(alice.tenant_id)
    with store.write() as unit:
        unit.for_tenant(alice).plugins.add(plugin)
    assert check_of(store, plugin) is None
    with store.write() as unit:
        assert unit.plugin_checks.claim(plugin.id, "first", 100.0)
        assert not unit.plugin_checks.claim(plugin.id, "second", 101.0)
    assert check_of(store, plugin).is_running(101.0)
    lines = [{"name": "größe", "ok": False, "detail": "日本"}]
    with store.write() as unit:
        unit.plugin_checks.end(plugin.id, "first", 110.0, lines)
    done = check_of(store, plugin)
    assert (done.ended_at, list(done.results), done.is_running(110.0)) == (110.0, lines, False)
    # One that fails to come to a result leaves the last one.
    with store.write() as unit:
        assert unit.plugin_checks.claim(plugin.id, "third", 120.0)
        unit.plugin_checks.end(plugin.id, "third", 121.0, None)
    assert check_of(store, plugin) == done
    with store.write() as unit:
        unit.plugin_checks.claim(plugin.id, "fourth", 122.0)
        unit.for_tenant(alice).plugins.delete(plugin)
        unit.plugin_checks.end(plugin.id, "fourth", 123.0, lines)
    assert check_of(store, plugin) is None


def test_a_check_whose_process_died_makes_room_for_another(store, alice):
    plugin = a_plugin(alice.tenant_id)
    with store.write() as unit:
        unit.for_tenant(alice).plugins.add(plugin)
        unit.plugin_checks.claim(plugin.id, "dead", 100.0)
        unit.plugin_checks.goes_on(plugin.id, "dead", 110.0)
    assert check_of(store, plugin).is_running(125.0)
    assert not check_of(store, plugin).is_running(200.0)
    with store.write() as unit:
        assert unit.plugin_checks.claim(plugin.id, "second", 200.0)
        # It had only been slow: what it says late is not taken for the other's.
        unit.plugin_checks.goes_on(plugin.id, "dead", 900.0)
        unit.plugin_checks.end(plugin.id, "dead", 900.0, [])
    running = check_of(store, plugin)
    assert (running.began_at, running.seen_at, running.ended_at) == (200.0, 200.0, None)
