"""The schema's way up and down, on each kind of database."""

import dataclasses
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from tests.samples import a_spec, a_task, a_tenant, a_trial, stored_job
from tuning_service.domain.errors import GiveUp
from tuning_service.domain.principal import ApiKey
from tuning_service.domain.state import JobTarget, Role, TaskStatus, TrialStatus
from tuning_service.domain.trial import Measurement, Outcome
from tuning_service.storage import engine as engines
from tuning_service.storage.engine import check_schema, open_engine, upgrade_schema
from tuning_service.storage.job_list import JobQuery
from tuning_service.storage.store import Store
from tuning_service.storage.tables import metadata
from tuning_service.storage.tenant_scope import TrialOrder


@pytest.fixture
def engine(database_url):
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


def stamp(engine, revision):
    with engine.connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
        connection.commit()


def test_an_empty_database_is_refused_with_the_remedy(engine):
    with pytest.raises(GiveUp, match=r"revision none.*'tuning-service db upgrade'"):
        check_schema(engine)


def test_the_migrations_make_what_the_tables_say(engine):
    revision = upgrade_schema(engine)
    assert check_schema(engine) == revision
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_a_second_upgrade_keeps_everything(engine, database_url):
    upgrade_schema(engine)
    store = Store.open(database_url)
    alice = a_tenant(store, "a")
    job = stored_job(store, alice)
    upgrade_schema(engine)
    with store.read() as unit:
        assert unit.for_tenant(alice).job(job.id) == job
    store.close()


UPGRADES = """
import sys
from tuning_service.storage.engine import open_engine, upgrade_schema
engine = open_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(upgrade_schema(engine))
"""


def test_of_processes_that_upgrade_at_once_each_succeeds(tmp_path):
    begin = [sys.executable, "-c", UPGRADES, f"sqlite:///{tmp_path}/x.db"]
    processes = [
        subprocess.Popen(begin, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate() for process in processes]
    assert said[0][0] == said[1][0] != "", said


def test_a_database_that_another_process_is_making_is_waited_for(tmp_path):
    """SQLite refuses to change the journal's mode beside a writer, without the wait that it has elsewhere."""
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        upgrading = pool.submit(upgrade_schema, open_engine(f"sqlite:///{tmp_path}/x.db"))
        with pytest.raises(TimeoutError):
            upgrading.result(timeout=0.5)
        other.close()
        assert upgrading.result(timeout=60)


def test_a_newer_schema_is_refused_and_left_as_it_is(engine):
    upgrade_schema(engine)
    stamp(engine, "9999")
    for refuses in (check_schema, upgrade_schema):
        with pytest.raises(GiveUp, match=r"'9999'.*made by a newer one.*[Ii]nstall that version"):
            refuses(engine)


def test_every_older_schema_is_refused_until_it_is_upgraded(engine):
    head = upgrade_schema(engine)
    older = [s.revision for s in ScriptDirectory.from_config(engines._alembic(engine)).walk_revisions()]
    older.remove(head)
    for revision in older:
        command.downgrade(engines._alembic(engine), revision)
        with pytest.raises(GiveUp, match=f"revision {revision}.*'tuning-service db upgrade'"):
            check_schema(engine)
        assert upgrade_schema(engine) == head


def test_the_way_down_leads_to_an_empty_database_and_up_again(engine):
    upgrade_schema(engine)
    command.downgrade(engines._alembic(engine), "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version", "sqlite_sequence"}
    assert upgrade_schema(engine) == check_schema(engine)


def test_a_database_that_is_not_there_is_said_to_be_unreachable(tmp_path):
    for url in (f"sqlite:///{tmp_path}/no/folder/x.db", "postgresql+psycopg://postgres@127.0.0.1:1/none"):
        engine = open_engine(url)
        with pytest.raises(GiveUp, match="cannot be reached"):
            check_schema(engine)
        engine.dispose()


def test_another_kind_of_database_is_refused():
    with pytest.raises(GiveUp, match="mysql"):
        open_engine("mysql://localhost/x")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "x.db").write_text("not a database, but a text that is long enough to be taken for a header" * 20)
    engine = open_engine(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(GiveUp, match="not a database"):
        upgrade_schema(engine)
    engine.dispose()


def test_jobs_of_before_users_say_the_names_of_their_keys(engine, database_url):
    upgrade_schema(engine)
    store = Store.open(database_url)
    alice = a_tenant(store, "a")
    key = ApiKey(id="key_1", tenant_id=alice.tenant_id, name="notebook", role=Role.MEMBER, created_at=1.0)
    with store.write() as unit:
        unit.tenancy.add_key(key, "0" * 64)
    jobs = [stored_job(store, alice, owner="key_1"), stored_job(store, alice, owner="key_gone")]
    command.downgrade(engines._alembic(engine), "0007")
    upgrade_schema(engine)
    with store.read() as unit:
        assert [unit.for_tenant(alice).job(job.id).owner_name for job in jobs] == ["notebook", ""]
    store.close()


def test_trials_of_before_several_objectives_have_their_value_by_name(engine, database_url):
    upgrade_schema(engine)
    store = Store.open(database_url)
    job = stored_job(store, alice := a_tenant(store, "a"))
    trials = [a_trial(job, 0, status=TrialStatus.COMPLETED, value=0.25, values={"accuracy": 0.25}), a_trial(job, 1)]
    task, point = a_task(trials[0]), Measurement(step=1, metric="accuracy", value=0.25, elapsed_s=1.0)
    with store.write() as unit:
        unit.control.add_trials(trials)
        unit.control.add_tasks([task])
        unit.runner.report(task, (point,), 0, 5.0)
        unit.control.set_trial(trials[0], 6.0)
        trials = [dataclasses.replace(trials[0], tasks=1), trials[1]]
    command.downgrade(engines._alembic(engine), "0001")
    upgrade_schema(engine)
    with store.read() as unit:
        assert unit.control.measurements(task.id) == [point]
        found = unit.for_tenant(alice).trials(job.id, order=TrialOrder(), after=None, limit=9)
    assert [trial for trial, _ in found] == trials
    store.close()


def test_jobs_of_before_lists_by_framework_have_what_lists_need(engine, database_url):
    upgrade_schema(engine)
    store = Store.open(database_url)
    alice = a_tenant(store, "a")
    jobs = [stored_job(store, alice, spec=a_spec(framework=f)) for f in ("pytorch", "command")]
    trial = a_trial(jobs[0])
    task = a_task(trial, cpus=2, gpu_share=0.5, price=4.0)
    with store.write() as unit:
        unit.control.add_trials([trial])
        unit.control.add_tasks([task])
        unit.runner.claim(task, "nonce", 1000.0)
        claimed = dataclasses.replace(task, status=TaskStatus.CLAIMED, claimed_at=1000.0)
        unit.runner.end(claimed, Outcome(status=TaskStatus.SUCCEEDED), 4600.0)
    command.downgrade(engines._alembic(engine), "0007")
    with engine.connect() as connection:
        connection.execute(text("UPDATE tuning_jobs SET status = 'completed'"))
        connection.commit()
    upgrade_schema(engine)
    with store.read() as unit:
        rows = unit.for_tenant(alice).listing
        [(found, _)] = rows.jobs(JobQuery(framework="command", algorithm="random"), limit=9)
        used = rows.usage([jobs[0].id], 9999.0)[jobs[0].id]
    assert (found.id, found.target) == (jobs[1].id, JobTarget.STOPPED)
    assert (used.cpu_hours, used.gpu_hours, used.cost) == pytest.approx((2.0, 0.5, 2.0))
    store.close()
