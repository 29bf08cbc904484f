"""`TrainingSet`: the whole run's examples as a pure function of their number.

Example i of a run depends on the seed, the sources and i alone: which source (by weight), which row (a
pseudo-random permutation per epoch, computed and not stored) and which of its negatives. So nothing is
shuffled in memory, a restart continues with exactly the example that came next, and workers need no
coordination.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training.data.examples import Example
from splade_engine.training.data.sources import Source

_ROUNDS = 4  # of the Feistel network: enough to shuffle, not to keep secrets
_MASK = (1 << 64) - 1
_TRIES = 1000  # rows without an example (too short for ICT) that are passed over in a row


def shuffled(i: int, n: int, seed: int) -> int:
    """Where i goes in a pseudo-random permutation of 0..n-1.

    A Feistel network, walked until it lands below n.
    """
    if n <= 1:
        return 0
    half = ((n - 1).bit_length() + 1) // 2
    low = (1 << half) - 1
    while True:
        left, right = i >> half, i & low
        for r in range(_ROUNDS):
            left, right = right, left ^ (_mix(right, seed, r) & low)
        i = (left << half) | right
        if i < n:
            return i


def _mix(value: int, seed: int, round_number: int) -> int:
    """splitmix64's finaliser over value, seed and round."""
    z = (value * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03 + round_number * 0x8CB92BA72F3D8DD7) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


class TrainingSet(Dataset[Example]):
    """Every example of a run, in order: `batch_size` at a time form one micro-batch.

    Args:
        sources: what is mixed.
        weights: their shares; 0 stands for the source's number of rows.
        n_batches: micro-batches of the whole run.
        batch_size: examples of each.
        negatives: hard negatives drawn per example (fewer where a row has fewer).
        seed: decides everything.
        one_source_per_batch: see `DataConfig`.
        held_out: rows of the first source that never appear.

    Raises:
        DatasetError: if there is no source, or one has no row left.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        weights: Sequence[float],
        *,
        n_batches: int,
        batch_size: int,
        negatives: int,
        seed: int,
        one_source_per_batch: bool = True,
        held_out: int = 0,
    ) -> None:
        if not sources:
            raise DatasetError("no training data: name at least one source")
        self.sources = list(sources)
        self.batch_size, self.negatives, self.seed = batch_size, negatives, seed
        self.n_batches = n_batches
        self.held_out = held_out
        self._sizes = [len(s) - (held_out if k == 0 else 0) for k, s in enumerate(sources)]
        if min(self._sizes) < 1:
            k = int(np.argmin(self._sizes))
            raise DatasetError(
                f"{sources[k].name}: {len(sources[k])} rows, {held_out} of them held out: none left"
            )
        shares = np.array([w or n for w, n in zip(weights, self._sizes, strict=True)], float)
        self.shares = shares / shares.sum()
        counts = self._batch_counts(one_source_per_batch)
        self._counts = counts
        self._before = np.concatenate((np.zeros((1, len(sources)), np.int64), counts.cumsum(0)))
        self._moved: dict[int, int] = {}
        self._fresh: dict[int, tuple[str, ...]] = {}

    def _batch_counts(self, one_source: bool) -> NDArray[np.int64]:
        """int64[n_batches, sources]: examples of each source in each micro-batch."""
        rng = np.random.default_rng([self.seed, 1])
        if not one_source:
            return rng.multinomial(self.batch_size, self.shares, size=self.n_batches).astype(np.int64)
        chosen = rng.choice(len(self.sources), size=self.n_batches, p=self.shares)
        return np.eye(len(self.sources), dtype=np.int64)[chosen] * self.batch_size

    def __len__(self) -> int:
        return self.n_batches * self.batch_size

    def locate(self, i: int) -> tuple[int, int]:
        """Source number and draw number (how many of that source came before) of example i."""
        i = self.number(i)
        batch, place = divmod(i, self.batch_size)
        bounds = self._counts[batch].cumsum()
        source = int(np.searchsorted(bounds, place, side="right"))
        first = int(bounds[source] - self._counts[batch, source])
        return source, int(self._before[batch, source]) + place - first

    def row(self, source: int, draw: int) -> int:
        """The row of a source that a draw takes: a new order each epoch, held-out rows never."""
        n = self._sizes[source]
        epoch, position = divmod(draw, n)
        inner = shuffled(position, n, self.seed + 1000 * (epoch + 1) + source)
        return shuffled(inner, len(self.sources[source]), self.seed + source)

    def held_out_rows(self) -> list[int]:
        """Rows of the first source that never appear in training."""
        n = len(self.sources[0])
        return [shuffled(i, n, self.seed) for i in range(n - self.held_out, n)]

    def __getitem__(self, i: int) -> Example:
        if not 0 <= i < len(self):
            raise IndexError(i)
        source, draw = self.locate(i)
        rng = np.random.default_rng([self.seed, 2, source, draw])
        for attempt in range(_TRIES):
            row = self.row(
                source, draw + attempt * 7919
            )  # a prime stride: a short document is skipped, not a region
            example = self.sources[source].example(row, rng)
            if example is not None:
                return self._drawn(example, rng, self._fresh.get(self.number(i)))
        raise DatasetError(f"{self.sources[source].name}: {_TRIES} rows in a row gave no training pair")

    def _drawn(self, example: Example, rng: np.random.Generator, fresh: tuple[str, ...] | None) -> Example:
        """One positive and `negatives` negatives of an example, chosen by `rng`; their scores along."""
        n_positives = len(example.positives)
        p = int(rng.integers(n_positives)) if n_positives > 1 else 0
        positive = example.positives[p : p + 1]
        if fresh is not None:
            return Example(example.query, positive, fresh[: self.negatives], None)
        n = len(example.negatives)
        take = (
            range(n) if n <= self.negatives else sorted(rng.choice(n, self.negatives, replace=False).tolist())
        )
        scores = None
        if example.scores is not None:
            scores = (example.scores[p], *(example.scores[n_positives + j] for j in take))
        return Example(example.query, positive, tuple(example.negatives[j] for j in take), scores)

    # ---- what changes while training ---------------------------------------------------------------

    def number(self, i: int) -> int:
        """Which planned example stands at place i now."""
        return self._moved.get(i, i)

    def move(self, first: int, order: NDArray[np.int64], *, keep_from: int = 0) -> None:
        """Give the places first..first+len(order)-1 a new order.

        Place first + k gets the planned example first + order[k]. Earlier moves of places from `keep_from` on
        stay, those before it are forgotten.
        """
        if sorted(order.tolist()) != list(range(len(order))):
            raise InvalidInputError("move: the order is not a permutation")
        self._moved = {place: i for place, i in self._moved.items() if keep_from <= place < first}
        self._moved |= {first + k: first + int(o) for k, o in enumerate(order)}

    def refresh(self, negatives: dict[int, tuple[str, ...]], *, keep_from: int = 0) -> None:
        """Replace the negatives of planned examples; those of examples before `keep_from` are forgotten."""
        self._fresh = {i: texts for i, texts in self._fresh.items() if i >= keep_from} | negatives

    def state(self) -> dict[str, object]:
        """What `load_state` needs to continue after a restart, as JSON."""
        return {
            "moved": {str(k): v for k, v in self._moved.items()},
            "fresh": {str(k): list(v) for k, v in self._fresh.items()},
        }

    def load_state(self, state: dict[str, dict[str, object]]) -> None:
        """Restore `state()`."""
        self._moved = {int(k): int(str(v)) for k, v in state["moved"].items()}
        self._fresh = {int(k): tuple(v) for k, v in state["fresh"].items()}  # type: ignore[arg-type]
