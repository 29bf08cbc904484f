"""Fewer coordinates that bound a product: what screening multiplies in place of whole states.

States before the vocabulary lie close to a plane: on SciFact abstracts, 192 of the bundled encoder's 384
principal directions hold 99.9 % of their variance. With orthonormal directions U and a centre m, what lies
off the plane is bounded by its length (Cauchy and Schwarz), so one coordinate more stands for all that were
left out:

    w . s  <=  w . m  +  (U'w) . U'(s - m)  +  |w - UU'w| |s - m - UU'(s - m)|

The bound holds for every state, whatever U and m are; a poor choice of them only makes it loose.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from splade_engine.encoder.fast.linear import PackedLinear

_KEPT = 0.998  # of the sample's variance
_STEP = 64  # coordinates: int8 products take them by cache lines
_WORTH = 0.75  # of all coordinates: with more of them, the products save less than the projection costs
_ROUNDING = 1e-5  # of a squared length in float32, relative: added, so that a bound stays one


class Coordinates(Protocol):
    """States and rows of the vocabulary, written so that their products bound the logits from above.

    Attributes:
        range: float32[K], how large each coordinate of a state gets, roughly.
    """

    range: Tensor

    def of_states(self, states: Tensor) -> Tensor:
        """float[T, H] to float32[T, K]."""

    def of_rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """float32[V, H] to float32[V, K], and float32[V] that their products leave out."""


class AllCoordinates:
    """States and rows as they are."""

    def __init__(self, state_range: Tensor) -> None:
        self.range = state_range

    def of_states(self, states: Tensor) -> Tensor:
        """See `Coordinates`."""
        return states.float()

    def of_rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """See `Coordinates`."""
        return rows, rows.new_zeros(len(rows))


class PrincipalCoordinates:
    """Principal directions of a sample, and the length of what lies off them; see the module.

    Args:
        center: float32[H].
        directions: float32[H, K - 1], orthonormal columns.
        sample: float32[T, H], states.
    """

    def __init__(self, center: Tensor, directions: Tensor, sample: Tensor) -> None:
        self._center = center
        self._project = PackedLinear(directions.T, directions.new_zeros(directions.shape[1]), torch.float32)
        largest = self.of_states(sample).abs().amax(0)
        self.range = largest.clamp_min(1e-3 * float(largest.amax()))  # other texts may use what these do not

    def of_states(self, states: Tensor) -> Tensor:
        """See `Coordinates`."""
        return self._with_rest(states.float() - self._center)

    def of_rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """See `Coordinates`."""
        return self._with_rest(rows), rows @ self._center

    def _with_rest(self, x: Tensor) -> Tensor:
        inside = self._project(x)
        whole = x.square().sum(1)
        off = (whole - inside.square().sum(1)).clamp_min_(0) + _ROUNDING * whole
        return torch.cat((inside, off.sqrt()[:, None]), 1)


def coordinates_for(state_range: Tensor, sample: Tensor) -> Coordinates:
    """Principal coordinates where they are clearly fewer than a state has, else all.

    Args:
        state_range: float32[H], how large the coordinates of a state get, roughly.
        sample: float32[T, H], states of some texts.
    """
    width = len(state_range)
    if len(sample) <= width:
        return AllCoordinates(state_range)
    center = sample.mean(0)
    covariance = (sample - center).T @ (sample - center)
    if not bool(covariance.isfinite().all()):
        return AllCoordinates(state_range)
    variance, directions = torch.linalg.eigh(covariance)  # ascending
    held = variance.flip(0).clamp_min(0).cumsum(0)
    needed = int((held < _KEPT * held[-1]).sum()) + 1
    count = -(-(needed + 1) // _STEP) * _STEP  # with the one of the rest
    if count > _WORTH * width:
        return AllCoordinates(state_range)
    return PrincipalCoordinates(center, directions[:, 1 - count :], sample)
