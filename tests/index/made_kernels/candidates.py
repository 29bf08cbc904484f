"""Arguments of kernels/candidates.py."""

from __future__ import annotations

import numpy as np

from tests.index.made_kernels.accumulate import keep_largest
from tests.oracle.kernels import candidates


def most_waiting(m):
    return {"wanted": int(m.rng.integers(1, 2000))}


def needed(m):
    return {"bound": float(m.rng.choice([-3.0, 0.5, 1.0, 7.9, 65534.5, 1e9]))}


def keep_allowed(m):
    end = m.fill_found()
    begin = int(m.rng.integers(0, end + 1))
    return {"allowed": m.allowed, "found": m.scratch.found, "begin": begin, "end": end}


def keep_reaching(m):
    end = m.fill_found()
    begin = int(m.rng.integers(0, end + 1))
    threshold = np.uint16(m.rng.integers(1, 11))
    return {"found": m.scratch.found, "begin": begin, "end": end, "threshold": threshold}


def likely_best_first(m):
    return keep_largest(m)


def score_candidates(m):
    m.load()
    end = m.fill_found()
    given = {"rows": m.rows, "found": m.scratch.found, "begin": 0, "end": end}
    given |= {"query": m.scratch.query, "best": m.scratch.best}
    # bounds of 1 to 8, and scores that fall among them: some candidates cannot reach the k-th best
    best = float(candidates.all_scores(m.rows, m.scratch.query).max())
    rule = {"missing": float(m.rng.choice([-1.0, 0.0, 2.0])), "to_bound": 8 / max(best, 1e-9)}
    return given | rule | {"hits": m.hits, "q": 2, "size": 0}


def score_best_first(m):
    given = score_candidates(m)
    del given["begin"]
    # bounds that are ones, so that the order makes no difference to the hits
    scores = candidates.all_scores(m.rows, m.scratch.query)
    to_bound, end = 60_000 / max(float(scores.max()), 1e-9), given["end"]
    m.scratch.found.bounds[:end] = np.ceil(scores[m.scratch.found.docs[:end]] * to_bound)
    return given | {"missing": float(m.rng.choice([0.0, 2.0])), "to_bound": to_bound * (1 - 1e-6)}


def sure_score(m):
    scale = float(10 ** m.rng.uniform(-3, 4))
    given = {"bound": np.uint16(m.rng.integers(0, 65536)), "slack": float(m.rng.uniform(0, 70_000))}
    return given | {"scale": scale, "to_bound": scale * 0.999}


def worth_scoring(m):
    k = int(m.rng.integers(1, 1001))
    return {"total": 20_000 * (k + 10) + int(m.rng.integers(-3, 4)), "k": k}


def _bounded(m):
    """What `score_best_first` is given, with bounds that are too large by up to 3."""
    given = score_best_first(m)
    end, scale = given["end"], given["to_bound"] / (1 - 1e-6)
    m.scratch.found.bounds[:end] += m.rng.integers(0, 3, end).astype(np.uint16)
    return given | {"slack": 3.0, "scale": scale}


def reach_of_guess(m):
    given = _bounded(m)
    given["count"] = given.pop("end")
    for name in ("missing", "size"):
        del given[name]
    return given | {"scored": bool(m.rng.integers(2))}


def make_room(m):
    given = _bounded(m)
    given["count"] = given.pop("end")
    return given | {"most": int(m.rng.integers(0, given["count"] + 2)), "reach": 0.0}
