"""Bayesian optimisation with a Gaussian process, by scikit-optimize. Snoek et al., "Practical Bayesian Optimization of
Machine Learning Algorithms", 2012.

An inactive parameter is put where its axis ends (the last category), so that trials in which it plays no part agree in
it. A job's history may outgrow what a process can be fitted to in time: beyond `MOST_FITTED` trials it is fitted to
the best and the most recent ones, half each, and knows of the last `MOST_FITTED` running ones.
"""

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.parameters import CategoricalParameter, Params, ParamValue
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, PendingTrial, algorithm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_FITTED = 300
# Each category becomes one coordinate of the process.
_MOST_CATEGORIES = 100
# Points in which the acquisition function is looked at, the best few of which are improved on by gradient. skopt's
# variance costs trials**2 for each, most of the time of a suggestion.
_CANDIDATES = 1000


class BayesianOptions(Options):
    initial_points: int = Field(
        default=10, ge=2, le=1000, description="Ended trials before the model takes over from random draws."
    )
    acquisition: Literal["gp_hedge", "EI", "LCB", "PI"] = Field(
        default="gp_hedge",
        description="What makes a point promising: expected improvement, lower confidence bound or probability of "
        "improvement; gp_hedge takes one of the three at random for each trial.",
    )
    xi: float = Field(default=0.01, ge=0, le=10, description="EI and PI: least improvement that counts, in deviations.")
    kappa: float = Field(default=1.96, ge=0, le=100, description="LCB: weight of the uncertainty; more explores more.")
    noise: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Variance of a loss between equal trials, where the variance of all losses is 1; "
        "null estimates it.",
    )


@algorithm(
    "bayesian",
    summary="Models the objective with a Gaussian process. For few, costly trials and up to about 20 parameters.",
    options=BayesianOptions,
)
class Bayesian(HPTAlgorithm):
    """Failed trials count as the worst loss seen, running ones as what the model expects of them."""

    options: BayesianOptions

    @classmethod
    def check_space(cls, space: Space) -> None:
        """Return quietly unless the categories are too many for a Gaussian process."""
        categorical = [p for p in space if isinstance(p, CategoricalParameter)]
        if sum(len(p.values) for p in categorical) > _MOST_CATEGORIES:
            widest = max(categorical, key=lambda p: len(p.values))
            raise InvalidRequest(
                FieldProblem(
                    field=f"space.{widest.name}.values",
                    message=f"bayesian handles {_MOST_CATEGORIES} values in all categorical parameters together.",
                    remedy="List fewer, make it an int parameter, or choose another algorithm.",
                )
            )

    @cached_property
    def _known(self) -> list[Observation]:
        return []

    @cached_property
    def _points(self) -> list[list[float]]:
        """Of each in `_known`."""
        return []

    @cached_property
    def _ended(self) -> list[tuple[int, list[float], float | None]]:
        """Number, point and loss of each; trials of earlier jobs have the numbers just before this one's."""
        from tuning_service.search.warm_start import on_one_scale

        known = on_one_scale(self._known, self.transform)
        return [
            (i - len(known) if o.job else o.number, point, o.loss)
            for i, (o, point) in enumerate(zip(known, self._points, strict=True))
        ]

    @cached_property
    def _dimensions(self) -> list[Any]:
        from skopt.space import Categorical, Real

        axes = [self.transform.axes[i] for i in self.transform.searched]
        return [Categorical(list(range(a.size or 0))) if a.is_category else Real(0.0, 1.0) for a in axes]

    def _observe(self, observations: Sequence[Observation]) -> None:
        self._known.extend(observations)
        self._points.extend(self._point(o.params) for o in observations)
        self.__dict__.pop("_ended", None)

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        first = self.next_number(pending)
        has_loss = any(loss is not None for _, _, loss in self._ended)
        if not has_loss or not self.transform.searched or len(self._ended) < self.options.initial_points:
            return [Suggestion(params=self.transform.sample(self.rng(first + i))) for i in range(count)]
        points, losses = self._fitted_on()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            process = self._process(points, losses, seed=self._int_seed(first))
            points += [self._point(p.params) for p in sorted(pending, key=lambda p: p.number)[-MOST_FITTED:]]
            suggestions = []
            for number in range(first, first + count):
                params = self._best_point(points, losses, process, number)
                suggestions.append(Suggestion(params=params))
                points.append(self._point(params))
        return suggestions

    def _fitted_on(self) -> "tuple[list[list[float]], NDArray[np.float64]]":
        """Points and their losses, standardised, without the outliers above that would flatten all the rest."""
        import numpy as np

        known = [loss for _, _, loss in self._ended if loss is not None]
        scale = max(map(abs, known)) or 1.0  # near the ends of what a double holds, squares would overflow
        low, high, worst = np.quantile(np.array(known) / scale, [0.25, 0.75, 1.0])
        if high > low:
            worst = min(worst, high + 3 * (high - low))
        ended = sorted(
            (n, p, float(worst) if loss is None else min(loss / scale, float(worst))) for n, p, loss in self._ended
        )
        if len(ended) > MOST_FITTED:
            recent = ended[-(MOST_FITTED // 2) :]
            earlier = sorted(ended[: -len(recent)], key=lambda e: (e[2], -e[0]))
            ended = sorted(earlier[: MOST_FITTED - len(recent)]) + recent
        losses = np.array([loss for _, _, loss in ended])
        deviation = losses.std()
        return [p for _, p, _ in ended], (losses - losses.mean()) / (deviation if deviation > 0 else 1.0)

    def _process(self, points: list[list[float]], losses: "NDArray[np.float64]", seed: int) -> Any:
        """A process fitted to these losses, whose hyper-parameters stay as they are when it is fitted to more."""
        from skopt.learning import GaussianProcessRegressor
        from skopt.learning.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
        from skopt.space import Space as SkoptSpace

        space = SkoptSpace(self._dimensions)
        width = space.transformed_n_dims
        noise = (
            WhiteKernel(noise_level=0.1, noise_level_bounds=(1e-6, 1.0))
            if self.options.noise is None
            else WhiteKernel(noise_level=max(1e-8, self.options.noise), noise_level_bounds="fixed")
        )
        matern = Matern(length_scale=[0.5] * width, length_scale_bounds=[(0.02, 50.0)] * width, nu=2.5)
        process = GaussianProcessRegressor(
            kernel=ConstantKernel(1.0, (0.01, 100.0)) * matern + noise, noise="gaussian", random_state=seed
        )
        process.fit(space.transform(points), losses)
        fixed = GaussianProcessRegressor(kernel=process.kernel_.k1, alpha=process.noise_, optimizer=None)
        return fixed.fit(space.transform(points), losses)

    def _best_point(
        self, points: list[list[float]], losses: "NDArray[np.float64]", process: Any, number: int
    ) -> dict[str, ParamValue]:
        """Where the acquisition function is best, when the rest of the points turn out as `process` expects.

        That keeps the next point away from them without pretending that they are bad or good ("kriging believer",
        Ginsbourger et al. 2010); with constant lies (worst, mean, best) four trials at once found worse values.
        """
        import numpy as np
        from skopt import Optimizer

        rng = self.rng(number)
        acquisition = self.options.acquisition
        optimizer = Optimizer(
            self._dimensions,
            base_estimator=process,
            n_initial_points=0,
            acq_func=str(rng.choice(["EI", "LCB", "PI"])) if acquisition == "gp_hedge" else acquisition,
            acq_func_kwargs={"xi": self.options.xi, "kappa": self.options.kappa},
            acq_optimizer_kwargs={"n_points": _CANDIDATES, "n_restarts_optimizer": 3},
            random_state=int(rng.integers(2**31)),
        )
        waiting = points[len(losses) :]
        believed = process.predict(optimizer.space.transform(waiting)).tolist() if waiting else []
        optimizer.tell(points, [*losses.tolist(), *believed])
        vector = np.full(len(self.transform.axes), 0.5)
        for i, place in zip(self.transform.searched, optimizer.ask(), strict=True):
            axis = self.transform.axes[i]
            vector[i] = (int(place) + 0.5) / axis.size if axis.is_category and axis.size else float(place)
        return self.transform.from_unit(vector)

    def _int_seed(self, number: int) -> int:
        return int(self.rng(number).integers(2**31))

    def _point(self, params: Params) -> list[float]:
        """A configuration in skopt's terms, inactive parameters at the end of their axes."""
        point: list[float] = []
        for i in self.transform.searched:
            axis = self.transform.axes[i]
            unit = axis.to_unit(params[axis.name]) if axis.name in params else 1.0
            point.append(min(axis.size - 1, int(unit * axis.size)) if axis.is_category and axis.size else unit)
        return point
