"""Damaged vector files, the short tier (scripts/torture runs the full counts)."""

from __future__ import annotations

from tests.attacks import vector_files

SEED = 20261128


def test_damaged_vector_files_are_refused_or_hold_what_they_held() -> None:
    tally = vector_files.damaged(600, SEED).checked()
    assert tally.trials == 600
    assert tally.outcomes["refused"] > 250
    assert tally.outcomes["the same vectors"] > 0
