"""The short tier of `scripts/torture settings_files`."""

from __future__ import annotations

from tests.attacks.settings_files import damaged


def test_settings_with_one_value_exchanged() -> None:
    assert damaged(400, seed=7).checked().trials == 400
