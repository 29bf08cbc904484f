"""How a regulariser's weight grows: a penalty at full strength from the first step empties the vectors."""

from __future__ import annotations

from typing import Literal, get_args

from splade_engine.errors import InvalidInputError

Ramp = Literal["quadratic", "linear", "constant"]
RAMPS = get_args(Ramp)


def ramp(step: int, ramp_steps: int, kind: Ramp = "quadratic") -> float:
    """The share of lambda at a step, in [0, 1].

    `quadratic`: min(1, step / ramp_steps)^2 (SPLADE, arXiv 2107.05720: "quadratically increased until
    a given step"; naver/splade counts the first step as 1). `linear`: min(1, step / ramp_steps). `constant`:
    1.

    Args:
        step: number of this optimiser step, from 1.
        ramp_steps: the step at which it reaches 1; 0 means at once.
        kind: one of RAMPS.
    """
    if kind not in RAMPS:
        raise InvalidInputError(f"schedule {kind!r} is not one of {', '.join(RAMPS)}")
    if kind == "constant" or ramp_steps <= 0:
        return 1.0
    share = min(1.0, max(0, step) / ramp_steps)
    return share * share if kind == "quadratic" else share
