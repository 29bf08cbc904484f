"""Arguments of kernels/score.py."""

from __future__ import annotations


def score_row(m):
    m.load()
    return {"rows": m.rows, "d": int(m.rng.integers(0, m.n_docs)), "query": m.scratch.query}


def prefetch_row(m):
    return {"rows": m.rows, "d": int(m.rng.integers(0, m.n_docs))}
