"""Every kernel against its twin, as plain Python and compiled."""

from __future__ import annotations

import ctypes
import importlib
import mmap
import pkgutil
import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.index import kernels
from splade_engine.index.kernels import blocks, groups, jit, lanes, plan, score, split, weights
from splade_engine.index.kernels import sieve as sieves
from splade_engine.index.kernels.cache import compiled
from splade_engine.index.kernels.dtypes import hints, is_group, numba_type
from splade_engine.index.segment.scratch import empty_query
from splade_engine.vectors import SparseVectors
from tests import oracle
from tests.index.made_kernels.segment import N_TERMS, Made

MODULES = (
    "accumulate", "block_search", "blocks", "build", "candidates", "heap", "lanes", "order", "plan", "prune",
    "score", "search", "sieve", "split", "visit", "walk", "weights",
)  # fmt: skip
INSTRUCTIONS = (
    "any_reaches", "clear", "lowest_bit", "prefetch", "item_size", "add_codes", "add_spread", "which_reach",
    "count_bits", "can_sift", "sift",
)  # fmt: skip

# of the k best
KEEPERS = ("score_candidates", "score_best_first", "walk_all", "read_all_rows", "score_all", "make_room")


def decorated():
    """{name: (module, Python function)} of all that is compiled."""
    found = {name: ("jit", getattr(jit, name)) for name in ("prefetch", "item_size")}
    for module in MODULES:
        source = importlib.import_module(f"splade_engine.index.kernels.{module}")
        for name, value in vars(source).items():
            if getattr(value, "__module__", "") == source.__name__ and not name.startswith("_"):
                found[name] = (module, getattr(value, "python", value))
    return found


KERNELS = decorated()


def twin(name):
    """The function of the same name in the module of the same name of tests/oracle."""
    return getattr(importlib.import_module(f"tests.oracle.kernels.{KERNELS[name][0]}"), name)


def made_arguments(name, seed):
    module = importlib.import_module(f"tests.index.made_kernels.{KERNELS[name][0]}")
    return getattr(module, name)(made(seed))


def test_every_module_of_kernels_is_looked_at():
    others = {
        "block_sizes",
        "cache",
        "codes",
        "compiler",
        "dtypes",
        "groups",
        "jit",
    }  # nothing there is a loop
    assert {module.name for module in pkgutil.iter_modules(kernels.__path__)} == others | set(MODULES)


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_a_twin_and_arguments_to_be_compared_with(name):
    assert callable(twin(name))
    assert set(made_arguments(name, 0)) == set(hints(KERNELS[name][1]))


def made(seed):
    """A segment with entries in it."""
    rng = np.random.default_rng(seed)
    while True:
        found = Made(rng)
        if found.n_lists:
            return found


def copied(value):
    if is_group(type(value)):
        return type(value)(**{field: copied(getattr(value, field)) for field in value._fields})
    return value.copy() if isinstance(value, np.ndarray) else value


def settled(name, arguments, result):
    """What a kernel promises of its arguments after the call: arrays by name, unspecified places left out."""
    flat = {}

    def flatten(prefix, value):
        if is_group(type(value)):
            for field in value._fields:
                flatten(f"{prefix}.{field}", getattr(value, field))
        elif isinstance(value, np.ndarray):
            flat[prefix] = value.copy()

    for key, value in arguments.items():
        flatten(key, value)
    for key in [key for key in flat if key.endswith((".work", ".ends", ".histogram", "query.sums"))]:
        del flat[key]
    if name in ("walk_all", "search_queries", "score_all", "search_blocks", "score_best_first", "make_room"):
        del flat["hits.scored"]  # how many are scored hangs on an order that is not fixed
    if name == "score_best_first":
        flat = {key: value for key, value in flat.items() if not key.startswith("found")}
    if name == "mark_levels":
        del flat["counts"]
    if name == "nth_largest":
        flat["values"].sort()
    if name in ("sift_down", "push", *KEEPERS):
        best = next(key for key in flat if key.endswith("best"))
        size = result[1] if name == "make_room" else arguments["size"] if name == "sift_down" else result
        flat[best] = np.sort(flat[best][:size])  # a heap
    if name == "make_room":  # those that wait
        for key in ("found.docs", "found.bounds"):
            flat[key] = flat[key][: result[0]]
    if name in ("write_ranking", "reach_of_guess"):
        del flat["best"]
    if name in ("collect_heavy", "walk_heavy", "best_sums"):  # found holds as many as were returned
        flat["scratch.found.docs"], flat["scratch.found.bounds"] = (
            flat[f"scratch.found.{part}"][:result] for part in ("docs", "bounds")
        )
    if name == "likely_best_first":
        for part in (slice(result), slice(result, None)):
            order = np.lexsort((flat["found.docs"][part], flat["found.bounds"][part]))
            for key in ("found.docs", "found.bounds"):
                flat[key][part] = flat[key][part][order]
    if name == "best_sums":  # rounded up to whole steps, of which a search reads no more than it visits
        del flat["scratch.sums"]
    heaps = ("scratch.best",) if name == "score_all" else ()
    if name in ("score_all", "search_blocks"):  # slots and table alone have to be as the next query expects
        kept = ("scratch.query.table", "scratch.query.sieve", "scratch.slots", *heaps)
        flat = {key: v for key, v in flat.items() if not key.startswith("scratch.") or key in kept}
    if name in ("walk_all", "search_queries"):
        flat = {key: value for key, value in flat.items() if not key.startswith("scratch.found")}
    if name == "search_queries":  # numbers of a query that is done
        done = ("scratch.terms", "scratch.active", "scratch.best")
        flat = {key: v for key, v in flat.items() if not key.startswith(done)}
    return flat


def compare(name, function, seed):
    arguments = made_arguments(name, seed)
    ours, theirs = copied_all(arguments), copied_all(arguments)
    with np.errstate(over="ignore"):
        found, expected = function(**ours), twin(name)(**theirs)
    assert found == expected
    left, right = settled(name, ours, expected), settled(name, theirs, expected)
    for key in right:
        assert np.array_equal(left[key], right[key]), key


def copied_all(arguments):
    return {key: copied(value) for key, value in arguments.items()}


@pytest.mark.parametrize("name", KERNELS)
@given(seed=st.integers(0, 100_000))
@settings(deadline=None, max_examples=15)
def test_a_kernel_run_as_python_does_what_its_twin_does(name, seed):
    compare(name, KERNELS[name][1], seed)


@pytest.mark.parametrize("name", [name for name in KERNELS if name not in INSTRUCTIONS])
def test_a_compiled_kernel_does_what_its_twin_does(name):
    function = KERNELS[name][1]
    codes = {}

    def call(**arguments):
        values = [arguments[key] for key in hints(function)]
        signature = tuple(numba_type(arguments[key], hint) for key, hint in hints(function).items())
        if str(signature) not in codes and len(codes) < 2:
            codes[str(signature)] = compiled(function, signature)
        code = codes.get(str(signature))
        return code(*values) if code else function(*values)  # two variants: each takes seconds to compile

    for seed in range(40):
        compare(name, call, seed)


@given(seed=st.integers(0, 100_000))
@settings(deadline=None, max_examples=60)
def test_an_exact_walk_scores_what_may_be_a_hit_and_no_more_than_its_bounds_let_through(seed):
    """Its twin ranks all documents; that alone would not see a rule that leaves out nothing."""
    a = made_arguments("walk_all", seed)
    bounds = np.concatenate([window_bounds(a, w) for w in range(a["lists"].windows)])
    bounds = bounds[: len(a["rows"].offsets) - 1]
    may = (bounds >= 1) & (a["allowed"].mask > 0 if len(a["allowed"].mask) else True)
    size = KERNELS["walk_all"][1](**a)
    k = a["hits"].scores.shape[1]
    best = [float(twin("score_of")(key)) for key in a["scratch"].best[:size]]
    worst = min(best) if size == k else 0.0
    kth = np.sort(bounds[may])[::-1][k - 1] if may.sum() >= k else 0
    sure = max(0.0, float(kth) - a["slack"]) * (1 - 1e-5)  # what the k-th best score reaches, by bounds alone
    at_first = np.floor(max(float(a["reach"]) * a["to_bound"], sure) - a["missing"])
    needed = (may & (bounds + a["missing"] >= worst * a["to_bound"])).sum()
    assert size <= needed <= a["hits"].scored[1] <= (may & (bounds >= at_first)).sum()
    assert not a["scratch"].bounds.any()  # as the next query expects them


def window_bounds(a, w):
    """uint16[window]: the sums of a window's lists, read down to their lowest codes."""
    lists, terms, out = a["lists"], a["scratch"].terms, np.zeros(a["lists"].window, np.uint16)
    for i in range(a["count"]):
        at = terms.numbers[i] * lists.windows + w
        twin("add_heavy_entries")(lists, at, terms.lowest[i], terms.multipliers[i], out)
    return out


@numba.njit
def answer(values, thresholds, words, reached, lowest):
    """Compiled: what vector instructions say of each block, which are then cleared; and of each word."""
    for b in range(len(values) // blocks.BLOCK):
        at = b * blocks.BLOCK
        jit.prefetch(values, at)
        reached[b] = blocks.any_reaches(values, at, thresholds[b])
        if reached[b]:
            blocks.clear(values, at)
        lowest[b] = split.lowest_bit(words[b])
    return jit.item_size(values), jit.item_size(words)


@given(seed=st.integers(0, 1000), offset=st.integers(0, 5))
@settings(deadline=None)
def test_compiled_instructions_do_what_their_twins_do(seed, offset):
    """Also at odd addresses, at the largest value, and without touching the neighbours."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 65536, offset + 8 * blocks.BLOCK).astype(np.uint16)[offset:]
    largest = values.reshape(8, -1).max(axis=1)
    thresholds = np.minimum(largest.astype(int) + rng.integers(0, 2, 8), 65535).astype(np.uint16)
    words = rng.integers(1, 1 << 63, 8).astype(np.uint64) << rng.integers(0, 63, 8).astype(np.uint64)
    words |= np.uint64(1 << 63)
    expected, answers, lowest = values.copy(), np.zeros(8, bool), np.zeros(8, np.uint64)
    assert answer(values, thresholds, words, answers, lowest) == (2, 8)
    for b in range(8):
        assert answers[b] == twin("any_reaches")(expected, b * blocks.BLOCK, thresholds[b])
        if answers[b]:
            twin("clear")(expected, b * blocks.BLOCK)
        assert lowest[b] == twin("lowest_bit")(words[b])
    assert np.array_equal(values, expected)


@numba.njit
def add_up(sums, codes, masks, multiplier, threshold, bits):
    """Compiled: codes added to all sums and to those of a mask; which sums are large."""
    for i in range(len(masks)):
        lanes.add_codes(sums, i, codes, i, multiplier)
        lanes.add_spread(sums, 3 * i, codes, 2 * i, masks[i], multiplier)
        bits[i] = lanes.count_bits(lanes.which_reach(sums, i, threshold))


def take_way(module, name, way, monkeypatch):
    """Compile for a processor that has this way at best."""
    if way not in getattr(module, name)():
        pytest.skip(f"this processor has no instructions for it: {way}")
    monkeypatch.setattr(module, name, lambda: (way,))


@pytest.mark.parametrize("way", ["vector", "words", "bit by bit"])
def test_sums_are_the_same_by_all__ways_to_spread_bytes(way, monkeypatch):
    take_way(lanes, "_ways_to_spread", way, monkeypatch)
    code = numba.njit(add_up.py_func)
    rng = np.random.default_rng(1)
    sums, codes = rng.integers(0, 9, 200).astype(np.uint16), rng.integers(0, 256, 200).astype(np.uint8)
    masks = rng.integers(0, 1 << 63, 40).astype(np.uint64) * np.uint64(2)
    masks[:2] = 0, 0xFFFF
    expected, counts, bits = sums.copy(), np.zeros(40, np.int64), np.zeros(40, np.int64)
    code(sums, codes, masks, np.uint16(65_255), np.uint16(900), bits)
    for i, mask in enumerate(masks):
        twin("add_codes")(expected, i, codes, i, 65_255)
        twin("add_spread")(expected, 3 * i, codes, 2 * i, mask, 65_255)
        counts[i] = twin("count_bits")(twin("which_reach")(expected, i, 900))
    assert np.array_equal(sums, expected)
    assert np.array_equal(bits, counts)


@numba.njit
def spread_each(sums, codes, starts, masks):
    """Compiled: the codes of each mask, from its start on, added to 16 sums of its own."""
    for i in range(len(masks)):
        lanes.add_spread(sums, 16 * i, codes, starts[i], masks[i], 256)


@pytest.mark.skipif(sys.platform == "win32", reason="memory is protected by a function of POSIX")
@pytest.mark.parametrize("way", ["vector", "words", "bit by bit"])
def test_no_code_beyond_the_array_is_read(way, monkeypatch):
    """The last codes may end a file, and what lies behind cannot be read: here a page of memory."""
    take_way(lanes, "_ways_to_spread", way, monkeypatch)
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    both = np.frombuffer(memory, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    assert (
        libc.mprotect(ctypes.c_void_p(both.ctypes.data + page), ctypes.c_size_t(page), 0) == 0
    )  # not even read
    codes = both[:page]
    codes[:] = np.arange(page) % 251
    masks = np.array([0, 1, 0x8000, 0xFF, 0x7FFF, 0xFFFF, 0xFFFF, 0x5555, 0x8001], np.uint64)
    starts = np.array([page - int(mask).bit_count() for mask in masks.tolist()])
    starts[6] = 0
    sums = np.zeros(16 * len(masks), np.uint16)
    numba.njit(spread_each.py_func)(sums, codes, starts, masks)
    expected = np.zeros_like(sums)
    for i, mask in enumerate(masks):
        twin("add_spread")(expected, 16 * i, codes, starts[i], mask, 256)
    assert np.array_equal(sums, expected)
    del both, codes


@numba.njit
def sift_rows(terms, sieve, blocks, words):
    """Compiled: which of 64 terms pass, at every place."""
    for i in range(len(words)):
        words[i] = sieves.sift(terms, i, sieve)
    return sieves.can_sift(terms, blocks)


@pytest.mark.parametrize("way", ["words", "bytes"])
def test_compiled_sieves_let_pass_what_their_twin_does(way, monkeypatch):
    take_way(sieves, "_ways_to_look_up", way, monkeypatch)
    rng = np.random.default_rng(1)
    terms = rng.integers(0, 65536, 264).astype(np.uint16)
    sieve = np.zeros(64, np.uint16)
    for term in (*terms[::7].tolist(), 0, 63, 64, 1023, 1024, 65535):
        sieves.add_to_sieve(sieve, term)
    terms[:6] = 0, 63, 64, 1023, 1024, 65535
    words = np.zeros(200, np.uint64)
    assert numba.njit(sift_rows.py_func)(terms, sieve, np.zeros(0, np.uint8), words)
    assert words.tolist() == [twin("sift")(terms, i, sieve) for i in range(200)]
    assert not numba.njit(sift_rows.py_func)(terms, sieve, np.zeros(0, np.uint64), words)  # split numbers


@pytest.mark.parametrize("way", ["words", "bytes", "one by one"])
def test_scores_are_the_same_with_and_without_a_sieve(way, monkeypatch):
    """Where the processor has no such instruction, every entry is looked up: to the bit the same."""
    take_way(sieves, "_ways_to_look_up", way, monkeypatch)
    rng = np.random.default_rng(2)
    lengths = np.array([0, 1, 63, 64, 65, 127, 128, 129, 200, 1000])
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    terms = np.concatenate([np.sort(rng.choice(3000, n, replace=False)) for n in lengths]).astype(np.uint16)
    rows = groups.Rows(
        offsets=offsets, terms=terms, blocks=np.zeros(0, np.uint8), n_blocks=0,
        weights=rng.integers(1, 0x4FFF, len(terms)).astype(np.uint16), scales=np.zeros(0, np.float32),
    )  # fmt: skip
    query = empty_query(3000)
    for term in rng.choice(3000, 300, replace=False).tolist():
        plan.put_term(query, term, np.float32(rng.random()))
    code = numba.njit(score.score_row)
    for d in range(len(lengths)):
        assert code(rows, d, query) == twin("score_row")(rows, d, query)
    assert code(rows, 9, query) > 0


def test_neighbours_that_change_places_are_caught():
    m = made(1)
    named = {key: getattr(m.scratch.found, key) for key in ("docs", "bounds", "work")}
    with pytest.raises(TypeError, match=r"Candidates\.docs: must be array\(int64, 1d, C\), got uint16"):
        groups.Candidates(docs=named["bounds"], bounds=named["docs"], work=named["work"])
    with pytest.raises(TypeError, match="fields are given by name"):
        groups.Candidates(*named.values())
    arguments = made_arguments("search_queries", 1)
    swapped = arguments | {"lists": arguments["rows"], "rows": arguments["lists"]}
    search = importlib.import_module("splade_engine.index.kernels.search").search_queries
    with pytest.raises(TypeError, match="lists: must be Lists, got Rows"):
        search(**swapped)
    with pytest.raises(TypeError, match="by name"):
        search(*arguments.values())
    with pytest.raises(TypeError, match="by name"):
        search(**{key: value for key, value in arguments.items() if key != "first"})


def test_an_array_that_is_written_must_be_writable():
    m = made(1)
    counts = np.zeros(N_TERMS, np.int64)
    counts.flags.writeable = False
    with pytest.raises(TypeError, match="counts: must be"):
        importlib.import_module("splade_engine.index.kernels.build").count_terms(terms=m.terms, counts=counts)


def test_a_helper_compiles_only_for_what_it_is_annotated_with():
    @numba.njit
    def sum_of(values):
        return weights.scale_of(0, values, values)

    with pytest.raises(numba.TypingError, match=r"scale_of\(weights\)"):
        sum_of(np.zeros(3, np.int64))


@given(bits=st.integers(1, 0x7BFF))
def test_every_positive_float16_is_widened_exactly(bits):
    stored = np.array([bits], np.uint16)
    assert weights.widen(stored, 0, np.float32(7)) == np.float32(stored.view(np.float16)[0])


@given(seed=st.integers(0, 1000), exponent=st.floats(-44, 38))
@settings(deadline=None, max_examples=60)
def test_quantised_rows_stay_as_they_are(seed, exponent):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 30, 12)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    spread = rng.random(offsets[-1]) ** rng.integers(1, 40) * 10.0**exponent
    weights = np.clip(spread, 1e-45, 3.4e38).astype(np.float32)
    documents = SparseVectors(offsets, np.concatenate([np.arange(n) for n in lengths]), weights, 30)
    codes, scales = oracle.quantised(documents)
    exact = codes.astype(np.float64) * np.repeat(scales, lengths).astype(np.float64)
    again = oracle.stored(documents, "uint8")
    assert np.array_equal(again.weights.astype(np.float64), exact)  # the product needs no rounding
    assert oracle.stored(again, "uint8") == again
    largest = np.repeat([max(w, default=1) for _, w in documents], lengths)
    assert (np.abs(again.weights - weights.astype(np.float64)) <= np.maximum(largest / 254, 2.0**-120)).all()


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.9))
@settings(deadline=None, max_examples=30)
def test_the_impact_threshold_leaves_about_the_budget(seed, share):
    lists, terms, codes = some_lists(seed)
    impacts = np.sort(np.concatenate([f * c for f, c in zip(terms.factors, codes, strict=True)]))[::-1]
    budget = max(1, int(share * len(impacts)))
    found = plan.impact_threshold(lists, terms, 6, budget, np.empty(512))
    assert abs((impacts >= found).sum() - budget) <= 0.15 * len(impacts) + 64


@given(seed=st.integers(0, 1000), share=st.floats(0.0, 1.5))
@settings(deadline=None, max_examples=30)
def test_lists_are_cut_within_the_allowance(seed, share):
    lists, terms, codes = some_lists(seed)
    allowance = share * float((terms.factors * 255).sum())
    spent = plan.cut_lists(lists, terms, 6, allowance)
    assert spent <= allowance
    missing = 0.0
    for factor, ranked, lowest in zip(terms.factors, codes, terms.lowest, strict=True):
        missing += factor * max(ranked[ranked < lowest], default=0)
    assert missing <= spent + 1e-9
    if share >= 1.0:
        assert (terms.lowest == 256).all()


def some_lists(seed):
    """(lists, terms, codes of each list) of six lists in one window."""
    rng = np.random.default_rng(seed)
    codes = [np.sort(rng.integers(1, 256, rng.integers(1, 3000)))[::-1] for _ in range(6)]
    offsets = np.concatenate(([0], np.cumsum([len(c) for c in codes]))).astype(np.int64)
    levels = np.zeros(6 * 16, np.uint8)
    for t, ranked in enumerate(codes):
        for i in range(16):
            if len(ranked) >= 64 << i:
                levels[16 * t + i] = ranked[(64 << i) - 1]
    lists = groups.Lists(
        number_of=np.zeros(0, np.int32),
        term_ids=np.arange(6, dtype=np.uint32),
        window=1 << 16,
        windows=1,
        offsets=offsets,
        docs=np.zeros(offsets[-1], np.uint16),
        codes=np.concatenate(codes).astype(np.uint8),
        scales=np.ones(6, np.float32),
        levels=levels,
        n_levels=16,
    )
    factors = rng.random(6) + 0.01
    numbers, multipliers, lowest = np.arange(6), np.zeros(6, np.int64), np.zeros(6, np.int64)
    terms = groups.Terms(
        numbers=numbers, factors=factors, priorities=factors, multipliers=multipliers, lowest=lowest
    )
    return lists, terms, codes


def test_the_scale_of_bounds_keeps_the_largest_sum_in_sixteen_bits():
    for count in (1, 50, plan.MOST_TERMS):
        room = (plan.CEILING - 2.0 * count - 1.0) / (count * 255.0)
        multiplier = int(room * 256) + 1
        assert count * ((multiplier * 255 + 255) >> 8) <= 65535
