"""Plain-numpy twins of the training losses, regularisers and heads: loops and formulas, no torch."""

from __future__ import annotations

import numpy as np


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def dense_logits(hidden, weight, bias):
    return hidden @ weight.T + (0 if bias is None else bias)


def max_pool(hidden, weight, bias, mask):
    out = np.zeros((hidden.shape[0], weight.shape[0]))
    logits = dense_logits(hidden, weight, bias)
    for b in range(hidden.shape[0]):
        for i in range(hidden.shape[1]):
            if mask[b, i]:
                out[b] = np.maximum(out[b], logits[b, i])
    return out


def sum_pool(hidden, weight, bias, mask):
    return (np.log1p(np.maximum(dense_logits(hidden, weight, bias), 0)) * mask[..., None]).sum(1)


def lexical_pool(scores, ids, mask, n_terms):
    out = np.zeros((len(ids), n_terms))
    for b in range(len(ids)):
        for i, term in enumerate(ids[b]):
            if mask[b, i]:
                out[b, term] = max(out[b, term], scores[b, i])
    return out


def keep_top_k(weights, k):
    out = np.zeros_like(weights)
    for row, kept in zip(weights, out, strict=True):
        for j in np.argsort(-row)[:k]:
            kept[j] = row[j]
    return out


def sparsemax(z):
    """By bisection on the threshold: not the sorting algorithm that is tested."""
    low, high = z.min() - 1, z.max()
    for _ in range(200):
        tau = (low + high) / 2
        if np.maximum(z - tau, 0).sum() > 1:
            low = tau
        else:
            high = tau
    return np.maximum(z - tau, 0)


def flops(weights, reduction, threshold=None, factors=None):
    slots = weights[:, None] if weights.ndim == 2 else weights
    n, group, v = slots.shape
    if reduction == "flat":
        slots = slots.reshape(n * group, 1, v)
    total = 0.0
    for g in range(slots.shape[1]):
        for j in range(v):
            mean = 0.0
            for i in range(slots.shape[0]):
                kept = threshold is None or np.count_nonzero(slots[i, g]) > threshold
                mean += kept * abs(slots[i, g, j]) / slots.shape[0]
            total += (mean * (1 if factors is None else factors[j])) ** 2
    return total


def df_factors(x, half, steepness):
    if x == 0:
        return 0.0
    return 1 / (1 + (x ** (np.log(2) / np.log(half)) - 1) ** steepness)


def joint_flops(q, d):
    return sum(np.abs(q[:, j]).mean() * np.abs(d[:, j]).mean() for j in range(q.shape[1]))


def info_nce(scores, targets, temperature, mask):
    losses = []
    for row, target, keep in zip(scores, targets, mask, strict=True):
        exp = np.exp(row / temperature) * keep
        losses.append(-np.log(exp[target] / exp.sum()))
    return np.mean(losses)


def pairwise(scores):
    losses = [-np.log(np.exp(p) / (np.exp(p) + np.exp(n))) for p, *rest in scores for n in rest]
    return np.mean(losses)


def margin_mse(scores, teacher, pairs):
    errors = []
    for s, t in zip(scores, teacher, strict=True):
        for a in range(len(s)):
            kept = range(a + 1, len(s)) if pairs == "all" or a == 0 else ()
            errors += [((s[a] - s[b]) - (t[a] - t[b])) ** 2 for b in kept]
    return np.mean(errors)


def kl(scores, teacher, temperature, mask):
    losses = []
    for s, t, keep in zip(scores, teacher, mask, strict=True):
        p = np.exp(log_softmax(t[keep] / temperature))
        q = np.exp(log_softmax(s[keep] / temperature))
        losses.append((p * np.log(p / q)).sum())
    return np.mean(losses)


def ensemble(teachers, scale):
    out = np.zeros_like(teachers[0])
    for scores in teachers:
        for row, total in zip(scores, out, strict=True):
            total += (row - row.min()) / (row.max() - row.min())
    return scale * out / len(teachers)


def candidates(n, group, kind):
    """Column lists per query, spelled out from the definitions."""
    rows = []
    for i in range(n):
        own = [i * group + g for g in range(group)]
        positives = [k * group for k in range(n)]
        negatives = [k * group + g for k in range(n) for g in range(1, group)]
        rows.append(
            {
                "all": set(range(n * group)),
                "positives": set(positives),
                "own": set(own),
                "own_and_positives": set(own) | set(positives),
                "negatives": set(negatives) | {i * group},
            }[kind]
        )
    return rows
