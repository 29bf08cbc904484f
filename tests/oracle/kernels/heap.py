"""Twins of kernels/heap.py: the best hits as a list, ranked by score and ordinal."""

from __future__ import annotations

import numpy as np


def key_of(score, doc):
    return int(np.float32(score).view(np.uint32)) * 2**32 + 2**32 - 1 - int(doc)


def score_of(key):
    return np.uint32(int(key) // 2**32).view(np.float32)


def doc_of(key):
    return 2**32 - 1 - int(key) % 2**32


def _ranked(best, size):
    """Pairs of score and ordinal, best first: compared as pairs, not as keys."""
    pairs = [(float(score_of(key)), doc_of(key)) for key in best[:size]]
    return sorted(pairs, key=lambda hit: (-hit[0], hit[1]))


def _write(best, ranked):
    for i, (score, doc) in enumerate(reversed(ranked)):  # worst first: a heap
        best[i] = key_of(score, doc)


def sift_down(best, size, key):
    best[0] = key


def push(best, k, size, key):
    ranked = [*_ranked(best, size), (float(score_of(key)), doc_of(key))]
    kept = sorted(ranked, key=lambda hit: (-hit[0], hit[1]))[:k]
    _write(best, kept)
    return len(kept)


def write_ranking(best, size, hits, q):
    for rank, (score, doc) in enumerate(_ranked(best, size)):
        hits.scores[q, rank], hits.docs[q, rank] = score, doc
