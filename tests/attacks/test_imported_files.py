"""The short tier of `scripts/torture imported_files`."""

from __future__ import annotations

from tests.attacks.imported_files import damaged


def test_damaged_files_of_other_systems() -> None:
    assert damaged(240, seed=3).checked().trials == 240
