"""What every search algorithm has to do, checked on one: `check_algorithm`. For built-in ones and for plug-ins."""

import contextlib
import io
import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import Goal, MetricConstraint, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation, Recommendation, Suggestion
from tuning_service.search import conformance_spaces as spaces
from tuning_service.search.base import HPTAlgorithm, PendingTrial
from tuning_service.search.transform import SpaceTransform

Make = Callable[[Space, Sequence[Objective], int, Sequence[MetricConstraint]], HPTAlgorithm]

_SEED = 5
_TRACEBACK_LINES = 15
_LIMIT = MetricConstraint(metric="latency", upper=True, limit=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """`detail`: of one that failed, what was asked, what came back and what is expected; else a remark, or ""."""

    name: str
    ok: bool
    detail: str


class _Fault(Exception):
    """The algorithm did something wrong. The text is for its author."""


class _DoesNotApply(Exception):
    """There is nothing to check. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    make: Make
    most_objectives: int
    takes_constraints: bool
    refuses: Callable[[Space], str | None]

    def accepted(self, *candidates: Space) -> Space:
        """The first of `candidates` that the algorithm does not refuse."""
        for space in candidates:
            if self.refuses(space) is None:
                return space
        raise _DoesNotApply(f"it refuses such a space: {self.refuses(candidates[0])}")

    def build(self, space: Space, *, seed: int = _SEED, objectives: int = 1, limits: int = 0) -> HPTAlgorithm:
        wanted = [Objective(metric=f"loss{i}", goal=Goal.MINIMIZE) for i in range(objectives)]
        return self.make(space, wanted, seed, [_LIMIT] * limits)

    def informed(self, space: Space, history: Sequence[Observation], *, seed: int = _SEED) -> HPTAlgorithm:
        algorithm = self.build(space, seed=seed)
        algorithm.observe(history)
        return algorithm


def check_algorithm(
    make: Make,
    *,
    most_objectives: int,
    takes_constraints: bool,
    refuses: Callable[[Space], str | None],
    only: Sequence[str] = (),
) -> list[CheckResult]:
    """The result of each check, or of those named in `only`, in the order of `check_names`.

    `make` builds a fresh algorithm from space, objectives, seed and metric constraints; `refuses` says why it cannot
    search a space, None when it can. Takes as long as about 300 suggestions. Whatever the algorithm raises is a fault.
    """
    subject = _Subject(make=make, most_objectives=most_objectives, takes_constraints=takes_constraints, refuses=refuses)
    return [_result(name, check, subject) for name, check in _CHECKS.items() if not only or name in only]


def check_names() -> tuple[str, ...]:
    """Of all checks, in their order."""
    return tuple(_CHECKS)


def _result(name: str, check: Callable[[_Subject], None], subject: _Subject) -> CheckResult:
    try:
        check(subject)
    except _DoesNotApply as remark:
        return CheckResult(name=name, ok=True, detail=f"does not apply: {remark}")
    except _Fault as fault:
        return CheckResult(name=name, ok=False, detail=str(fault))
    except Exception:  # noqa: BLE001  # an algorithm may raise whatever it likes
        lines = "\n".join(traceback.format_exc().splitlines()[-_TRACEBACK_LINES:])
        return CheckResult(name=name, ok=False, detail=f"it raised an error:\n{lines}")
    return CheckResult(name=name, ok=True, detail="")


def _expect(holds: bool, asked: str, came: object, expected: str) -> None:
    if not holds:
        raise _Fault(f"Asked: {asked}. Came back: {came}. Expected: {expected}.")


def _params(suggestions: Sequence[Suggestion]) -> list[dict[str, object]]:
    return [dict(s.params) for s in suggestions]


def _pending(suggestions: Sequence[Suggestion], first: int) -> list[PendingTrial]:
    return [PendingTrial(number=first + i, params=s.params) for i, s in enumerate(suggestions)]


def _keys(space: Space, items: Sequence[Suggestion | Observation | PendingTrial]) -> list[object]:
    transform = SpaceTransform(space)
    return [transform.key(item.params) for item in items]


def _check_proposals(space: Space, suggestions: Sequence[Suggestion], count: int, asked: str) -> None:
    """`count` proposals, each valid, with active parameters only, of plain values."""
    _expect(len(suggestions) == count, asked, _params(suggestions), f"{count} suggestions, as the space has many more")
    for params in _params(suggestions):
        plain = all(type(value) in {bool, int, float, str} for value in params.values())
        _expect(plain, asked, {n: type(v).__name__ for n, v in params.items()}, "bool, int, float or str of Python")
        try:
            space.check(params)  # type: ignore[arg-type]
        except InvalidRequest as error:
            problems = "; ".join(str(p) for p in error.problems)
            raise _Fault(f"Asked: {asked}. Came back: {params}. Wrong about it: {problems}") from None


def _valid(subject: _Subject) -> None:
    reasons = [subject.refuses(space) for space in spaces.ROOMY]
    _expect(None in reasons, "to search floats and ints", reasons[-1], "that some such space is accepted")
    space = subject.accepted(*spaces.ROOMY)
    for known in (0, 2, 12, 30):
        algorithm = subject.informed(space, spaces.history(space, known))
        _check_proposals(space, algorithm.suggest(4, []), 4, f"4 suggestions after {known} observations")


def _conditions(subject: _Subject) -> None:
    space = subject.accepted(spaces.NESTED)
    algorithm = subject.informed(space, spaces.history(space, 12))
    _check_proposals(space, algorithm.suggest(8, []), 8, "8 suggestions in a space with nested conditions")


def _space_constraints(subject: _Subject) -> None:
    space = subject.accepted(*spaces.CONSTRAINED)
    algorithm = subject.informed(space, spaces.history(space, 12))
    text = " and ".join(c.text for c in space.constraints)
    _check_proposals(space, algorithm.suggest(6, []), 6, f"6 suggestions where {text}")
    _exhaust(subject, subject.accepted(*spaces.LINE), "a space whose constraint leaves 11 configurations", 11)


def _no_repeats(subject: _Subject) -> None:
    space = subject.accepted(*spaces.ROOMY)
    history = spaces.history(space, 12)
    algorithm = subject.informed(space, history)
    first = algorithm.suggest(4, [])
    second = algorithm.suggest(4, _pending(first, 12))
    keys = _keys(space, [*history, *first, *second])
    came = _params([*first, *second])
    _expect(len(set(keys)) == 20, "4 suggestions, and 4 more while those run", came, "8 new and different ones")


def _exhausted(subject: _Subject) -> None:
    for space, kind in ((subject.accepted(*spaces.SMALL), "a space"), (spaces.SMALL_FLAT, "a space of numbers")):
        if subject.refuses(space) is None:
            _exhaust(subject, space, f"{kind} of 18 configurations", 18)
    space = subject.accepted(spaces.ONE)
    _exhaust(subject, space, "a space of one configuration", 1)


def _exhaust(subject: _Subject, space: Space, where: str, size: int) -> None:
    """Search `space` of `size` configurations to its end, which the algorithm may declare early."""
    algorithm = subject.build(space)
    seen: list[Observation] = []
    for number in range(size + 1):
        suggestions = algorithm.suggest(1, [])
        if not suggestions:
            return
        keys = _keys(space, seen)
        asked = f"one suggestion at a time in {where}"
        _expect(_keys(space, suggestions)[0] not in keys, asked, _params(suggestions), "one that was not tried yet")
        _check_proposals(space, suggestions, 1, asked)
        seen.append(spaces.observation(space, number, suggestions[0].params))
        algorithm.observe(seen[-1:])
    raise _Fault(f"Asked: {size + 1} suggestions in {where}. Came back: all of them. Expected: none after the last.")


def _few_left(subject: _Subject) -> None:
    space = subject.accepted(*spaces.SMALL)
    history = spaces.everything(space)[:10]
    running = [PendingTrial(number=o.number, params=o.params) for o in spaces.everything(space)[10:15]]
    suggestions = subject.informed(space, history).suggest(8, running)
    taken = set(_keys(space, [*history, *running]))
    keys = _keys(space, suggestions)
    ok = len(set(keys)) == len(keys) <= 3 and not taken & set(keys)
    _expect(
        ok, "8 suggestions where 10 of 18 were tried and 5 run", _params(suggestions), "at most the 3 that are left"
    )


def _replay(subject: _Subject) -> None:
    space = subject.accepted(*spaces.ROOMY)
    history = spaces.history(space, 14)
    running = _pending(subject.informed(space, history[:5]).suggest(2, []), 14)
    whole = subject.informed(space, history).suggest(3, running)
    expected = f"what one that was shown all at once suggests, {_params(whole)}"
    again = subject.informed(space, history).suggest(3, running)
    _expect(again == whole, "3 suggestions of a second, fresh one", _params(again), expected)
    one_by_one = subject.build(space)
    for observation in history:
        one_by_one.observe([observation])
        if observation.number % 5 == 0:
            one_by_one.suggest(1, [])
    came = one_by_one.suggest(3, running)
    _expect(came == whole, "3 suggestions of one that was shown the trials one by one", _params(came), expected)
    in_parts = subject.build(space)
    in_parts.observe([])
    in_parts.observe(history[:7])
    in_parts.suggest(2, running)
    in_parts.observe(history[7:])
    came = in_parts.suggest(3, running)
    _expect(came == whole, "3 suggestions of one that was shown the trials in two parts", _params(came), expected)


def _seeds(subject: _Subject) -> None:
    space = subject.accepted(*spaces.ROOMY)
    history = spaces.history(space, 12)
    _check_proposals(space, subject.informed(space, history, seed=2**63 - 1).suggest(2, []), 2, "seed 2**63 - 1")
    algorithm = subject.informed(space, history, seed=1)
    if not algorithm.uses_seed:
        raise _DoesNotApply("it says that it uses no seed")
    came = algorithm.suggest(4, [])
    other = subject.informed(space, history, seed=2).suggest(4, [])
    _expect(came != other, "the same with seeds 1 and 2", _params(came), "another answer, or uses_seed = False")


def _odd_histories(subject: _Subject) -> None:
    space = subject.accepted(*spaces.ROOMY)
    for kind, history in spaces.odd_histories(space).items():
        algorithm = subject.informed(space, history)
        running = _pending(algorithm.suggest(2, []), len(history))
        _check_proposals(space, algorithm.suggest(3, running), 3, f"3 suggestions after trials that {kind}")


def _any_order(subject: _Subject) -> None:
    space = subject.accepted(*spaces.ROOMY)
    history = spaces.history(space, 16)
    algorithm = subject.informed(space, [*history[8:12], *history[4:8][::-1], *history[:4]])
    running = [PendingTrial(number=o.number, params=o.params) for o in history[12:]]
    suggestions = algorithm.suggest(2, running)
    asked = "2 suggestions after trials that ended in another order than they began"
    _check_proposals(space, suggestions, 2, asked)
    keys = _keys(space, [*history, *suggestions])
    _expect(len(set(keys)) == 18, asked, _params(suggestions), "new ones")


def _objectives(subject: _Subject) -> None:
    if subject.most_objectives == 1:
        raise _DoesNotApply("it takes one objective only")
    space = subject.accepted(*spaces.ROOMY)
    for count in range(2, subject.most_objectives + 1):
        algorithm = subject.build(space, objectives=count)
        algorithm.observe(spaces.history(space, 14, objectives=count, failing=True))
        _check_proposals(space, algorithm.suggest(3, []), 3, f"3 suggestions with {count} objectives")


def _metric_constraints(subject: _Subject) -> None:
    if not subject.takes_constraints:
        raise _DoesNotApply("it takes no limits on metrics")
    space = subject.accepted(*spaces.ROOMY)
    for kind, share in (("some", 0.5), ("all", 1.0), ("none", 0.0)):
        algorithm = subject.build(space, limits=1)
        algorithm.observe(spaces.history(space, 14, violating=share, failing=True))
        _check_proposals(space, algorithm.suggest(3, []), 3, f"3 suggestions where {kind} trials violate a limit")


def _warm_start(subject: _Subject) -> None:
    space = subject.accepted(*spaces.ROOMY)
    earlier = [*spaces.history(space, 12, job="a", offset=1000.0), *spaces.history(space, 3, job="b", failing=True)]
    own = spaces.history(space, 6, seed=12)
    for observations in (earlier, [*earlier, *own]):
        asked = f"3 suggestions after 15 trials of earlier jobs and {len(observations) - 15} of this one"
        came = subject.informed(space, observations).suggest(3, [])
        _check_proposals(space, came, 3, asked)
        again = subject.informed(space, observations).suggest(3, [])
        _expect(again == came, f"{asked}, of two fresh ones", _params(again), f"the same of both: {_params(came)}")
    space = subject.accepted(*spaces.SMALL)
    came = subject.informed(space, spaces.everything(space, job="a")).suggest(2, [])
    _check_proposals(space, came, 2, "2 suggestions where an earlier job tried the whole space, which may be repeated")
    space = subject.accepted(spaces.ONE)
    came = subject.informed(space, spaces.history(space, 8, job="a")).suggest(1, [])
    _check_proposals(space, came, 1, "the one configuration of a space, after 8 trials of it in an earlier job")


def _many_pending(subject: _Subject) -> None:
    space = subject.accepted(*spaces.ROOMY)
    history = spaces.history(space, 1012)
    running = [PendingTrial(number=o.number, params=o.params) for o in history[12:]]
    came = subject.informed(space, history[:12]).suggest(2, running)
    _check_proposals(space, came, 2, "2 suggestions while 1,000 trials run")
    keys = _keys(space, [*history, *came])
    _expect(len(set(keys)) == len(set(_keys(space, history))) + 2, "the same", _params(came), "none that runs already")


def _recommends(subject: _Subject) -> None:
    came = None
    # A user may have the one configuration of a space tried again and again.
    for space in (subject.accepted(spaces.ONE), subject.accepted(*spaces.ROOMY)):
        history = [*spaces.history(space, 6, job="a"), *spaces.history(space, 14, failing=True)]
        came = subject.informed(space, history).recommend()
        if came is None:
            continue
        asked = "the best of 14 trials, every fourth of which failed, by recommend()"
        _expect(isinstance(came, Recommendation), asked, came, "a Recommendation, or None")
        ended = [o.number for o in history if not o.job and o.loss is not None]
        _expect(came.number in ended, asked, came, f"one of {ended}")
        _expect(math.isfinite(came.loss), asked, came, "a finite loss")
    if came is None:
        raise _DoesNotApply("it recommends no trial")


@contextlib.contextmanager
def _nothing_printed() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        yield
    text = printed.getvalue()
    _expect(not text, "two suggestions", f"{text[:200]!r} on standard output", "nothing there: use logging, or stderr")


def _quiet(subject: _Subject) -> None:
    space = subject.accepted(*spaces.ROOMY)
    with _nothing_printed():
        algorithm = subject.informed(space, spaces.history(space, 12))
        algorithm.suggest(2, [])
        algorithm.recommend()


_CHECKS: dict[str, Callable[[_Subject], None]] = {
    "suggestions are valid, plain, and as many as asked": _valid,
    "conditions are respected": _conditions,
    "constraints on parameters are respected": _space_constraints,
    "nothing is suggested twice": _no_repeats,
    "a small space is tried once and then exhausted": _exhausted,
    "no more is suggested than is left": _few_left,
    "the same history gets the same suggestions": _replay,
    "another seed gets other suggestions": _seeds,
    "failed, equal, huge and odd results are survived": _odd_histories,
    "results may come in any order": _any_order,
    "several objectives": _objectives,
    "limits on metrics": _metric_constraints,
    "trials of earlier jobs": _warm_start,
    "a thousand trials may be running": _many_pending,
    "what is recommended is a trial that ended well": _recommends,
    "nothing is printed": _quiet,
}
