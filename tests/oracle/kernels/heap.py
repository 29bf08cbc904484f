"""Twins of kernels/heap.py: the hits of a row as a list, worst first out."""

from __future__ import annotations

import numpy as np


def _ranked(hits, q, size):
    pairs = zip(hits.scores[q, :size].tolist(), hits.docs[q, :size].tolist(), strict=True)
    return sorted(pairs, key=lambda hit: (-hit[0], hit[1]))


def _write(hits, q, ranked):
    for i, (score, doc) in enumerate(ranked):
        hits.scores[q, i], hits.docs[q, i] = score, doc


def worse(score, doc, than_score, than_doc):
    return (-float(score), doc) > (-float(than_score), than_doc)


def sift_down(hits, q, size, score, doc):
    hits.scores[q, 0], hits.docs[q, 0] = score, doc


def push(hits, q, size, score, doc):
    k = hits.scores.shape[1]
    ranked = [*_ranked(hits, q, size), (float(np.float32(score)), int(doc))]
    best = sorted(ranked, key=lambda hit: (-hit[0], hit[1]))[:k]
    _write(hits, q, best)
    return len(best)


def sort_best_first(hits, q, size):
    _write(hits, q, _ranked(hits, q, size))
