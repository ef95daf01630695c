"""What an algorithm does not hear of."""

from tests.samples import a_job, a_trial
from tuning_service.control.asking import observation
from tuning_service.domain.space import Space
from tuning_service.domain.state import TrialStatus
from tuning_service.domain.trial import FaultKind, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options
from tuning_service.search.messages import observation_from_json, observation_to_json


class Listens(HPTAlgorithm):
    heard = ()

    def _observe(self, observations):
        self.heard = (*self.heard, *(o.number for o in observations))

    def _suggest(self, count, pending):
        return [Suggestion(params={"x": "ab"[self.next_number(pending) % 2]})]


def test_only_the_programs_faults_and_infeasible_teach_and_all_that_was_tried_is_known():
    job = a_job()
    faults = [FaultKind.PROGRAM, FaultKind.INFEASIBLE, FaultKind.CLUSTER, FaultKind.SERVICE, FaultKind.ENVIRONMENT]
    trials = [
        a_trial(job, i, params={"x": "a"}, status=TrialStatus.FAILED, fault=fault) for i, fault in enumerate(faults)
    ]
    told = [observation_from_json(observation_to_json(observation(trial, job))) for trial in trials]
    space = Space.from_dict({"x": {"type": "categorical", "values": ["a", "b"]}})
    algorithm = Listens(space, job.spec.objectives, Options(), seed=1)
    algorithm.observe(told)
    assert algorithm.heard == (0, 1)
    assert algorithm.next_number([]) == 5
    assert [s.params for s in algorithm.suggest(1, [])] == [{"x": "b"}]
