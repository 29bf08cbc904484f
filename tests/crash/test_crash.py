"""Writers that fail, die, race and lose power: the short tier (scripts/torture runs the full counts)."""

from __future__ import annotations

from tests.crash import faults, kills, powerloss, resume, writers

SEED = 20261121


def test_any_system_call_may_fail() -> None:
    tally = faults.every_call(faults.EVERY // 17, SEED).checked()
    assert tally.trials > 200
    assert tally.outcomes["refused, old"] > tally.outcomes["refused, new"] > 0
    assert tally.outcomes["died, old"] > 0
    assert tally.outcomes["died, new"] > 0


def test_power_may_fail_at_any_time() -> None:
    tally = powerloss.lost_states(560, SEED).checked()
    assert min(tally.outcomes["old"], tally.outcomes["new"]) > 50


def test_without_a_flush_the_power_loss_test_sees_losses() -> None:
    powerloss.missing_flushes(210, SEED).checked()


def test_kill_9_at_any_time() -> None:
    kills.kill_9(150, SEED).checked()


def test_a_full_disk() -> None:
    tally = kills.full_disk(40, SEED).checked()
    assert tally.outcomes["EFBIG, old index"] > 20


def test_writers_race() -> None:
    kills.races(40, SEED).checked()


def test_writers_at_once_lose_nothing() -> None:
    tally = writers.contended(40, SEED).checked()
    assert tally.outcomes["success"] > 20
    assert tally.outcomes["locked"] > 5


def test_without_the_lock_losses_are_seen() -> None:
    writers.without_the_lock(20, SEED).checked()


def test_readers_never_see_a_mixture() -> None:
    tally = kills.readers_during_writes(60, SEED).checked()
    assert tally.outcomes["right answers"] > 10


def test_eight_threads_on_one_index() -> None:
    kills.threads(500, SEED).checked()


def test_an_interrupted_build_goes_on_to_the_same_index() -> None:
    tally = resume.killed_and_resumed(6, SEED).checked()
    assert tally.outcomes["killed with shards only"] >= 1
