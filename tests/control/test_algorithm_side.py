"""What a controller asks an algorithm and tells it, beside suggestions: the best trial, and earlier jobs' trials."""

import pytest
from structlog.testing import capture_logs

from tests.control import clusters
from tests.samples import a_job, a_spec
from tests.waiting import wait_for
from tuning_service.control import asking
from tuning_service.domain.job import AlgorithmChoice, Budget
from tuning_service.domain.state import JobStatus, JobTarget
from tuning_service.domain.trial import Observation
from tuning_service.search.host import AlgorithmHost

# Known to child processes alone, as a plug-in is. It suggests what tells how many trials of other jobs it was shown,
# and recommends the second of its own.
OPINIONATED = """
import threading
from tuning_service.domain.trial import Recommendation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, algorithm

class TestOptions(Options):
    recommends: str = "well"

@algorithm("opinionated", summary="", options=TestOptions)
class Opinionated(HPTAlgorithm):
    others = own = 0
    order = "right"

    def _observe(self, observations):
        for observation in observations:
            if observation.job and self.own:
                self.order = "wrong"
            self.others += bool(observation.job)
            self.own += not observation.job

    def _suggest(self, count, pending):
        if self.options.recommends == "late":
            threading.Event().wait()
        first = self.next_number(pending)
        lr = 0.01 * self.others if self.order == "right" else 0.09
        return [Suggestion(params={"lr": lr + 0.001 + 1e-8 * (first + i)}) for i in range(count)]

    def recommend(self):
        if self.options.recommends == "never":
            threading.Event().wait()
        if self.options.recommends == "badly":
            raise ZeroDivisionError("by nought")
        if self.options.recommends == "unknown":
            return Recommendation(number=77, loss=-0.4)
        return Recommendation(number=1, loss=-0.45) if self.own > 1 else None
"""


@pytest.fixture
def algorithms(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(OPINIONATED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    host = AlgorithmHost(children=2, timeout_s=30.0)
    yield host
    host.close()


def submit(house, recommends="well", *, trials=4, warm=()):
    spec = a_spec(
        framework="plain",
        budget=Budget(trials=trials, parallel=2),
        algorithm=AlgorithmChoice(name="opinionated", options={"recommends": recommends}),
        warm_start=tuple({o.job for o in warm}),
    )
    job = a_job(house.alice.tenant_id, spec=spec)
    with house.store.write() as unit:
        unit.for_tenant(house.alice).add_job(job, warm)
    house.notify(job.id)
    return job


def test_the_best_by_model_is_stored_in_the_users_sign_before_the_job_has_ended(house):
    house.controller(house.cluster())
    ended = house.until_status(submit(house), JobStatus.COMPLETED)
    assert (ended.model_best_trial, ended.model_best_value) == (1, 0.45)


@pytest.mark.parametrize(
    ("recommends", "logged"), [("badly", "ZeroDivisionError"), ("never", "in time"), ("unknown", "")]
)
def test_whatever_the_algorithm_says_of_the_best_the_job_ends(house, monkeypatch, recommends, logged):
    monkeypatch.setattr(asking, "_LAST_WORD_S", 0.5)
    with capture_logs() as logs:
        house.controller(house.cluster())
        job = submit(house, recommends)
        other = submit(house)
        ended = house.until_status(job, JobStatus.COMPLETED)
        assert house.until_status(other, JobStatus.COMPLETED).model_best_trial == 1
    assert (ended.model_best_trial, ended.model_best_value) == (None, None)
    told = [f"{line['event']} {line.get('reason', '')}" for line in logs if "did not say" in line["event"]]
    assert bool(told) == bool(logged)
    assert all(logged in line for line in told)


def test_an_algorithm_that_hangs_over_the_best_holds_other_jobs_up_for_a_while_only_and_once(house, monkeypatch):
    monkeypatch.setattr(asking, "_FIRST_OPINION", 2)
    host = AlgorithmHost(children=1, timeout_s=60.0, opinion_s=1.0)
    house.at_end.callback(host.close)
    house.algorithms = host
    house.controller(house.cluster())
    with capture_logs() as logs:
        job = submit(house, "never", trials=12)
        house.until_status(house.submit(Budget(trials=4, parallel=1)), JobStatus.COMPLETED)
        house.until_status(job, JobStatus.COMPLETED)
    told = [line["reason"] for line in logs if "did not say" in line["event"]]
    assert told == ["Algorithm opinionated failed: it gave no answer within 1 s."]


def test_the_best_by_model_is_known_while_the_job_runs_and_after_a_stop(house, monkeypatch):
    monkeypatch.setattr(asking, "_FIRST_OPINION", 2)
    house.controller(house.cluster())
    job = submit(house, trials=100_000)
    wait_for(lambda: house.job(job).model_best_trial is not None, lambda: house.job(job))
    assert house.job(job).status is JobStatus.RUNNING
    house.aim(job, JobTarget.STOPPED)
    stopped = house.until_status(job, JobStatus.STOPPED)
    assert (stopped.model_best_trial, stopped.model_best_value) == (1, 0.45)


def test_a_job_whose_algorithm_takes_its_time_says_what_it_waits_for(house, monkeypatch):
    monkeypatch.setattr(asking, "_SLOW_S", 0.0)
    house.controller(house.cluster())
    job = submit(house, "late", trials=1)
    wait_for(lambda: house.job(job).reason == "Waits for suggestions of its search algorithm.", lambda: house.job(job))
    house.aim(job, JobTarget.STOPPED)
    assert house.until_status(job, JobStatus.STOPPED).reason == ""


def test_an_algorithm_without_a_model_is_not_asked(house):
    house.controller(house.cluster())
    job = house.submit(Budget(trials=3, parallel=1))
    with capture_logs() as logs:
        assert house.until_status(job, JobStatus.COMPLETED).model_best_trial is None
    assert not [line for line in logs if "best" in line["event"]]


def test_trials_of_earlier_jobs_come_first_also_for_the_next_controller(house):
    warm = [Observation(number=-1, params={"lr": 0.05}, losses=loss, job="job_old") for loss in ((0.1,), None, (0.3,))]
    backend = house.cluster(clusters.Cluster)
    first = house.controller(backend)
    job = submit(house, trials=8, warm=warm)
    wait_for(lambda: len(house.trials(job)) >= 3)
    first.stop()
    house.controller(backend)
    house.until_status(job, JobStatus.COMPLETED)
    trials = house.trials(job)
    assert [t.number for t in trials] == list(range(8))
    assert [round(t.params["lr"], 2) for t in trials] == [0.03] * 8
    with house.store.read() as unit:
        assert len(unit.control.settled_trials(job.id)) == 8
        places = [o.number for o in unit.control.warm_trials(job.id)]
    assert places == [-3, -2, -1]
