"""Whether a process still runs that has left its number somewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from splade_engine.files import began, is_stopped, runs
from tests.processes import in_another_process, killed

TOLD = Path("/proc/self/stat").exists()


def test_a_process_runs_until_it_ends():
    other = in_another_process("")
    since = began(other.pid)
    assert runs(other.pid) and runs(other.pid, since)
    assert not is_stopped(other.pid)
    killed(other)
    assert not runs(other.pid) and not runs(other.pid, since)


@pytest.mark.skipif(not TOLD, reason="the system does not tell when a process began")
def test_another_process_with_the_same_number_is_another():
    """As in a container that is started again, where the only process is number 1 each time."""
    assert began(os.getpid()).isdecimal()
    assert runs(os.getpid(), began(os.getpid()))
    assert not runs(os.getpid(), str(int(began(os.getpid())) - 1))


def test_numbers_that_no_process_has():
    for number in (999_999_999, 10**30):
        assert not runs(number)
        assert began(number) == ""
        assert not is_stopped(number)
