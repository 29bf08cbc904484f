"""Quick searches run where their request was read, slow ones in threads; one slow search changes that."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from splade_engine.server.requests import SearchRequest
from splade_engine.server.settings import Limits
from splade_engine.server.threads import QUICK, Pace, SearchThreads


def test_nothing_is_known_of_the_first_search():
    pace = Pace()
    assert not pace.is_quick
    pace.took(QUICK / 4)
    assert pace.is_quick


def test_a_slow_search_counts_at_once_and_is_forgotten_little_by_little():
    pace = Pace()
    for _ in range(100):
        pace.took(QUICK / 10)
    pace.took(0.05)
    needed = 0
    while not pace.is_quick:
        pace.took(QUICK / 10)
        needed += 1
    assert 30 <= needed <= 35


@pytest.fixture
def threads():
    pool = SearchThreads(Limits(threads=2))
    yield pool
    pool.close()


def run(threads, call, pace, times):
    async def all_of_them():
        return [await threads.run(call, pace) for _ in range(times)]

    return asyncio.run(all_of_them())


def test_the_first_runs_in_a_thread_and_the_next_where_it_was_asked(threads):
    where = run(threads, threading.get_ident, Pace(), 4)
    assert where[0] != threading.get_ident()
    assert where[1:] == [threading.get_ident()] * 3


def test_without_a_pace_all_run_in_threads(threads):
    assert threading.get_ident() not in run(threads, threading.get_ident, None, 4)


def test_calls_that_take_long_stay_in_threads(threads):
    def busy():
        end = time.thread_time() + 2 * QUICK
        while time.thread_time() < end:
            pass
        return threading.get_ident()

    assert threading.get_ident() not in run(threads, busy, Pace(), 3)


def test_calls_that_wait_seldom_run_here(threads):
    def waiting():
        time.sleep(2 * QUICK)  # costs no processor time, as reading from a disk does
        return threading.get_ident()

    where = run(threads, waiting, Pace(), 20)
    assert 1 <= where.count(threading.get_ident()) <= 3


def test_a_call_that_fails_counts_too_and_its_error_arrives(threads):
    def failing():
        raise KeyError("no such thing")

    pace = Pace()
    for _ in range(2):  # in a thread, then here
        with pytest.raises(KeyError):
            run(threads, failing, pace, 1)
    assert pace.is_quick


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        ({"query": "tides"}, True),
        ({"query": "tides", "k": 100, "fields": ["title"]}, True),
        ({"query": ["tides"]}, False),
        ({"query": "tides", "k": 101}, False),
        ({"query": "t" * 201}, False),
        ({"query": "+moon tides"}, False),
        ({"query": '"spring tide"'}, False),
        ({"query": "tides", "where": "year = 1999"}, False),
        ({"query": "tides", "exact": True}, False),
        ({"query": "tides", "hybrid": True}, False),
        ({"query": "tides", "rerank": True}, False),
        ({"query": "tides", "related": True}, False),
        ({"query": "tides", "snippet": 100}, False),
    ],
    ids=str,
)
def test_plain_searches(body, plain):
    assert SearchRequest.model_validate(body).is_plain is plain
