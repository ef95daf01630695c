"""Losses of earlier jobs on the scale of this one.

The same training on other data has its good values in similar places, but its losses may lie higher and spread wider.
Each earlier job is brought to this job's spread, then shifted by how far its losses near this job's own trials are from
theirs. Where this job has no trials yet, one earlier job is as good as another and all get a common mean and spread.

For algorithms that know of losses and nothing else. `auto` has its own way (`gp/models.py`): its process has the job as
one more category and learns how much one tells about another, so it needs each job's losses on a scale of their own,
unmixed, and moves the searched job's to the others' instead.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tuning_service.domain.trial import Observation
from tuning_service.search.transform import SpaceTransform

Vector = NDArray[np.float64]

# Own trials and those of each earlier job that are compared: enough for an offset, and little to compute.
_MOST_OWN = 100
_MOST_EARLIER = 1000
_NEIGHBOURS = 3
# Fewer own trials than these say nothing about a spread.
_LEAST_FOR_SPREAD = 5
# Squares of what is larger would overflow.
_LARGEST = 1e150


def on_one_scale(observations: Sequence[Observation], transform: SpaceTransform) -> list[Observation]:
    """`observations` in their order, losses of earlier jobs as this job might have had them. Own ones are untouched."""
    jobs = {o.job for o in observations if o.job}
    if not jobs:
        return list(observations)
    adjusted = list(observations)
    own = _completed(observations, "")[:_MOST_OWN]
    own_units = _units(observations, own, transform)
    own_losses = _losses(observations, own)
    for job in sorted(jobs):
        members = _completed(observations, job)
        if not members:
            continue
        scaled = _scaled(_losses(observations, members), own_losses)
        if len(own):
            near = members[-_MOST_EARLIER:]
            expected = _expected(own_units, _units(observations, near, transform), scaled[-len(near) :])
            scaled += np.median(own_losses - expected, axis=0)
        for i, losses in zip(members, scaled, strict=True):
            adjusted[i] = replace(observations[i], losses=tuple(losses.tolist()))
    return adjusted


def _completed(observations: Sequence[Observation], job: str) -> list[int]:
    return [i for i, o in enumerate(observations) if o.job == job and o.losses is not None]


def _losses(observations: Sequence[Observation], places: Sequence[int]) -> Vector:
    losses: Vector = np.array([observations[i].losses for i in places], dtype=float)
    return np.clip(losses, -_LARGEST, _LARGEST)


def _units(observations: Sequence[Observation], places: Sequence[int], transform: SpaceTransform) -> Vector:
    return np.array([transform.to_unit(observations[i].params) for i in places])


def _scaled(losses: Vector, own: Vector) -> Vector:
    """With mean 0, and the spread of this job's own losses as far as that is known."""
    spread = _spread(losses)
    centred: Vector = losses - losses.mean(axis=0)
    if len(own) >= _LEAST_FOR_SPREAD:
        centred *= _spread(own) / spread
    elif not len(own):  # with one own trial or two: the same metric most likely has the same unit
        centred /= spread
    return centred


def _spread(losses: Vector) -> Vector:
    # By quartiles: the losses of trainings that diverged say nothing about the others'.
    low, high = np.quantile(losses, [0.25, 0.75], axis=0)
    width = np.where(high > low, high - low, losses.std(axis=0))
    spread: Vector = np.where(width > 0, width, 1.0)
    return spread


def _expected(units: Vector, others: Vector, losses: Vector) -> Vector:
    """At each of `units` (n, d) the mean of the `losses` (k, m) of the nearest of `others` (k, d)."""
    nearest = min(_NEIGHBOURS, len(others))
    # An inactive parameter, NaN, is as far from any value as one end of the range from the other.
    filled = np.where(np.isnan(others), -1.0, others)
    expected = []
    for unit in np.where(np.isnan(units), -1.0, units):
        distances = np.minimum(np.abs(filled - unit), 1.0).sum(axis=1)
        expected.append(losses[np.argsort(distances, kind="stable")[:nearest]].mean(axis=0))
    return np.array(expected)
