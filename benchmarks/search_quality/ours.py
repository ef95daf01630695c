"""The service's own algorithms, through their contract and nothing else."""

from collections.abc import Sequence

from benchmarks.search_quality.searcher import PEERS, Contender, Params, Searcher, Setup
from tuning_service.domain.job import AlgorithmChoice, Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.base import HPTAlgorithm, PendingTrial, algorithms
from tuning_service.search.options import check_choice, find_algorithm


class Ours(Searcher):
    """Default options, as for a job that names the algorithm and no more."""

    def __init__(self, setup: Setup) -> None:
        self._algorithm = _algorithm(setup)
        self._pending: list[PendingTrial] = []
        self._next = 0

    def ask(self) -> Params:
        """One suggestion, with all pending trials shown."""
        (suggestion,) = self._algorithm.suggest(1, self._pending)
        self._pending.append(PendingTrial(number=self._next, params=suggestion.params))
        self._next += 1
        return dict(suggestion.params)

    def tell(self, params: Params, loss: float) -> None:
        """As the controller does it."""
        trial = next(p for p in self._pending if p.params == params)
        self._pending.remove(trial)
        self._algorithm.observe([Observation.of(number=trial.number, params=params, loss=loss)])

    def learn(self, history: Sequence[tuple[Params, float]]) -> None:
        """As after a restart of the controller."""
        self._algorithm.observe(
            [
                Observation.of(number=self._next + i, params=params, loss=loss)
                for i, (params, loss) in enumerate(history)
            ]
        )
        self._next += len(history)


def _algorithm(setup: Setup) -> HPTAlgorithm:
    space = Space.from_dict(setup.space)
    objectives = (Objective(metric="loss", goal=Goal.MINIMIZE),)
    choice = check_choice(AlgorithmChoice(name=setup.name), space, objectives)
    cls = find_algorithm(choice.name)
    return cls(space, objectives, cls.options_type.model_validate(dict(choice.options)), setup.seed)


SEARCHER = Ours
_PACKAGES = {
    "auto": ("numpy", "scipy"),
    "bayesian": ("scikit-optimize",),
    "cmaes": ("cmaes",),
    "tpe": ("hyperopt",),
}


def ours() -> dict[str, Contender]:
    """The registered algorithms as contenders; a peer's name (random) stays the peer's."""
    import tuning_service.search  # noqa: F401  # registers the algorithms

    names = [name for name in algorithms() if name not in PEERS]
    return {
        name: Contender(
            name=name, title=f"{name} (ours)", module=__name__, packages=_PACKAGES.get(name, ("numpy",)), ours=True
        )
        for name in names
    }


# A rough order over ours and the peers, by what a suggestion costs.
_ORDER = ("random", "sobol", "evolution", "cmaes", "hyperopt", "tpe", "optuna-tpe", "smac", "auto", "optuna-gp")


def contenders() -> dict[str, Contender]:
    """Ours and the peers, cheapest first."""
    every = ours() | PEERS
    names = [name for name in _ORDER if name in every]
    return {name: every[name] for name in [*names, *(name for name in every if name not in names)]}
