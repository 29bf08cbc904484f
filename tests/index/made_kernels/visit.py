"""Arguments of kernels/visit.py."""

from __future__ import annotations

import numpy as np


def _loaded(m):
    return {"blocks": m.blocks, "count": m.load_blocks(), "scratch": m.block_scratch}


def bound_blocks(m):
    m.fill_block_bounds()
    return _loaded(m)


def _of_kind(m, long):
    """A list with a column, or with heads; a short one that is empty where there is none."""
    fitting = np.flatnonzero((m.blocks.columns >= 0) == long)
    return int(m.rng.choice(fitting)) if len(fitting) else None


def bound_short(m):
    t = _of_kind(m, False)
    if t is None:
        return bound_short(type(m)(m.rng))
    return {"blocks": m.blocks, "t": t, "multiplier": 999, "scratch": m.block_scratch}


def clear_blocks(m):
    m.fill_block_bounds()
    return {"blocks": m.blocks, "allowed": m.allowed, "scratch": m.block_scratch}


def count_reaching(m):
    m.fill_block_bounds()
    bounds = m.block_scratch.bounds
    return {"values": bounds, "n": len(bounds), "threshold": np.uint16(m.rng.choice([1, 3, 500, 7001]))}


def least_of_largest(m):
    m.fill_block_bounds()
    bounds = m.block_scratch.bounds
    return {"values": bounds, "n": len(bounds), "wanted": int(m.rng.integers(1, 2 * len(bounds)))}


def choose_blocks(m):
    m.fill_block_bounds()
    threshold = np.uint16(m.rng.choice([1, 3, 500, 7001]))
    return {"blocks": m.blocks, "threshold": threshold, "scratch": m.block_scratch}


def visit_blocks(m):
    visited = m.visit()
    begin = int(m.rng.integers(0, visited))
    m.fill_sums(visited)
    return _loaded(m) | {"begin": begin, "end": visited}


def prefetch_first(m):
    return _loaded(m) | {"begin": 0, "end": m.visit()}


def visit_column(m):
    t = _of_kind(m, True)
    if t is None:
        return visit_column(type(m)(m.rng))
    visited = m.visit()
    begin = int(m.rng.integers(0, visited))
    given = {"blocks": m.blocks, "t": t, "column": int(m.blocks.columns[t]), "multiplier": np.uint16(999)}
    return given | {"begin": begin, "end": visited, "scratch": m.block_scratch}


def visit_short(m):
    given = bound_short(m)
    scratch = given["scratch"]
    n = -(-len(given["blocks"].docs) // 16)
    chosen = np.sort(m.rng.permutation(n)[: m.rng.integers(1, n + 1)])
    scratch.slots[chosen] = np.arange(1, len(chosen) + 1)
    return given | {"multiplier": np.uint16(999)}


def drop_forbidden(m):
    visited = m.visit()
    begin = int(m.rng.integers(0, visited))
    m.fill_sums(visited - begin)
    places = m.block_scratch.visited[begin:visited, None] * 16 + np.arange(16)
    m.block_scratch.sums[: places.size][(places >= m.n_docs).ravel()] = 0
    n = -(-places.size // 64) * 64
    m.block_scratch.sums[places.size : n] = 0
    given = {"blocks": m.blocks, "begin": begin, "n": n}
    return given | {"allowed": m.allowed, "scratch": m.block_scratch}


def take_sums(m):
    n = m.fill_sums(m.visit())
    given = {"blocks": m.blocks, "begin": 0, "n": n, "threshold": np.uint16(m.rng.integers(1, 10))}
    return given | {"count": int(m.rng.integers(0, 9)), "scratch": m.block_scratch}
