"""Tree-structured Parzen estimator, by hyperopt. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011.

hyperopt sees each parameter as a label on its own: [0, 1] for a number, 0..k-1 for a category. TPE models labels
independently, so conditions need no tree: a trial simply has no value for a label that was inactive in it.
"""

import math
import warnings
from collections.abc import Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from pydantic import Field

from tuning_service.domain.job import MOST_OBJECTIVES
from tuning_service.domain.parameters import Params
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, PendingTrial, algorithm

Document = dict[str, Any]

# What hyperopt counts as good at most; the order among the others makes no difference.
_MOST_GOOD = 25


class TpeOptions(Options):
    startup_trials: int = Field(
        default=10, ge=1, le=10_000, description="Ended trials before the model takes over from random draws."
    )
    gamma: float = Field(
        default=0.25,
        gt=0,
        le=5,
        description="The best ceil(gamma * sqrt(trials)) trials, 25 at most, count as good ones.",
    )
    candidates: int = Field(
        default=24, ge=1, le=10_000, description="Draws per parameter, of which the most promising is taken."
    )
    prior_weight: float = Field(
        default=1.0, gt=0, le=1000, description="Weight of the whole range against one trial; more explores more."
    )


@algorithm(
    "tpe",
    summary="Learns where good values lie, parameter by parameter. Quick, and at home in conditions.",
    options=TpeOptions,
)
class Tpe(HPTAlgorithm):
    """Failed trials count as the worst loss seen, running ones as worse than that: both repel.

    Of losses it needs no more than their order, so that it can do with several objectives and with limits on metrics.
    """

    options: TpeOptions
    most_objectives = MOST_OBJECTIVES
    takes_constraints = True

    @cached_property
    def _ended(self) -> list[Document]:
        return []

    @cached_property
    def _known(self) -> list[Observation]:
        """What `_ended` was made from."""
        return []

    @cached_property
    def _domain(self) -> Any:
        from hyperopt import hp
        from hyperopt.base import Domain

        axes = self.transform.axes
        labels = {
            axes[i].name: hp.randint(axes[i].name, axes[i].size)
            if axes[i].is_category
            else hp.uniform(axes[i].name, 0.0, 1.0)
            for i in self.transform.searched
        }
        return Domain(lambda _: None, labels)

    def _observe(self, observations: Sequence[Observation]) -> None:
        for observation in observations:
            # hyperopt forgets the lowest numbers first: earlier jobs', which have to differ from this job's.
            number = -1 - len(self._ended) if observation.job else observation.number
            self._ended.append(self._document(number, observation.params, observation.loss))
            self._known.append(observation)
            self.__dict__.pop("_scores", None)

    @cached_property
    def _scores(self) -> list[float | None]:
        """Of each ended trial: less is better; None when it failed."""
        from tuning_service.search.ranking import best_first
        from tuning_service.search.warm_start import on_one_scale

        known = on_one_scale(self._known, self.transform)
        if len(self.objectives) == 1 and not self.constraints:
            return [o.loss for o in known]
        scores: list[float | None] = [None] * len(known)
        for place, i in enumerate(best_first(known, _MOST_GOOD)):
            scores[i] = None if known[i].losses is None else float(place)
        return scores

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        first = self.next_number(pending)
        losses = [score for score in self._scores if score is not None]
        if not losses or not self.transform.searched or len(self._ended) < self.options.startup_trials:
            return [Suggestion(params=self.transform.sample(self.rng(first + i))) for i in range(count)]
        worst = max(losses)
        documents = [
            document | {"result": {"loss": worst if score is None else score}}
            for document, score in zip(self._ended, self._scores, strict=True)
        ]
        documents += [self._document(p.number, p.params, math.inf) for p in pending]
        suggestions = []
        for number in range(first, first + count):
            params = self._model_based(number, documents, successes=len(losses))
            suggestions.append(Suggestion(params=params))
            documents.append(self._document(number, params, math.inf))
        return suggestions

    def _model_based(self, number: int, documents: list[Document], successes: int) -> dict[str, Any]:
        import numpy as np
        from hyperopt import tpe

        # hyperopt takes ceil(gamma * sqrt(n)) as good; no failed or running trial may be among them.
        gamma = min(self.options.gamma, (successes - 0.5) / math.sqrt(len(documents)))
        # Stands in for hyperopt.Trials, whose bookkeeping copies and validates every document on every call.
        trials = SimpleNamespace(trials=documents, new_trial_docs=lambda _tids, _specs, _results, miscs: miscs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (found,) = tpe.suggest(
                [number],
                self._domain,
                trials,
                seed=int(self.rng(number).integers(2**31)),
                prior_weight=self.options.prior_weight,
                n_startup_jobs=0,
                n_EI_candidates=self.options.candidates,
                gamma=gamma,
                verbose=False,
            )
        vector = np.full(len(self.transform.axes), 0.5)
        for i in self.transform.searched:
            axis = self.transform.axes[i]
            (value,) = found["vals"][axis.name]
            vector[i] = (int(value) + 0.5) / axis.size if axis.is_category and axis.size else float(value)
        return self.transform.from_unit(vector)

    def _document(self, number: int, params: Params, loss: float | None) -> Document:
        """One trial as hyperopt stores it, as far as its TPE reads it."""
        idxs: dict[str, list[int]] = {}
        vals: dict[str, list[float | int]] = {}
        for i in self.transform.searched:
            axis = self.transform.axes[i]
            is_active = axis.name in params
            idxs[axis.name] = [number] if is_active else []
            vals[axis.name] = []
            if is_active:
                unit = axis.to_unit(params[axis.name])
                vals[axis.name] = [int(unit * axis.size) if axis.is_category and axis.size else unit]
        return {"tid": number, "result": {"loss": loss}, "misc": {"tid": number, "idxs": idxs, "vals": vals}}
