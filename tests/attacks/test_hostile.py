from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks import hostile, victim
from tests.attacks.trials import CORPUS, forked

SEED = 20261121


def test_forged_arrays_never_crash_a_process() -> None:
    tally = hostile.forged_arrays(2000, SEED).checked()
    assert tally.outcomes["refused"] > 1000
    assert (
        tally.outcomes["sound answers"] > 100
    )  # the forgeries are not all so coarse that any check finds them


def test_the_same_forgeries_crash_processes_when_nothing_is_validated() -> None:
    assert hostile.without_validation(150, SEED).checked().trials == 150


def test_forged_manifests_never_crash_a_process() -> None:
    assert hostile.forged_manifests(3000, SEED).checked().trials == 3000


@pytest.mark.parametrize("name", sorted(p.name for p in CORPUS.iterdir()) if CORPUS.exists() else ["none"])
def test_what_was_lost_once_is_never_lost_again(name: str, tmp_path: Path) -> None:
    folder = victim.copy(CORPUS / name, tmp_path / "ix") if name != "none" else tmp_path / "ix"

    def look(_: int) -> str:
        try:
            victim.answers(folder)
        except victim.REFUSED:
            return "refused"
        return "sound answers"

    assert forked(lambda: look, [0]).checked().trials == 1
