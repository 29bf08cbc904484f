"""The loops, run as plain Python, against their numpy twins; compiled they run in segment/test_search."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.index.kernels import accumulate, blocks, build, heap, plan, score, split
from splade_engine.vectors import SparseVectors
from tests import oracle


def plain(kernel):
    """The Python function under a compiled helper."""
    return getattr(kernel, "py_func", kernel)


@pytest.fixture(autouse=True)
def python_helpers(monkeypatch):
    """Helpers call each other as Python too."""
    monkeypatch.setattr(accumulate, "nth_largest", plain(accumulate.nth_largest))
    monkeypatch.setattr(heap, "worse", plain(heap.worse))
    monkeypatch.setattr(heap, "sift_down", plain(heap.sift_down))
    monkeypatch.setattr(plan, "cheapest_cut", plain(plan.cheapest_cut))
    monkeypatch.setattr(accumulate, "prefetch", lambda *_: None)
    monkeypatch.setattr(accumulate, "any_reaches", oracle.any_reaches)
    monkeypatch.setattr(accumulate, "clear", oracle.clear)
    monkeypatch.setattr(score, "part_of_row", plain(split.part_of_row))
    monkeypatch.setattr(score, "lowest_bit", lowest_bit)


def lowest_bit(word):
    """What the instruction counts: zeros below the lowest bit that is set."""
    return np.uint64(bin(int(word))[::-1].index("1"))


values_of = st.lists(st.integers(0, 60), min_size=1, max_size=80)


@given(values=values_of, data=st.data())
def test_nth_largest_is_the_sorted_one(values, data):
    rank = data.draw(st.integers(1, len(values)))
    work = np.array(values, np.uint16)
    assert plain(accumulate.nth_largest)(work, len(values), rank) == oracle.nth_largest(
        np.array(values), rank
    )
    assert sorted(work.tolist()) == sorted(values)


@given(values=values_of, data=st.data())
@settings(deadline=None)
def test_keep_largest_keeps_everything_above_the_last_and_the_first_of_the_equal(values, data):
    wanted = data.draw(st.integers(1, len(values)))
    slots, kept = np.arange(len(values)), np.array(values, np.uint16)
    expected = oracle.keep_largest(slots.copy(), kept.copy(), wanted)
    smallest = plain(accumulate.keep_largest)(len(values), wanted, slots, kept, np.empty_like(kept))
    assert np.array_equal(slots[:wanted], expected[0])
    assert np.array_equal(kept[:wanted], expected[1])
    assert smallest == expected[1].min()


@given(
    hits=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 10**6)), unique_by=lambda hit: hit[1]),
    k=st.integers(1, 12),
)
@settings(deadline=None)
def test_the_heap_ranks_by_score_then_ordinal(hits, k):
    scores, docs = np.zeros((2, k), np.float32), np.full((2, k), -1, np.int64)
    size = 0
    for value, doc in hits:
        size = plain(heap.push)(scores, docs, 1, size, np.float32(value), doc)
    plain(heap.sort_best_first)(scores, docs, 1, size)
    best = sorted(hits, key=lambda hit: (-hit[0], hit[1]))[:k]
    assert list(zip(scores[1, :size].tolist(), docs[1, :size].tolist(), strict=True)) == best
    assert not scores[0].any()


def a_list(seed: int, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.sort(rng.integers(1, 256, length).astype(np.uint8))[::-1].copy()
    return rng.permutation(n)[:length].astype(np.uint16), codes


@given(seed=st.integers(0, 1000), lowest=st.integers(1, 256), threshold=st.integers(1, 3000))
@settings(deadline=None, max_examples=40)
def test_walking_a_list_adds_bounds_and_taking_clears_them(seed, lowest, threshold):
    docs, codes = a_list(seed, 128, 40)
    whole, heavy = np.zeros((2, 128), np.uint16)
    plain(accumulate.add_whole_list)(0, 40, 3000, docs, codes, whole)
    assert np.array_equal(whole, oracle.bounds(codes, docs, 3000, 128))
    end = plain(accumulate.add_heavy_entries)(0, 40, lowest, 3000, docs, codes, heavy)
    assert end == 40 - oracle.entries_left_out(codes, lowest)[0]
    assert np.array_equal(heavy, oracle.bounds(codes[:end], docs[:end], 3000, 128))
    slots, values = np.zeros(128, np.int64), np.zeros(128, np.uint16)
    expected = {int(d) + 1000: int(heavy[d]) for d in np.flatnonzero(heavy >= threshold)}
    count = plain(accumulate.take_touched)(0, end, docs, heavy, np.uint16(threshold), 1000, 0, slots, values)
    assert dict(zip(slots[:count].tolist(), values[:count].tolist(), strict=True)) == expected
    assert not heavy.any()
    expected = {int(d) + 1000: int(whole[d]) for d in np.flatnonzero(whole >= threshold)}
    count = plain(accumulate.take_all)(128, whole, np.uint16(threshold), 1000, slots, values)
    assert dict(zip(slots[:count].tolist(), values[:count].tolist(), strict=True)) == expected
    assert not whole.any()


@numba.njit
def block_answers(values, thresholds, reached):
    """Compiled: what vector instructions say of each block, which are then cleared."""
    for b in range(len(values) // blocks.BLOCK):
        at = b * blocks.BLOCK
        reached[b] = blocks.any_reaches(values, at, thresholds[b])
        if reached[b]:
            blocks.clear(values, at)


@given(seed=st.integers(0, 1000), offset=st.integers(0, 5))
@settings(deadline=None)
def test_blocks_of_bounds_by_vector_instructions(seed, offset):
    """Also at odd addresses, at the largest value, and without touching the neighbours."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 65536, offset + 8 * blocks.BLOCK).astype(np.uint16)[offset:]
    largest = values.reshape(8, -1).max(axis=1)
    thresholds = np.minimum(largest.astype(int) + rng.integers(0, 2, 8), 65535).astype(np.uint16)
    expected, answers = values.copy(), np.zeros(8, bool)
    block_answers(values, thresholds, answers)
    for b in range(8):
        assert answers[b] == oracle.any_reaches(expected, b * blocks.BLOCK, thresholds[b])
        if answers[b]:
            oracle.clear(expected, b * blocks.BLOCK)
    assert np.array_equal(values, expected)


def test_the_bound_after_the_largest_is_the_largest():
    assert plain(accumulate.next_bound)(np.uint16(65535)) == 65535
    assert plain(accumulate.next_bound)(np.uint16(7)) == 8


@given(seed=st.integers(0, 1000), length=st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_the_score_is_the_four_lane_sum(seed, length):
    rng = np.random.default_rng(seed)
    terms = rng.permutation(20)[:length].astype(np.uint16)
    table = rng.random(20).astype(np.float32)
    terms.sort()
    halves = (rng.random(length) * 3 + 0.01).astype(np.float16)
    codes, scale = rng.integers(1, 256, length).astype(np.uint8), np.float32(0.0123)
    lows, words = oracle.split(terms, np.array([0, length]), 20, 8)
    for stored, weights in (
        (halves.view(np.uint16), halves),
        (halves.astype(np.float32),) * 2,
        (codes, codes.astype(np.float32) * scale),
    ):
        expected = oracle.score(table, terms, weights)
        whole = (0, length, 0, 0, terms, np.zeros(0, np.uint8), stored, scale, table)
        assert score.score_row(*whole) == expected
        split = (0, length, 0, length + 1, lows.astype(np.uint8), words, stored, scale, table)
        assert score.score_row(*split) == expected


@given(seed=st.integers(0, 1000), n_local=st.integers(1, 3000), low_bits=st.sampled_from([8, 16]))
@settings(deadline=None, max_examples=40)
def test_split_rows_come_back(seed, n_local, low_bits):
    """Rows of every kind: empty, of one entry, of all terms."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(rng.random(n_local) < share) for share in (0, 1 / n_local, 0.02, 1, 0, 0.3)]
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    terms = np.concatenate(rows).astype(np.uint16 if low_bits == 8 else np.uint32)
    n_blocks, wide = -(-n_local >> low_bits), int(low_bits == 16)
    expected_lows, expected_words = oracle.split(terms, offsets, n_local, low_bits)
    lows = np.empty(len(terms), np.uint16 if wide else np.uint8)
    words = np.zeros(len(expected_words), np.uint64)
    split.split_rows[wide](0, len(rows), offsets, terms, n_blocks, lows, words)
    assert np.array_equal(lows, expected_lows)
    assert np.array_equal(words, expected_words)
    wanted = rng.permutation(len(rows))
    starts = np.concatenate(([0], np.cumsum(np.diff(offsets)[wanted])))
    out = np.zeros(len(terms), np.uint32)
    split.join_rows[wide](wanted, starts, offsets, lows, words, n_blocks, out)
    assert np.array_equal(out, np.concatenate([rows[d] for d in wanted]))


@given(seed=st.integers(0, 1000), exponent=st.floats(-44, 38))
@settings(deadline=None, max_examples=60)
def test_quantised_rows_equal_the_twin_and_stay_as_they_are(seed, exponent):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 30, 12)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    spread = rng.random(offsets[-1]) ** rng.integers(1, 40) * 10.0**exponent
    weights = np.clip(spread, 1e-45, 3.4e38).astype(np.float32)
    documents = SparseVectors(offsets, np.concatenate([np.arange(n) for n in lengths]), weights, 30)
    codes, scales = oracle.quantised(documents)
    found, found_scales = np.zeros(len(weights), np.uint8), np.zeros(12, np.float32)
    build.quantise_rows(0, 12, offsets, weights, found, found_scales)
    assert np.array_equal(found, codes)
    assert np.array_equal(found_scales, scales)
    exact = codes.astype(np.float64) * np.repeat(scales, lengths).astype(np.float64)
    again = oracle.stored(documents, "uint8")
    assert np.array_equal(again.weights.astype(np.float64), exact)  # the product needs no rounding
    assert oracle.stored(again, "uint8") == again
    largest = np.repeat([max(w, default=1) for _, w in documents], lengths)
    assert (np.abs(again.weights - weights.astype(np.float64)) <= np.maximum(largest / 254, 2.0**-120)).all()


@given(bits=st.integers(1, 0x7BFF))
def test_every_positive_float16_is_widened_exactly(bits):
    assert score.widen(np.uint16(bits), np.float32(7)) == np.float32(np.uint16(bits).view(np.float16))


def some_lists(seed: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """(offsets, levels, codes of each list, factors) of six lists in one window."""
    rng = np.random.default_rng(seed)
    codes = [np.sort(rng.integers(1, 256, rng.integers(1, 3000)))[::-1] for _ in range(6)]
    offsets = np.concatenate(([0], np.cumsum([len(c) for c in codes])))
    levels = np.zeros(6 * 16, np.uint8)
    for t, ranked in enumerate(codes):
        for i in range(16):
            if len(ranked) >= 64 << i:
                levels[16 * t + i] = ranked[(64 << i) - 1]
    return offsets, levels, codes, rng.random(6) + 0.01


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.9))
@settings(deadline=None, max_examples=30)
def test_the_impact_threshold_leaves_about_the_budget(seed, share):
    offsets, levels, codes, factors = some_lists(seed)
    impacts = np.sort(np.concatenate([f * c for f, c in zip(factors, codes, strict=True)]))[::-1]
    budget = max(1, int(share * len(impacts)))
    found = plain(plan.impact_threshold)(
        6, np.arange(6), factors, budget, 1, offsets, levels, 16, np.empty(512)
    )
    assert abs((impacts >= found).sum() - budget) <= 0.15 * len(impacts) + 64


@given(seed=st.integers(0, 1000), share=st.floats(0.0, 1.5))
@settings(deadline=None, max_examples=30)
def test_lists_are_cut_within_the_allowance(seed, share):
    offsets, levels, codes, factors = some_lists(seed)
    allowance = share * float((factors * 255).sum())
    lowest = np.zeros(6, np.int64)
    spent = plain(plan.cut_lists)(6, np.arange(6), factors, allowance, 1, offsets, levels, 16, lowest)
    assert spent <= allowance
    parts = zip(factors, codes, lowest, strict=True)
    missing = sum(f * oracle.entries_left_out(c, low)[1] for f, c, low in parts)
    assert missing <= spent + 1e-9
    if share >= 1.0:
        assert (lowest == 256).all()


def test_a_term_is_found_by_table_and_by_bisection():
    ids = np.array([3, 7, 9, 400], np.uint32)
    table = np.full(500, -1, np.int32)
    table[ids] = np.arange(4)
    for term in range(500):
        expected = int(np.flatnonzero(ids == term)[0]) if term in ids else -1
        assert plain(plan.find_term)(term, table, ids) == expected
        assert plain(plan.find_term)(term, np.zeros(0, np.int32), ids) == expected


def test_the_scale_of_bounds_keeps_the_largest_sum_in_sixteen_bits():
    for count in (1, 50, plan.MOST_TERMS):
        room = (plan.CEILING - 2.0 * count - 1.0) / (count * 255.0)
        multiplier = int(room * 256) + 1
        assert count * ((multiplier * 255 + 255) >> 8) <= 65535
