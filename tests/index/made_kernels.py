"""Arguments for every kernel, made from a seed: one function each, named like the kernel."""

from __future__ import annotations

import numpy as np

from splade_engine.index.config import BuildConfig
from splade_engine.index.kernels import groups
from splade_engine.index.segment.build import build_segment
from splade_engine.index.segment.rows import Rows
from splade_engine.vectors import SparseVectors
from tests import oracle
from tests.oracle.kernels import plan, split, walk

WINDOW, N_TERMS = 64, 300
WEIGHTS, TERMS = ("float16", "float32", "uint8"), ("plain", "split")


class Made:
    """A small segment of several windows, a query, and room to search."""

    def __init__(self, rng):
        self.rng = rng
        self.n_docs = int(rng.integers(1, 300))
        popular = 1 / np.arange(1, N_TERMS + 1)
        lengths = rng.integers(0, 20, self.n_docs)
        rows = [np.sort(rng.choice(N_TERMS, n, False, popular / popular.sum())) for n in lengths]
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        self.terms = np.concatenate(rows).astype(np.int32)
        weights = rng.integers(1, 40, len(self.terms)).astype(np.float32) / 8
        kind = WEIGHTS[rng.integers(3)]
        documents = SparseVectors(offsets, self.terms, weights, N_TERMS)
        config = BuildConfig(weights=kind, terms=TERMS[rng.integers(2)])
        self.rows = Rows(build_segment(documents, config, 1)).arrays
        plain = Rows(build_segment(documents, BuildConfig(weights=kind), 1)).arrays
        self.numbers, self.offsets = plain.terms, offsets
        self.stored, self.scales = plain.weights, plain.scales
        made = oracle.lists(oracle.stored(documents, kind), WINDOW, 4)
        self.n_lists = len(made["term_ids"])
        table = np.full(N_TERMS, -1, np.int32)
        table[made["term_ids"]] = np.arange(self.n_lists)
        self.lists = groups.Lists(
            number_of=table if rng.random() < 0.5 else np.zeros(0, np.int32),
            term_ids=made["term_ids"],
            window=WINDOW,
            windows=-(-self.n_docs // WINDOW),
            offsets=made["list_offsets"],
            docs=made["list_docs"],
            codes=made["list_codes"],
            scales=made["list_scales"],
            levels=made["list_levels"],
            n_levels=4,
        )
        mask = rng.integers(0, 2, self.n_docs if rng.random() < 0.5 else 0).astype(np.uint8)
        total = int(mask.sum()) if len(mask) else self.n_docs
        self.allowed = groups.Allowed(mask=mask, total=total)
        self.k = int(rng.integers(1, 12))
        room = 4 * self.n_docs + 1024 + WINDOW
        n = lambda dtype=np.int64: np.zeros(16, dtype)  # noqa: E731
        self.scratch = groups.Scratch(
            table=np.zeros(self.n_lists, np.float32),
            bounds=np.zeros(WINDOW, np.uint16),
            histogram=np.zeros(512),
            terms=groups.Terms(
                numbers=n(), factors=n(float), priorities=n(float), multipliers=n(), lowest=n()
            ),
            active=groups.Active(numbers=n(), multipliers=n(), lowest=n(), ends=n()),
            found=groups.Candidates(
                docs=np.zeros(room, np.int64),
                bounds=np.zeros(room, np.uint16),
                work=np.zeros(room, np.uint16),
            ),
        )
        self.hits = self.empty_hits(3)
        lengths = rng.integers(0, 8, 3)
        picked = [np.sort(rng.choice(N_TERMS, n, False, popular / popular.sum())) for n in lengths]
        self.queries = groups.Queries(
            offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            terms=np.concatenate(picked).astype(np.int32),
            weights=rng.integers(1, 20, lengths.sum()).astype(np.float32) / 4,
        )
        self.count, self.scale = 0, 1.0

    def empty_hits(self, n):
        return groups.Hits(
            docs=np.full((n, self.k), -1, np.int64),
            scores=np.full((n, self.k), -np.inf, np.float32),
            scored=np.zeros(n, np.int64),
        )

    def load(self):
        """Put a query of known terms into the scratch; returns how many terms it has (at least one)."""
        terms = self.scratch.terms
        if self.n_lists == 0:
            return 0
        self.count = int(self.rng.integers(1, min(self.n_lists, 8) + 1))
        numbers = np.sort(self.rng.permutation(self.n_lists)[: self.count])
        weights = self.rng.integers(1, 20, self.count) / 4
        self.scratch.table[numbers] = weights
        terms.numbers[: self.count] = numbers
        terms.factors[: self.count] = weights * self.lists.scales[numbers]
        lengths = np.array([plan.list_length(self.lists, t) for t in numbers])
        terms.priorities[: self.count] = terms.factors[: self.count] / np.sqrt(np.sqrt(lengths))
        mass = (terms.factors[: self.count] * 255).sum()
        self.scale = (65535.0 - 2.0 * self.count - 1.0) / mass
        terms.multipliers[: self.count] = (terms.factors[: self.count] * self.scale * 256).astype(int) + 1
        terms.lowest[: self.count] = self.rng.choice([1, 50, 200, 256], self.count)
        return self.count

    def fill_bounds(self):
        filled = self.rng.random(WINDOW) < 0.3
        self.scratch.bounds[:] = np.where(filled, self.rng.integers(1, 9, WINDOW), 0)

    def fill_found(self, distinct=False):
        count = int(self.rng.integers(1, self.n_docs + 1))
        self.scratch.found.docs[:count] = self.rng.permutation(self.n_docs)[:count]
        self.scratch.found.bounds[:count] = self.rng.integers(1, 9, count)
        return count

    def part(self):
        return int(self.rng.integers(0, len(self.lists.offsets) - 1))

    def filled_row(self, q, size):
        """Row q as a heap of `size` hits."""
        for _ in range(size):
            score, doc = np.float32(self.rng.integers(1, 9)), int(self.rng.integers(1000))
            held = int((self.hits.docs[q] >= 0).sum())
            self.hits.scores[q, held], self.hits.docs[q, held] = score, doc
        order = np.lexsort((-self.hits.docs[q, :size], self.hits.scores[q, :size]))  # worst first: a heap
        self.hits.scores[q, :size] = self.hits.scores[q, :size][order]
        self.hits.docs[q, :size] = self.hits.docs[q, :size][order]


def add_whole_list(m):
    return {"lists": m.lists, "at": m.part(), "multiplier": 3000, "bounds": m.scratch.bounds}


def add_heavy_entries(m):
    return add_whole_list(m) | {"lowest": int(m.rng.integers(1, 257))}


def take_touched(m):
    m.fill_bounds()
    at = m.part()
    begin, end = m.lists.offsets[at], m.lists.offsets[at + 1]
    rest = {"threshold": np.uint16(m.rng.integers(1, 9)), "base": 128, "count": int(m.rng.integers(0, 9))}
    ends = int(m.rng.integers(begin, end + 1))
    return {
        "lists": m.lists,
        "at": at,
        "end": ends,
        "bounds": m.scratch.bounds,
        "found": m.scratch.found,
    } | rest


def take_all(m):
    m.fill_bounds()
    threshold = np.uint16(m.rng.integers(1, 11))
    return {"n": 64, "bounds": m.scratch.bounds, "threshold": threshold, "base": 64, "found": m.scratch.found}


def prefetch_entries(m):
    return {"lists": m.lists, "begin": 0, "end": len(m.lists.docs)}


def nth_largest(m):
    n = m.fill_found()
    return {"values": m.scratch.found.bounds, "n": n, "rank": int(m.rng.integers(1, n + 1))}


def keep_largest(m):
    count = m.fill_found()
    return {"found": m.scratch.found, "count": count, "wanted": int(m.rng.integers(1, count + 1))}


def likely_best_first(m):
    return keep_largest(m)


def next_bound(m):
    return {"bound": np.uint16(m.rng.choice([0, 7, 65534, 65535]))}


def any_reaches(m):
    m.fill_bounds()
    return {"bounds": m.scratch.bounds, "at": 0, "threshold": np.uint16(m.rng.integers(1, 11))}


def clear(m):
    m.fill_bounds()
    return {"bounds": m.scratch.bounds, "at": 0}


def count_terms(m):
    return {"terms": m.terms, "counts": np.ones(N_TERMS, np.int64)}


def number_terms(m):
    dtype = m.rng.choice([np.uint16, np.uint32])
    number_of = m.rng.permutation(N_TERMS).astype(np.uint32)
    return {"terms": m.terms, "number_of": number_of, "out": np.zeros(len(m.terms), dtype)}


def _span(m):
    first = int(m.rng.integers(0, m.n_docs))
    return {"first": first, "last": int(m.rng.integers(first, m.n_docs + 1)), "offsets": m.offsets}


def quantise_rows(m):
    weights = (10.0 ** m.rng.uniform(-30, 30) * m.rng.random(len(m.terms)) ** 9 + 1e-44).astype(np.float32)
    codes, scales = np.zeros(len(weights), np.uint8), np.zeros(m.n_docs, np.float32)
    return _span(m) | {"weights": weights, "codes": codes, "scales": scales}


def _window(m):
    dtype = m.rng.choice([np.uint16, np.uint32])
    stored = {"weights": m.stored, "row_scales": m.scales}
    return _span(m) | {"terms": m.numbers.astype(dtype)} | stored


def count_window(m):
    counts, largest = np.zeros(m.n_lists, np.int64), np.zeros(m.n_lists, np.float32)
    return _window(m) | {"counts": counts, "largest": largest}


def encode_window(m):
    made = _window(m)
    n = m.offsets[made["last"]] - m.offsets[made["first"]]
    rest = {"codes": np.zeros(n, np.uint8), "counts": np.zeros(256, np.int64)}
    return made | {"scales": np.asarray(m.lists.scales)} | rest


def sort_by_code(m):
    made = _window(m)
    del made["weights"], made["row_scales"]
    n = m.offsets[made["last"]] - m.offsets[made["first"]]
    codes = m.rng.integers(1, 256, n).astype(np.uint8)
    by_code = np.bincount(codes, minlength=256)
    cursors = np.concatenate((np.cumsum(by_code[::-1])[-2::-1], [0]))
    out = {"sorted_terms": np.zeros(n, made["terms"].dtype), "sorted_docs": np.zeros(n, np.uint16)}
    return made | out | {"codes": codes, "cursors": cursors, "sorted_codes": np.zeros(n, np.uint8)}


def sort_by_term(m):
    terms = m.numbers.astype(m.rng.choice([np.uint16, np.uint32]))
    n = len(terms)
    starts = np.concatenate(([0], np.cumsum(np.bincount(terms, minlength=m.n_lists))))[:-1]
    docs, codes = m.rng.integers(0, 99, n).astype(np.uint16), m.rng.integers(0, 256, n).astype(np.uint8)
    out = {"out_docs": np.zeros(n, np.uint16), "out_codes": np.zeros(n, np.uint8)}
    return {"terms": terms, "docs": docs, "codes": codes, "cursors": starts} | out


def mark_levels(m):
    rest = {"counts": np.zeros(256, np.int64), "levels": np.ones(4 * m.n_lists, np.uint8)}
    lists = {"windows": m.lists.windows, "offsets": m.lists.offsets, "codes": m.lists.codes}
    return {"first": 0, "last": m.n_lists} | lists | rest


def worse(m):
    scores = m.rng.integers(1, 3, 2).astype(np.float32)
    docs = m.rng.permutation(4)[:2].tolist()
    return {"score": scores[0], "doc": docs[0], "than_score": scores[1], "than_doc": docs[1]}


def sift_down(m):
    m.filled_row(1, m.k)
    worst = m.hits.scores[1, 0]
    return {
        "hits": m.hits,
        "q": 1,
        "size": m.k,
        "score": np.float32(worst + m.rng.integers(1, 5)),
        "doc": 2000,
    }


def push(m):
    size = int(m.rng.integers(0, m.k + 1))
    m.filled_row(1, size)
    score = np.float32(m.rng.integers(1, 9))
    return {"hits": m.hits, "q": 1, "size": size, "score": score, "doc": int(m.rng.integers(1000, 2000))}


def sort_best_first(m):
    size = int(m.rng.integers(0, m.k + 1))
    m.filled_row(1, size)
    return {"hits": m.hits, "q": 1, "size": size}


def prefetch(m):
    return {"array": m.scales, "index": 0}


def item_size(m):
    return {"array": m.numbers if len(m.numbers) else np.zeros(1, np.uint8)}


def find_term(m):
    return {"lists": m.lists, "term": int(m.rng.integers(0, N_TERMS))}


def list_length(m):
    return {"lists": m.lists, "t": int(m.rng.integers(0, m.n_lists))}


def load_query(m):
    return {"queries": m.queries, "q": 1, "lists": m.lists, "scratch": m.scratch}


def impact_threshold(m):
    count = m.load()
    total = int(np.diff(m.lists.offsets).sum())
    given = {"count": count, "budget": int(m.rng.integers(1, total + 9)), "histogram": m.scratch.histogram}
    return {"lists": m.lists, "terms": m.scratch.terms} | given


def cheapest_cut(m):
    return list_length(m) | {"price": float(2.0 ** m.rng.uniform(-8, 8))}


def cut_lists(m):
    count = m.load()
    allowance = float(m.rng.choice([0.0, 0.1, 0.5, 2.0])) * float(m.scratch.terms.factors.sum() * 255)
    return {"lists": m.lists, "terms": m.scratch.terms, "count": count, "allowance": allowance}


def widen(m):
    scale = np.float32(0.0123)
    return {"weights": m.stored, "j": int(m.rng.integers(0, len(m.stored))), "scale": scale}


def scale_of(m):
    return {"d": int(m.rng.integers(0, m.n_docs)), "weights": m.stored, "scales": m.scales}


def score_row(m):
    m.load()
    return {"rows": m.rows, "d": int(m.rng.integers(0, m.n_docs)), "table": m.scratch.table}


def prefetch_row(m):
    return {"rows": m.rows, "d": int(m.rng.integers(0, m.n_docs))}


def lowest_bit(m):
    return {"word": np.uint64(int(m.rng.integers(1, 1 << 20)) << int(m.rng.integers(0, 44)))}


def part_of_row(m):
    word = np.uint64(int(m.rng.integers(0, 1 << 62)) * 3)
    bit = int(m.rng.integers(0, 190))
    stop = int(m.rng.integers(bit + 1, 192))
    return {
        "word": word,
        "at": int(m.rng.integers(bit >> 6, ((stop - 1) >> 6) + 1)),
        "bit": bit,
        "stop": stop,
    }


def _split(m):
    """Rows of every length over few and many terms, whose lower parts take a byte or two."""
    wide = bool(m.rng.integers(2))
    n_local = int(m.rng.integers(1, 200_000 if wide else 3000))
    shares = (0, 1 / n_local, min(0.02, 99 / n_local), min(1, 999 / n_local), 0, 0.3 if n_local < 999 else 0)
    rows = [np.flatnonzero(m.rng.random(n_local) < share) for share in shares]
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    terms = np.concatenate(rows).astype(np.uint32 if wide else np.uint16)
    n_blocks = -(-n_local >> (16 if wide else 8))
    words = -(-(len(terms) + len(rows) * n_blocks) // 64)
    lows = np.zeros(len(terms), np.uint16 if wide else np.uint8)
    return offsets, terms, n_blocks, lows, np.zeros(words, np.uint64)


def split_rows(m):
    offsets, terms, n_blocks, lows, words = _split(m)
    given = {"first": 0, "last": len(offsets) - 1, "offsets": offsets, "terms": terms}
    return given | {"n_blocks": n_blocks, "lows": lows, "blocks": words}


def join_rows(m):
    offsets, terms, n_blocks, lows, words = _split(m)
    split.split_rows(0, len(offsets) - 1, offsets, terms, n_blocks, lows, words)
    wanted = m.rng.permutation(len(offsets) - 1)
    starts = np.concatenate(([0], np.cumsum(np.diff(offsets)[wanted])))
    given = {"wanted": wanted, "starts": starts, "offsets": offsets, "lows": lows, "blocks": words}
    return given | {"n_blocks": n_blocks, "out": np.zeros(len(terms), np.uint32)}


def score_candidates(m):
    m.load()
    end = m.fill_found()
    given = {"rows": m.rows, "found": m.scratch.found, "begin": 0, "end": end, "scratch": m.scratch}
    return given | {"missing": -1.0, "to_bound": 1.0, "hits": m.hits, "q": 2, "size": 0}


def keep_allowed(m):
    end = m.fill_found()
    begin = int(m.rng.integers(0, end + 1))
    return {"allowed": m.allowed, "found": m.scratch.found, "begin": begin, "end": end}


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
    best = walk.all_scores(m.rows, m.scratch.table)
    may = best if len(m.allowed.mask) == 0 else best[m.allowed.mask > 0]
    good = np.sort(may[may > 0])[::-1]
    reach = good[m.k - 1] if len(good) >= m.k and m.rng.random() < 0.5 else np.float32(0)
    if float(reach) <= missing:  # as search_queries sees to: less is left out than the k-th best score
        terms.lowest[:count], missing = 1, 0.0
    missing = float(np.ceil(missing * m.scale))
    to_bound = m.scale * (1.0 - 6e-8 * (count + 16))
    given = {"lists": m.lists, "rows": m.rows, "count": count, "reach": np.float32(reach), "missing": missing}
    return given | {"to_bound": to_bound, "allowed": m.allowed, "scratch": m.scratch, "hits": m.hits, "q": 1}


def choose_way(m):
    exact, candidates = bool(m.rng.integers(2)), int(m.rng.integers(1, 500))
    limits = groups.Limits(exact=exact, postings=1, candidates=candidates)
    draw = lambda low, high: int(10 ** m.rng.uniform(low, high))  # noqa: E731
    sizes = {"n_docs": draw(2, 6), "n_allowed": draw(1, 4), "total": draw(1, 7), "budget": draw(1, 6)}
    return {"limits": limits, "count": draw(0, 4.2), "k": draw(0, 3), "windows": draw(0, 2)} | sizes


def read_all_rows(m):
    m.load()
    given = {"rows": m.rows, "allowed": m.allowed, "scratch": m.scratch}
    return given | {"hits": m.hits, "q": 1}


def search_queries(m):
    candidates = int(m.rng.integers(m.k, m.k + 30))
    postings = int(m.rng.integers(1, 2000))
    limits = groups.Limits(exact=bool(m.rng.integers(2)), postings=postings, candidates=candidates)
    batch = {"first": 0, "last": 3, "limits": limits, "queries": m.queries, "hits": m.hits}
    return batch | {"lists": m.lists, "rows": m.rows, "allowed": m.allowed, "scratch": m.scratch}
