"""Arguments of kernels/walk.py."""

from __future__ import annotations

import numpy as np

from tests.oracle.kernels import candidates, plan


def collect_heavy(m):
    count = m.load()
    terms, active = m.scratch.terms, m.scratch.active
    active.numbers[:], active.multipliers[:] = terms.numbers, terms.multipliers
    active.lowest[:count] = np.minimum(terms.lowest[:count], 255)
    floor = np.uint16(m.rng.choice([1, 2000, 30000]))
    given = {"lists": m.lists, "active": active, "count": count, "floor": floor}
    wanted = int(m.rng.integers(1, 40))
    return given | {"wanted": wanted, "allowed": m.allowed, "scratch": m.scratch}


def walk_heavy(m):
    count = m.load()
    budget = int(m.rng.integers(1, len(m.lists.docs) + 9))
    given = {"lists": m.lists, "count": count, "budget": budget, "wanted": int(m.rng.integers(1, 40))}
    return given | {"scale": m.scale, "allowed": m.allowed, "scratch": m.scratch}


def walk_all(m):
    count = m.load()
    terms = m.scratch.terms
    missing = float((terms.factors * np.where(terms.lowest > 1, terms.lowest - 1, 0))[:count].sum())
    best = candidates.all_scores(m.rows, m.scratch.query)
    may = best if len(m.allowed.mask) == 0 else best[m.allowed.mask > 0]
    good = np.sort(may[may > 0])[::-1]
    reach = good[m.k - 1] if len(good) >= m.k and m.rng.random() < 0.5 else np.float32(0)
    if float(reach) <= missing:  # as search_queries sees to: less is left out than the k-th best score
        terms.lowest[:count], missing = 1, 0.0
    missing = float(np.ceil(missing * m.scale))
    to_bound = m.scale * (1.0 - 6e-8 * (count + 16))
    slack = plan.most_too_large(terms, count, m.scale)
    given = {"lists": m.lists, "rows": m.rows, "count": count, "reach": float(reach), "missing": missing}
    given |= {"slack": slack, "scale": m.scale}
    return given | {"to_bound": to_bound, "allowed": m.allowed, "scratch": m.scratch, "hits": m.hits, "q": 1}
