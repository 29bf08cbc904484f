"""Room in which a thread searches, of the kinds that both kinds of lists need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # kernels need numba, which an index that is only looked at does not load
    from splade_engine.index.kernels.groups import Candidates, Query, Terms


def empty_query(n_terms: int) -> Query:
    """Room for a query over so many term numbers."""
    from splade_engine.index.kernels.groups import Query
    from splade_engine.index.kernels.sieve import SIEVE

    table, sums = np.zeros(n_terms, np.float32), np.zeros(4, np.float32)
    return Query(table=table, sieve=np.zeros(SIEVE, np.uint16), sums=sums)


def room_for_terms(n: int) -> Terms:
    """Room for the terms of a query that has `n` at most."""
    from splade_engine.index.kernels.groups import Terms

    numbers, multipliers, lowest = np.empty((3, n), np.int64)
    factors, priorities = np.empty((2, n), np.float64)
    return Terms(
        numbers=numbers, factors=factors, priorities=priorities, multipliers=multipliers, lowest=lowest
    )


def room_for_candidates(wanted: int, at_once: int) -> Candidates:
    """Room for candidates of which `wanted` are looked for, while `at_once` more can be added in one step."""
    from splade_engine.index.kernels.candidates import most_waiting
    from splade_engine.index.kernels.groups import Candidates

    room = most_waiting(wanted) + at_once
    bounds, work = np.empty((2, room), np.uint16)
    return Candidates(docs=np.empty(room, np.int64), bounds=bounds, work=work)
