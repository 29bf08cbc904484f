from __future__ import annotations

from tests.attacks import damage

SEED = 20261121


def test_bit_flips_are_found() -> None:
    assert damage.bit_flips(800, SEED).checked().trials == 800


def test_files_of_another_size_are_refused() -> None:
    tally = damage.sizes(500, SEED).checked()
    assert tally.trials == tally.outcomes["refused"] > 1500
