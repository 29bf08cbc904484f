"""Arguments of kernels/search.py."""

from __future__ import annotations

from splade_engine.index.kernels import groups


def choose_way(m):
    exact, candidates = bool(m.rng.integers(2)), int(m.rng.integers(1, 500))
    limits = groups.Limits(exact=exact, postings=1, candidates=candidates)
    draw = lambda low, high: int(10 ** m.rng.uniform(low, high))  # noqa: E731
    sizes = {"n_docs": draw(2, 6), "n_allowed": draw(1, 4), "total": draw(1, 7), "budget": draw(1, 6)}
    return {"limits": limits, "count": draw(0, 4.2), "k": draw(0, 3), "windows": draw(0, 2)} | sizes


def read_all_rows(m):
    m.load()
    given = {"rows": m.rows, "allowed": m.allowed, "query": m.scratch.query}
    return given | {"best": m.scratch.best, "hits": m.hits, "q": 1}


def search_queries(m):
    candidates = int(m.rng.integers(m.k, m.k + 30))
    postings = int(m.rng.integers(1, 2000))
    limits = groups.Limits(exact=bool(m.rng.integers(2)), postings=postings, candidates=candidates)
    batch = {"first": 0, "last": 3, "limits": limits, "queries": m.queries, "hits": m.hits}
    return batch | {"lists": m.lists, "rows": m.rows, "allowed": m.allowed, "scratch": m.scratch}
