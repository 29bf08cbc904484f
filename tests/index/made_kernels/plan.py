"""Arguments of kernels/plan.py."""

from __future__ import annotations

import numpy as np

from tests.index.made_kernels.segment import N_TERMS


def find_term(m):
    term = int(m.rng.integers(0, N_TERMS))
    return {"number_of": m.lists.number_of, "term_ids": m.lists.term_ids, "term": term}


def put_term(m):
    m.load()
    t = int(m.rng.integers(0, m.n_lists))
    return {"query": m.scratch.query, "t": t, "weight": np.float32(m.rng.integers(1, 9))}


def clear_query(m):
    return {"count": m.load(), "query": m.scratch.query, "terms": m.scratch.terms}


def most_too_large(m):
    return {"count": m.load(), "terms": m.scratch.terms, "scale": m.scale}


def list_length(m):
    return {"lists": m.lists, "t": int(m.rng.integers(0, m.n_lists))}


def load_query(m):
    return {"queries": m.queries, "q": 1, "lists": m.lists, "scratch": m.scratch}


def scale_bounds(m):
    return {"count": m.load(), "terms": m.scratch.terms}


def impact_threshold(m):
    count = m.load()
    total = int(np.diff(m.lists.offsets).sum())
    given = {"count": count, "budget": int(m.rng.integers(1, total + 9)), "histogram": m.scratch.histogram}
    return {"lists": m.lists, "terms": m.scratch.terms} | given


def cheapest_cut(m):
    return list_length(m) | {"price": float(2.0 ** m.rng.uniform(-8, 8))}


def cut_lists(m):
    count = m.load()
    allowance = float(m.rng.choice([0.0, 0.1, 0.5, 2.0])) * float(m.scratch.terms.factors.sum() * 255)
    return {"lists": m.lists, "terms": m.scratch.terms, "count": count, "allowance": allowance}
