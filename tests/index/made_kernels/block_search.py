"""Arguments of kernels/block_search.py."""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels import groups
from tests.oracle.kernels import block_search, candidates, plan, visit


def load_terms(m):
    return {"queries": m.queries, "q": 1, "blocks": m.blocks, "scratch": m.block_scratch}


def count_entries(m):
    return {"blocks": m.blocks, "count": m.load_blocks(), "scratch": m.block_scratch}


def wanted_blocks(m):
    budget, total = (float(10 ** m.rng.uniform(0, 5)) for _ in range(2))
    return {"budget": budget, "blocks": m.blocks, "total": int(total)}


def set_multipliers(m):
    return {"count": m.load_blocks(), "scratch": m.block_scratch}


def heaviest_terms(m):
    share = float(m.rng.choice([0.3, 0.85, 0.9, 1.0]))
    return {"count": m.load_blocks(), "share": share, "scratch": m.block_scratch}


def ranking_terms(m):
    return {"way": int(m.rng.integers(3)), "count": m.load_blocks(), "scratch": m.block_scratch}


def left_out(m):
    return {"blocks": m.blocks, "count": m.load_blocks(), "scratch": m.block_scratch}


def cheapest_way(m):
    exact, candidates = bool(m.rng.integers(2)), int(m.rng.integers(1, 500))
    limits = groups.Limits(exact=exact, postings=1, candidates=candidates)
    draw = lambda low, high: int(10 ** m.rng.uniform(low, high))  # noqa: E731
    sizes = {"n_docs": draw(2, 6), "n_allowed": draw(1, 4), "total": draw(1, 7), "wanted": draw(0, 4)}
    rest = float(m.rng.choice([0.0, 0.5]))
    return {"limits": limits, "count": draw(0, 4.2), "k": draw(0, 3), "rest": rest} | sizes


def best_sums(m):
    count = m.load_blocks()
    visit.bound_blocks(m.blocks, count, m.block_scratch)
    given = {"some": int(m.rng.integers(1, m.n_docs // 16 + 2)), "count": int(m.rng.integers(1, count + 1))}
    wanted = int(m.rng.integers(1, 40))
    return {"blocks": m.blocks, "wanted": wanted, "allowed": m.allowed, "scratch": m.block_scratch} | given


def score_all(m):
    count = m.load_blocks()
    scratch = m.block_scratch
    visit.bound_blocks(m.blocks, count, scratch)
    best = candidates.all_scores(m.rows, scratch.query)
    may = best if len(m.allowed.mask) == 0 else best[m.allowed.mask > 0]
    good = np.sort(may[may > 0])[::-1]
    reach = float(good[m.k - 1]) if len(good) >= m.k and m.rng.random() < 0.5 else 0.0
    to_bound = m.scale * (1.0 - 6e-8 * (count + 16))
    rest = block_search.left_out(m.blocks, count, scratch) * m.scale
    if rest > 0 and reach * to_bound - count - rest < 1:  # as search_blocks sees to: all rows are read then
        return score_all(type(m)(m.rng))
    given = {"blocks": m.blocks, "rows": m.rows, "count": count, "reach": reach, "missing": count + rest}
    given |= {"slack": plan.most_too_large(scratch.terms, count, m.scale), "scale": m.scale}
    return given | {
        "to_bound": to_bound, "allowed": m.allowed, "scratch": scratch, "hits": m.hits, "q": 1,
    }  # fmt: skip


def search_blocks(m):
    candidates = int(m.rng.integers(m.k, m.k + 30))
    postings = int(m.rng.integers(1, 2000))
    limits = groups.Limits(exact=bool(m.rng.integers(2)), postings=postings, candidates=candidates)
    batch = {"first": 0, "last": 3, "limits": limits, "queries": m.queries, "hits": m.hits}
    return batch | {"blocks": m.blocks, "rows": m.rows, "allowed": m.allowed, "scratch": m.block_scratch}
