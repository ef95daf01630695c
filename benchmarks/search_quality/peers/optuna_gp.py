"""Optuna's GP sampler with its defaults."""

import warnings

import optuna

from benchmarks.search_quality.peers.optuna_tpe import OptunaSearcher


class OptunaGp(OptunaSearcher):
    """Parameters under a condition come from its independent sampler, which is how Optuna treats them."""

    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """Its defaults but for the seed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.GPSampler(seed=seed)


SEARCHER = OptunaGp
