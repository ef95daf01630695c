"""Jobs whose algorithm is a plug-in, from the stored archive to the end that the tenant reads of."""

import pytest

from tests.plugins import plugin_files, zipped
from tests.samples import a_spec, stored_job
from tests.waiting import wait_for
from tuning_service.domain.job import AlgorithmChoice, Budget
from tuning_service.domain.plugin import Plugin, PluginStatus
from tuning_service.domain.state import JobStatus
from tuning_service.search.plugins import archive
from tuning_service.search.plugins.cache import PluginCache
from tuning_service.storage.plugins import plugin_id


@pytest.fixture
def run(house, tmp_path):
    """The ended job of a plug-in whose `_suggest` begins with these statements."""
    house.controller(house.cluster(), plugins=PluginCache(tmp_path / "cache"))

    def start(statements="pass", trials=4, stored=True, pinned="", ends=True):
        tenant = house.alice.tenant_id
        packed = archive.read(zipped(plugin_files(statements)))
        plugin = Plugin(
            id=plugin_id(tenant, "mine", "1.0.0"),
            tenant_id=tenant,
            name="mine",
            version="1.0.0",
            interface="hpt",
            digest=packed.digest,
            bytes=1,
            manifest=packed.manifest.to_json(),
            status=PluginStatus.READY,
            reason="",
            created_at=1.0,
        )
        if stored:
            house.artifacts.put_plugin(tenant, packed.digest, packed.data)
            with house.store.write() as unit:
                assert unit.plugins_of(tenant).add(plugin)
        choice = AlgorithmChoice(name="mine", version="1.0.0", digest=pinned)
        spec = a_spec(framework="plain", budget=Budget(trials=trials, parallel=2), algorithm=choice)
        job = stored_job(house.store, house.alice, spec=spec)
        house.notify(job.id)
        return house.until_status(job, JobStatus.COMPLETED, JobStatus.FAILED) if ends else job

    return start


def test_a_job_runs_its_plugin_to_the_end(run, house):
    job = run()
    assert (job.status, job.reason) == (JobStatus.COMPLETED, "")
    assert len(house.trials(job)) == 4


def test_a_controller_that_cannot_unpack_the_plugin_says_so_until_it_can(run, house, tmp_path):
    (tmp_path / "cache").write_text("no room for a folder here")
    job = run(ends=False)
    told = "Waits: the search algorithm cannot be asked: no process can be started for it: Not a directory."
    wait_for(lambda: house.job(job).reason == told, lambda: house.job(job))
    (tmp_path / "cache").unlink()
    ended = house.until_status(job, JobStatus.COMPLETED, JobStatus.FAILED)
    assert (ended.status, ended.reason) == (JobStatus.COMPLETED, "")
    assert len(house.trials(job)) == 4


def test_the_tenant_reads_where_the_plugin_failed(run):
    job = run("if len(self.seen) > 1: raise ZeroDivisionError('by nought')")
    assert job.status is JobStatus.FAILED
    lines = job.reason.splitlines()
    assert lines[0] == "Plug-in mine 1.0.0 failed: ZeroDivisionError: by nought"
    assert lines[1].strip() == 'File "mine.py", line 15, in _suggest'


def test_a_plugin_that_ends_early_ends_the_job_and_that_is_said(run, house):
    job = run("if self.next_number(pending) > 1: return []")
    assert job.status is JobStatus.COMPLETED
    assert job.reason.startswith("Plug-in mine 1.0.0 suggests no more: asked for ")
    assert job.reason.endswith(", it gave 0.")
    assert len(house.trials(job)) == 2


def test_a_plugin_that_was_deleted_meanwhile_is_missed(run):
    job = run(stored=False)
    assert job.status is JobStatus.FAILED
    assert job.reason == "Plug-in mine 1.0.0 failed: it was deleted."


def test_other_content_under_the_same_version_is_not_what_the_job_began_with(run):
    job = run(pinned="0" * 64)
    assert job.status is JobStatus.FAILED
    assert "what is stored under this version now is not what the job began with" in job.reason
    begun = archive.read(zipped(plugin_files())).digest
    assert run(stored=False, pinned=begun).status is JobStatus.COMPLETED
