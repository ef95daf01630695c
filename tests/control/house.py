"""What all controllers of a test share: a real database, task desk and algorithm host; runners are played."""

import contextlib
import dataclasses
import time
from pathlib import Path

from tests.control import clusters
from tests.samples import a_spec, a_tenant, stored_job
from tests.waiting import wait_for
from tuning_service.control.job_ctrl import Tools
from tuning_service.control.reconciler import Reconciler
from tuning_service.domain.errors import NotFound
from tuning_service.domain.job import Resources
from tuning_service.frameworks import base as frameworks
from tuning_service.manager.task_desk import TaskDesk
from tuning_service.manager.task_tokens import TaskTokens
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.tenant_scope import TrialOrder


class PlainFramework(frameworks.TuningFrameworkMgr):
    name, summary = "plain", "Starts nothing: the runner is played."

    def check(self, spec, files):
        pass

    def prepare(self, spec, trial, gpus):
        return frameworks.Preparation(argv=("python",), environment={}, files={})

    def log_parser(self, spec):
        return {}


class House:
    """Its controllers and clusters, and what its tenant asks for. Context manager: at the end all of them stop."""

    def __init__(self, store, folder: Path, algorithms):
        self.store, self.algorithms = store, algorithms
        self.artifacts = ArtifactStore(str(folder / "artifacts"))
        self.alice = a_tenant(store, "a")
        self.controllers = []
        self.desk = TaskDesk(store, self.artifacts, notify=self.notify)
        self.at_end = contextlib.ExitStack()

    def __enter__(self):
        self.at_end.callback(lambda: [c.stop() for c in self.controllers])
        return self

    def __exit__(self, *_):
        self.at_end.close()

    def cluster(self, kind=clusters.Cluster, **options):
        made = kind(self.desk, **options)
        self.at_end.callback(made.stop)
        return made

    def notify(self, job_id):
        for controller in self.controllers:
            controller.notify(job_id)

    def tools(self, backend, **changes):
        tools = Tools(
            store=self.store,
            artifacts=self.artifacts,
            backend=backend,
            algorithms=self.algorithms,
            token=TaskTokens(self.store).of,
            service_url="http://127.0.0.1:1",
            notify=self.notify,
            retry_pause_s=0.05,
        )
        return dataclasses.replace(tools, **changes)

    def controller(self, backend, *, alone=False, lease_s=15.0, pool="default", clock_skew=float, **tools):
        """One that runs, with these changes of its tools."""
        changed = self.tools(backend, **tools)
        made = Reconciler(changed, tick_s=0.05, lease_s=lease_s, alone=alone, pool=pool, clock_skew=clock_skew)
        self.controllers.append(made)
        made.start()
        return made

    def submit(self, budget, principal=None, resources=None, pool="default", **changes):
        spec = a_spec(framework="plain", budget=budget, resources=resources or Resources(), pool=pool)
        job = stored_job(self.store, principal or self.alice, spec=spec, **changes)
        self.notify(job.id)
        return job

    def aim(self, job, target):
        with self.store.write() as unit:
            unit.for_tenant(self.alice).set_target(self.job(job), target, time.time())
        self.notify(job.id)

    def job(self, job):
        with self.store.read() as unit:
            found = unit.control.job(job.id)
        if found is None:
            raise NotFound
        return found

    def trials(self, job):
        with self.store.read() as unit:
            return [t for t, _ in self.scope(unit, job).trials(job.id, order=TrialOrder(), after=None, limit=999)]

    def tasks(self, job):
        with self.store.read() as unit:
            return [task for trial in self.trials(job) for task in self.scope(unit, job).tasks(trial.id)]

    def scope(self, unit, job):
        tenant = unit.tenancy.tenant(job.tenant_id)
        return unit.for_tenant(dataclasses.replace(self.alice, tenant=tenant))

    def until_status(self, job, *statuses):
        wait_for(lambda: self.job(job).status in statuses, lambda: self.job(job))
        return self.job(job)


def vanish(controller):
    """The controller ends as a killed process does: it gives no lease back."""
    controller._leave = lambda: None
    controller.stop()
