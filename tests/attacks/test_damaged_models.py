"""The short tier of `damaged_models`; `scripts/torture damaged_models` runs the long one."""

from __future__ import annotations

from tests.attacks.damaged_models import damaged


def test_damaged_models_are_refused_or_right() -> None:
    tally = damaged(120, seed=1).checked()
    assert tally.trials == 120
    ends = {outcome.rpartition(": ")[2] for outcome in tally.outcomes}
    assert {"refused", "the same", "other vectors"} <= ends
