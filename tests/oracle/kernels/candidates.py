"""Twins of kernels/candidates.py: ranking by sorting."""

from __future__ import annotations

import numpy as np

from tests import oracle
from tests.oracle.kernels import accumulate, heap
from tests.oracle.kernels.score import score_row


def may(allowed, docs):
    return np.array([len(allowed.mask) == 0 or bool(allowed.mask[d]) for d in docs], bool)


def all_scores(rows, query):
    return np.array([score_row(rows, d, query) for d in range(len(rows.offsets) - 1)], np.float32)


def keep_best(rows, allowed, query, best, k):
    """The k best of all documents that may be returned; returns how many there are."""
    mask = np.array(may(allowed, range(len(rows.offsets) - 1)))
    docs, scores = oracle.rank(all_scores(rows, query), k, mask)
    found = [heap.key_of(score, d) for score, d in zip(scores, docs, strict=True) if d >= 0]
    best[: len(found)] = found[::-1]
    return len(found)


def most_waiting(wanted):
    return 4 * wanted + 1024


def needed(bound):
    return int(np.clip(bound, 1, 65535))


def keep_allowed(allowed, found, begin, end):
    kept = begin + np.flatnonzero(may(allowed, found.docs[begin:end]))
    places = slice(begin, begin + len(kept))
    found.docs[places], found.bounds[places] = found.docs[kept], found.bounds[kept]
    return places.stop


def keep_reaching(found, begin, end, threshold):
    kept = begin + np.flatnonzero(found.bounds[begin:end] >= threshold)
    places = slice(begin, begin + len(kept))
    found.docs[places], found.bounds[places] = found.docs[kept], found.bounds[kept]
    return places.stop


def likely_best_first(found, count, wanted):
    """Which come first is fixed, their order is not."""
    values = found.bounds[:count]
    first = values >= np.sort(values)[::-1][wanted - 1]
    order = np.concatenate((np.flatnonzero(first), np.flatnonzero(~first)))
    found.docs[:count], found.bounds[:count] = found.docs[order], found.bounds[order]
    return int(first.sum())


def score_candidates(rows, found, begin, end, missing, to_bound, query, best, hits, q, size):
    """The rule that leaves candidates out never changes the hits: those cannot reach the k-th best."""
    k = hits.scores.shape[1]
    for d, bound in zip(found.docs[begin:end].tolist(), found.bounds[begin:end].tolist(), strict=True):
        if missing >= 0 and size == k:
            least = min(float(heap.score_of(key)) for key in best[:size])
            if bound + missing < least * to_bound:
                continue
        hits.scored[q] += 1
        score = score_row(rows, d, query)
        if score > 0:
            size = heap.push(best, k, size, heap.key_of(score, d))
    return size


def score_best_first(rows, found, end, missing, to_bound, query, best, hits, q, size):
    """In any order: what is left out cannot be a hit."""
    return score_candidates(rows, found, 0, end, missing, to_bound, query, best, hits, q, size)


def sure_score(bound, slack, scale, to_bound):
    return max(0.0, bound - slack) / scale * (to_bound / scale)


def worth_scoring(total, k):
    return total > 20_000 * k + 200_000


def _least_of(best, size, k):
    return min(float(heap.score_of(key)) for key in best[:size]) if size == k else 0.0


def reach_of_guess(rows, found, count, scored, slack, scale, to_bound, query, best, hits, q):
    k = hits.scores.shape[1]
    size = score_candidates(rows, found, 0, count, -1.0, to_bound, query, best, hits, q, 0) if scored else 0
    sure = sure_score(accumulate.kth_bound(found, count, k), slack, scale, to_bound)
    return max(sure, _least_of(best, size, k))


def make_room(rows, found, count, most, reach, missing, slack, scale, to_bound, query, best, hits, q, size):
    k = hits.scores.shape[1]
    reach = max(reach, sure_score(accumulate.kth_bound(found, count, k), slack, scale, to_bound))
    kept = keep_reaching(found, 0, count, needed(reach * to_bound - missing))
    if kept <= most:
        return kept, size, reach
    size = score_best_first(rows, found, kept, missing, to_bound, query, best, hits, q, size)
    return 0, size, max(reach, _least_of(best, size, k))
