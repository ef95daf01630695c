"""From what is known to the points that are worth most to try."""

from collections.abc import Callable, Sequence

import numpy as np

from tuning_service.search.gp.acquisition import (
    log_below,
    log_hypervolume_improvement,
    log_improvement,
    log_scalarised_improvement,
    pareto_front,
    scalarised,
)
from tuning_service.search.gp.cube import Cube, Mask, Matrix
from tuning_service.search.gp.history import History, Known, Rows
from tuning_service.search.gp.models import Belief, Models
from tuning_service.search.gp.search import CandidateSearch, Effort

# Pending points that are looked at, at most: those that the models would most like to try again.
MOST_PENDING = 100
# Points up to which the search for a candidate takes all its effort: a candidate's cost grows with their square.
_FULL_EFFORT = 200
# Known points whose neighbourhood is looked at.
_GOOD = 6
_DRAWS = 48
# By how much, in deviations of the losses, a point has to surpass the best known one, and what is awaited of pending
# ones: for each suggestion another, between these. Small steps refine the best. Large ones leave it: without them a
# search may stand still beside a better region, and many workers climb the same hill together.
_BEYOND_KNOWN = (0.005, 0.3)
_BEYOND_AWAITED = (0.02, 0.5)


class Engine:
    """Knows a history and proposes points. Deterministic: randomness comes with the questions only."""

    def __init__(self, cube: Cube, allowed: Callable[[Matrix], Mask], *, objectives: int, constraints: int) -> None:
        """`allowed(points)` says which points meet the space's constraints."""
        self._history = History()
        self._succeeded = 0
        self._cube, self._allowed, self._objectives = cube, allowed, objectives
        self._models = Models(cube, self._history, objectives=objectives, constraints=constraints)
        self._believed: tuple[int, Belief | None] = (0, None)

    def observe(self, known: Known) -> None:
        """Take note of one ended trial."""
        self._history.add(known)
        self._succeeded += known.losses is not None

    @property
    def known(self) -> int:
        """How many trials are known."""
        return len(self._history)

    @property
    def succeeded(self) -> int:
        """How many known trials have losses."""
        return self._succeeded

    def suggest(self, pending: Matrix, rngs: Sequence[np.random.Generator]) -> list[Matrix]:
        """A point for each generator, fewer when none are found, that are no known or pending (k, d) ones."""
        belief = self._belief()
        if belief is None:
            return []
        taken = np.vstack([self._own_points(), pending])
        if len(pending):
            belief = belief.believing(self._models.features(self._attractive(belief, pending)))
        found: list[Matrix] = []
        for rng in rngs:
            search = CandidateSearch(self._cube, self._allowed, _effort(belief.size))
            value, good = self._value(belief, rng)
            point = search.best(value, self._history.points(belief.rows)[good[:_GOOD]], taken, rng)
            if point is None:
                break
            found.append(point)
            taken = np.vstack([taken, point])
            if len(found) < len(rngs):
                belief = belief.believing(self._models.features(point[None]))
        return found

    def recommend(self) -> tuple[int, float] | None:
        """Number and expected loss of the job's trial that the first objective's model holds for the best."""
        belief = self._belief()
        if belief is None:
            return None
        usable = np.flatnonzero(self._is_incumbent(belief, own=True))
        if not len(usable):
            return None
        place = usable[np.argmin(belief.means[usable, 0])]
        return self._history[belief.rows[place]].number, belief.scales[0].inverse(float(belief.means[place, 0]))

    def _belief(self) -> Belief | None:
        if self._believed[0] != len(self._history):
            self._believed = len(self._history), self._models.believe()
        return self._believed[1]

    def _own_points(self) -> Matrix:
        everything = np.arange(len(self._history))
        return self._history.points(everything[self._history.job_of(everything) == 0])

    def _is_incumbent(self, belief: Belief, *, own: bool) -> Mask:
        """Which of the belief's rows violate no metric constraint; with `own`, of the searched job alone."""
        items = [self._history[row] for row in belief.rows]
        return np.array([all(v <= 0 for v in k.violations) and not (own and k.job) for k in items], dtype=np.bool_)

    def _attractive(self, belief: Belief, pending: Matrix) -> Matrix:
        if len(pending) <= MOST_PENDING:
            return pending
        worth = self._value(belief, np.random.default_rng(len(self._history)))[0](pending)
        return pending[np.sort(np.argsort(-worth, kind="stable")[:MOST_PENDING])]

    def _value(self, belief: Belief, rng: np.random.Generator) -> tuple[Callable[[Matrix], Matrix], Rows]:
        """How much points (n, d) are worth, and the places of the belief's rows, the best first."""
        incumbents = self._is_incumbent(belief, own=True)
        if not incumbents.any():
            incumbents = self._is_incumbent(belief, own=False)
        gain, scores = self._gain(belief, incumbents, rng)

        def value(points: Matrix) -> Matrix:
            features = self._models.features(points)
            total = gain(features) if gain is not None else np.zeros(len(points))
            for process, limit in belief.limits:
                total = total + log_below(*process.predict(features), limit)
            return total

        # Those that are out of bounds come last.
        return value, np.lexsort((scores, ~incumbents))

    def _gain(
        self, belief: Belief, incumbents: Mask, rng: np.random.Generator
    ) -> tuple[Callable[[Matrix], Matrix] | None, Matrix]:
        """Expected improvement on the best of `incumbents`, None without any, and a score of each row, less is better.

        What is awaited of pending points counts as reached: to try the same again is worth little.

        With two objectives, on the area that the front dominates; with more, on the front in a random direction.
        """
        if self._objectives == 1:
            scores = belief.means[:, 0]
            if not incumbents.any():
                return None, scores
            process = belief.objectives[0]
            known = scores[incumbents].min() - _drawn(_BEYOND_KNOWN, rng)
            best = min(known, belief.awaited[:, 0].min(initial=np.inf) - _drawn(_BEYOND_AWAITED, rng))
            return lambda features: log_improvement(*process.predict(features), best), scores
        return self._gain_of_several(belief, incumbents, rng)

    def _gain_of_several(
        self, belief: Belief, incumbents: Mask, rng: np.random.Generator
    ) -> tuple[Callable[[Matrix], Matrix] | None, Matrix]:
        direction = np.abs(rng.normal(size=self._objectives)) + 1e-3
        weights = 1.0 / (direction / np.linalg.norm(direction))
        draws = rng.normal(size=(_DRAWS, self._objectives))
        if not incumbents.any():
            return None, scalarised(belief.means - belief.means.max(axis=0), weights)
        front = pareto_front(np.vstack([belief.means[incumbents], belief.awaited]))
        # The worst of all, not of the front: a front of one point must be able to grow in every direction.
        reference = belief.means.max(axis=0) + 0.1
        scores = scalarised(belief.means - reference, weights)
        best = float(scalarised(front - reference, weights).min())

        def gain(features: Matrix) -> Matrix:
            predicted = []
            for process, zero in zip(belief.objectives, reference, strict=True):
                mean, variance = process.predict(features)
                predicted.append((mean - zero, variance))
            if self._objectives == 2:
                return log_hypervolume_improvement(predicted, front - reference)
            return log_scalarised_improvement(predicted, weights, best, draws)

        return gain, scores


def _drawn(between: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(between))))


def _effort(known: int) -> Effort:
    return Effort() if known <= _FULL_EFFORT else Effort().scaled((_FULL_EFFORT / known) ** 2)
