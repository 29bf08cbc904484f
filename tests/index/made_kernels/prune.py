"""Arguments of kernels/prune.py."""

from __future__ import annotations

import numpy as np

from tests.oracle.kernels import prune


def _rows(m):
    return {"offsets": m.offsets, "weights": m.stored, "row_scales": m.scales}


def step_of(m):
    weight = np.float32(m.rng.random())
    return {"weight": weight, "largest": np.float32(max(weight, m.rng.random()))}


def bin_of(m):
    return step_of(m)


def prune_rows(m):
    energy = float(m.rng.choice([0.01, 0.5, 0.9, 0.999]))
    return _rows(m) | {"energy": energy, "masses": np.ones(256), "codes": m.codes}


def find_largest(m):
    return _rows(m) | {"largest": np.array([m.rng.choice([0.0, 1e9])], np.float32)}


def _largest(m):
    largest = np.zeros(1, np.float32)
    prune.find_largest(**_rows(m), largest=largest)
    return largest[0]


def count_weights(m):
    return _rows(m) | {"largest": _largest(m), "codes": m.codes, "counts": np.zeros(65536, np.int64)}


def prune_weights(m):
    return _rows(m) | {"largest": _largest(m), "lowest": int(m.rng.integers(65536)), "codes": m.codes}


def _places(m):
    places = np.full(m.n_lists, -1, np.int64)
    some = m.rng.permutation(m.n_lists)[: m.rng.integers(1, m.n_lists + 1)]
    places[some] = np.arange(len(some))
    return {"terms": m.numbers, "codes": m.codes, "places": places}, len(some)


def count_codes(m):
    given, n = _places(m)
    return given | {"counts": np.zeros(n * 256, np.int64)}


def cap_lists(m):
    given, n = _places(m)
    lowest, left = m.rng.integers(1, 256, n), m.rng.integers(0, 3, n)
    return given | {"lowest": lowest, "left": left}


def count_listed(m):
    listed, rests = np.zeros(m.n_lists, np.int64), np.zeros(m.n_lists, np.float32)
    in_lists = np.zeros(m.n_docs, np.uint32)
    rest = {"codes": m.codes, "listed": listed, "rests": rests, "in_lists": in_lists}
    return _rows(m) | {"terms": m.numbers} | rest
