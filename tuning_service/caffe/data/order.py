"""Which items stand in which batch."""

import numpy as np


class Order:
    """Items one after the other, round and round; with a seed, each round in a new order."""

    def __init__(self, blocks: list[int], batch: int, *, seed: int | None, skip: int = 0) -> None:
        """`blocks`: how many items each file has. Shuffling mixes the files, and the items inside each."""
        self._sizes = np.asarray(blocks, dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)[:-1]])
        self._count = int(self._sizes.sum())
        self._batch, self._seed, self._skip = batch, seed, skip
        self._rounds: dict[int, np.ndarray] = {}

    def batch(self, number: int) -> np.ndarray:
        """The items of batch `number`, which counts from 0."""
        places = self._skip + number * self._batch + np.arange(self._batch)
        if self._seed is None:
            return places % self._count
        rounds = places // self._count
        first, last = int(rounds[0]), int(rounds[-1])
        for known in [r for r in self._rounds if r < first]:
            del self._rounds[known]
        return np.concatenate([self._round(r)[places[rounds == r] % self._count] for r in range(first, last + 1)])

    def _round(self, number: int) -> np.ndarray:
        if number not in self._rounds:
            rng = np.random.default_rng((self._seed or 0, number))
            blocks = rng.permutation(len(self._sizes))
            self._rounds[number] = np.concatenate([self._starts[b] + rng.permutation(self._sizes[b]) for b in blocks])
        return self._rounds[number]
