"""Each check of the suite can fail: for each there is an algorithm that breaks what it is about, and nothing else."""

import pytest

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.trial import Recommendation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options
from tuning_service.search.conformance import check_algorithm, check_names
from tuning_service.search.random_search import RandomSearch

(
    VALID,
    CONDITIONS,
    CONSTRAINTS,
    REPEATS,
    EXHAUSTED,
    LEFT,
    REPLAY,
    SEEDS,
    ODD,
    ORDER,
    OBJECTIVES,
    LIMITS,
    EARLIER,
    PENDING,
    RECOMMENDS,
    PRINTED,
) = check_names()


class Right(RandomSearch):
    name = "right"


class Raw(RandomSearch):
    """Does not have the base class see to repeats and validity: as a plug-in's process might answer."""

    name = "raw"

    def suggest(self, count, pending):
        return [self.changed(s, i) for i, s in enumerate(super().suggest(count, pending))]

    def changed(self, suggestion, place):
        return suggestion


class GivesNumpy(Raw):
    def changed(self, suggestion, place):
        import numpy as np

        return Suggestion(params={n: np.float64(v) if type(v) is float else v for n, v in suggestion.params.items()})


class GivesTooFew(Raw):
    def suggest(self, count, pending):
        return super().suggest(count, pending)[: max(1, count - 1)]


class IgnoresConditions(Raw):
    def changed(self, suggestion, place):
        return Suggestion(params={p.name: suggestion.params.get(p.name, p.middle) for p in self.space.topological})


class IgnoresConstraints(Raw):
    def _suggest(self, count, pending):
        first = self.next_number(pending)
        vectors = [self.rng(first + i).random(len(self.transform.axes)) for i in range(count)]
        return [Suggestion(params=self.transform.from_unit(v)) for v in vectors]

    def suggest(self, count, pending):
        return self._suggest(count, pending)


class IgnoresPending(Raw):
    def suggest(self, count, pending):
        return super().suggest(count, [])


class NeverEnds(Raw):
    def suggest(self, count, pending):
        return super().suggest(count, pending) or [Suggestion(params=self.transform.sample(self.rng(0)))]


class Forgets(Raw):
    """Takes no note of what was tried."""

    def observe(self, observations):
        pass


class CountsQuestions(Raw):
    asked = 0

    def suggest(self, count, pending):
        self.asked += 1
        return super().suggest(count, pending)

    def rng(self, number):
        return super().rng(number + 1000 * self.asked)


class CountsObserveCalls(Raw):
    calls = 0

    def observe(self, observations):
        self.calls += 1
        super().observe(observations)

    def rng(self, number):
        return super().rng(number + 1000 * self.calls)


class HasNoSeed(Raw):
    def rng(self, number):
        self.seed = 0
        return super().rng(number)


class CannotBearNan(Raw):
    def observe(self, observations):
        for observation in observations:
            if observation.loss is not None:
                round(observation.loss)
        super().observe(observations)


class CannotBearFailures(Raw):
    def _observe(self, observations):
        self.total = sum(o.loss for o in observations)


class WantsOrder(Raw):
    def _observe(self, observations):
        numbers = [o.number for o in observations]
        if numbers != sorted(numbers):
            raise RuntimeError("trials are out of order")


class OneObjectiveOnly(Raw):
    def _observe(self, observations):
        for observation in observations:
            if observation.losses is not None:
                (_,) = observation.losses


class NoLimits(Raw):
    def _observe(self, observations):
        assert not any(o.violations for o in observations)


class TakesEarlierForOwn(Raw):
    def observe(self, observations):
        super().observe(observations)
        self._tried.update(self.transform.key(o.params) for o in observations)


class FewPending(Raw):
    def suggest(self, count, pending):
        if len(pending) >= 500:
            raise RuntimeError("too many")
        return super().suggest(count, pending)


class RecommendsWhatFailed(Raw):
    def _observe(self, observations):
        self.last = [*getattr(self, "last", []), *(o for o in observations if o.loss is None)]

    def recommend(self):
        return Recommendation(number=self.last[-1].number, loss=0.0) if self.last else None


class RecommendsParams(Raw):
    def recommend(self):
        return {"x": 0.5}


class Prints(Raw):
    def suggest(self, count, pending):
        print("thinking")
        return super().suggest(count, pending)


def results(cls, refuses=lambda _space: None, **abilities):
    return check_algorithm(
        lambda space, objectives, seed, constraints: cls(space, objectives, Options(), seed, constraints=constraints),
        **{"most_objectives": 4, "takes_constraints": True, "refuses": refuses} | abilities,
    )


def failed(cls, **arguments):
    return {r.name: r.detail for r in results(cls, **arguments) if not r.ok}


def test_a_right_algorithm_passes_all():
    assert failed(Right) == {}
    assert [r.name for r in results(Right)] == list(check_names())


@pytest.mark.parametrize(
    ("cls", "check", "says"),
    [
        (GivesNumpy, VALID, "float64"),
        (GivesTooFew, VALID, "Expected: 4 suggestions"),
        (IgnoresConditions, CONDITIONS, "is not active here"),
        (IgnoresConstraints, CONSTRAINTS, "does not hold"),
        (IgnoresPending, REPEATS, "8 new and different ones"),
        (NeverEnds, EXHAUSTED, "not tried yet"),
        (Forgets, EXHAUSTED, "not tried yet"),
        (Forgets, LEFT, "at most the 3 that are left"),
        (CountsQuestions, REPLAY, "one by one"),
        (CountsObserveCalls, REPLAY, "one by one"),
        (HasNoSeed, SEEDS, "seeds 1 and 2"),
        (CannotBearNan, ODD, "cannot convert float"),
        (CannotBearFailures, ODD, "TypeError"),
        (WantsOrder, ORDER, "trials are out of order"),
        (OneObjectiveOnly, OBJECTIVES, "ValueError"),
        (NoLimits, LIMITS, "AssertionError"),
        (TakesEarlierForOwn, EARLIER, "may be repeated"),
        (FewPending, PENDING, "too many"),
        (RecommendsWhatFailed, RECOMMENDS, "number=13, loss=0.0). Expected: one of [0, 2, 3,"),
        (RecommendsParams, RECOMMENDS, "Expected: a Recommendation, or None"),
        (Prints, PRINTED, "'thinking\\n' on standard output"),
    ],
)
def test_a_broken_algorithm_fails_the_check_of_what_it_breaks(cls, check, says):
    assert says in failed(cls)[check]


def test_every_check_has_an_algorithm_that_fails_it():
    marks = test_a_broken_algorithm_fails_the_check_of_what_it_breaks.pytestmark
    assert {case[1] for case in marks[0].args[1]} == set(check_names())


def test_what_an_algorithm_does_not_claim_is_not_checked():
    assert failed(OneObjectiveOnly, most_objectives=1) == {}
    assert failed(NoLimits, takes_constraints=False) == {}


class NumbersOnly(IgnoresConditions):
    """Would fail in a space with conditions, which it refuses."""

    @classmethod
    def check_space(cls, space):
        if any(p.when for p in space):
            raise InvalidRequest(FieldProblem(field="space", message="has conditions.", remedy="Remove them."))


def test_spaces_that_an_algorithm_refuses_are_left_out():
    def refuses(space):
        try:
            NumbersOnly.check_space(space)
        except InvalidRequest as error:
            return str(error)
        return None

    found = {r.name: r for r in results(NumbersOnly, refuses=refuses)}
    assert all(r.ok for r in found.values())
    assert found[CONDITIONS].detail.startswith("does not apply: it refuses such a space: space: has conditions.")
    assert found[VALID].detail == ""


def test_an_algorithm_that_refuses_everything_has_nothing_to_show_and_fails():
    assert VALID in failed(Right, refuses=lambda _space: "no")


def test_the_detail_of_an_error_has_the_algorithms_own_lines():
    assert "self.total = sum" in failed(CannotBearFailures)[ODD]


def test_single_checks_can_be_run():
    (result,) = check_algorithm(
        lambda *_: pytest.fail("not needed"),
        most_objectives=1,
        takes_constraints=False,
        refuses=lambda _: None,
        only=[LIMITS],
    )
    assert result.ok
    assert issubclass(Right, HPTAlgorithm)
