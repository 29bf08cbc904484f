"""`TermTarget`: a number of terms in place of a lambda.

A lambda says what a term costs; how many terms are left at that price depends on model, data and losses. Here
the number is given and the price is found: minimise the losses subject to `mean terms <= target`, whose
multiplier lambda is raised while the constraint is violated and lowered while it is not (dual ascent, as in
"Controlled Sparsity via Constrained Optimization", arXiv 2208.04425, for the weights of a network). Lambda is
positive and its size unknown over four orders of magnitude (1e-4 to .5 in the published recipes), so its
logarithm takes the steps:

    level += RATE * off,   log lambda = level + PULL * off,   off = clip(log(terms / wanted), -1, 1)

The second term keeps the first from overshooting: documents follow a price some tens of steps later. While
lambdas would ramp, what is wanted falls geometrically from the terms at the start to the target: a price
that is high at once empties the vectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

START = 1e-3  # of lambda, where the recipe has none
FIRST = 0.01  # share of it that the first step takes; the lambdas of published recipes ramp up too
RATE = 0.1  # of the level of log lambda a step, at a factor e too many
PULL = 3.0  # of log lambda itself, at a factor e too many
KEEP = 0.5  # of the running mean of terms a step
FURTHEST = 1e6  # its level stays within this factor of where it started


def start_of(weight: float, terms: float) -> float:
    """The lambda to start from: the recipe's, or where a target alone is given, a small one."""
    return weight or (START if terms else 0.0)


class TermTarget:
    """The lambda of one side.

    Args:
        name: of the regulariser.
        terms: mean terms a text that are wanted.
        weight: lambda at the start.
        ramp_steps: steps after which the target itself is wanted, and not something on the way to it.
    """

    def __init__(self, name: str, terms: float, weight: float, ramp_steps: int) -> None:
        self.name, self.terms, self.ramp_steps = name, terms, ramp_steps
        self.start = FIRST * weight
        self._level, self._off = math.log(self.start), 0.0
        self._mean = self._first = 0.0  # running mean of terms a text, and the terms at the first step
        self._texts = self._active = 0  # since the last step

    def observe(self, terms: Tensor) -> None:
        """Take note of a micro-batch: int64[texts] active terms of each."""
        self._texts += len(terms)
        self._active += int(terms.sum())

    def after_step(self, step: int) -> None:
        """Once per optimiser step (from 1)."""
        texts, active = _over_all(self._texts, self._active)
        self._texts = self._active = 0
        if not texts:
            return
        now = max(active / texts, 1e-3)
        self._first = self._first or now
        self._mean = now if not self._mean else KEEP * self._mean + (1 - KEEP) * now
        self._off = min(1.0, max(-1.0, math.log(self._mean / self.wanted(step))))
        furthest = math.log(FURTHEST)
        level = self._level + RATE * self._off - math.log(self.start)
        self._level = math.log(self.start) + min(furthest, max(-furthest, level))

    @property
    def weight(self) -> float:
        """Lambda now."""
        return math.exp(self._level + PULL * self._off)

    def wanted(self, step: int) -> float:
        """Mean terms a text that are wanted at a step: from those at the start to the target."""
        share = 1.0 if self.ramp_steps <= 0 else min(1.0, step / self.ramp_steps)
        start = max(self._first, self.terms)  # a price cannot bring terms to life
        return math.exp((1 - share) * math.log(start) + share * math.log(self.terms))

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        import torch

        numbers = [self._level, self._off, self._mean, self._first]
        return {f"target_{self.name}": torch.tensor(numbers, dtype=torch.float64)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state()`."""
        self._level, self._off, self._mean, self._first = state[f"target_{self.name}"].tolist()


def _over_all(texts: int, active: int) -> tuple[int, int]:
    """The sums over all devices: every one has to come to the same lambda."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return texts, active
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    sums = torch.tensor([texts, active], dtype=torch.int64, device=device)
    torch.distributed.all_reduce(sums)
    return int(sums[0]), int(sums[1])
