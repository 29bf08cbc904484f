"""`Made`: a small segment with a query, from which the arguments of every kernel are taken."""

from __future__ import annotations

import numpy as np

from splade_engine.index.config import BuildConfig
from splade_engine.index.kernels import groups
from splade_engine.index.segment.build import build_segment
from splade_engine.index.segment.rows import Rows
from splade_engine.index.segment.scratch import empty_query
from splade_engine.index.segment.weights import WEIGHT_KINDS
from splade_engine.vectors import SparseVectors
from tests import oracle
from tests.oracle.kernels import heap, plan

WINDOW, N_TERMS = 64, 300
WEIGHTS, TERMS = [kind.name for kind in WEIGHT_KINDS], ("plain", "split")


class Made:
    """A small segment of several windows, a query, and room to search."""

    def __init__(self, rng):
        self.rng = rng
        self.n_docs = int(rng.integers(1, 300))
        popular = 1 / np.arange(1, N_TERMS + 1)
        few, many = rng.integers(0, 20, self.n_docs), rng.integers(60, 200)
        lengths = np.where(rng.random(self.n_docs) < 0.02, many, few)
        rows = [np.sort(rng.choice(N_TERMS, n, False, popular / popular.sum())) for n in lengths]
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        self.terms = np.concatenate(rows).astype(np.int32)
        weights = rng.integers(1, 40, len(self.terms)).astype(np.float32) / 8
        kind = WEIGHTS[rng.integers(len(WEIGHTS))]
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
        left_out = rng.random(len(self.terms)) < rng.choice([0.0, 0.0, 0.3])
        order = rng.permutation(self.n_docs)
        listed = oracle.block_lists(oracle.stored(documents, kind), order, left_out)
        self.codes = np.where(left_out, 0, oracle.codes_of(documents, self.numbers, made["list_scales"]))
        self.codes = self.codes.astype(np.uint8)
        self.blocks = groups.Blocks(
            number_of=self.lists.number_of,
            term_ids=made["term_ids"],
            n_blocks=-(-self.n_docs // 1024) * 64,
            n_groups=-(-self.n_docs // 64),
            **{
                name.removeprefix("block_"): array
                for name, array in listed.items()
                if name not in ("block_counts", "block_unlisted")
            },
        )
        mask = rng.integers(0, 2, self.n_docs if rng.random() < 0.5 else 0).astype(np.uint8)
        total = int(mask.sum()) if len(mask) else self.n_docs
        self.allowed = groups.Allowed(mask=mask, total=total)
        self.k = int(rng.integers(1, 12))
        room = 4 * self.n_docs + 1024 + WINDOW
        n = lambda dtype=np.int64: np.zeros(16, dtype)  # noqa: E731
        self.scratch = groups.Scratch(
            query=empty_query(self.n_lists),
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
            best=np.zeros(self.n_docs + 64, np.uint64),
        )
        self.block_scratch = groups.BlockScratch(
            query=empty_query(self.n_lists),
            bounds=np.zeros(self.blocks.n_blocks, np.uint16),
            visited=np.zeros(self.blocks.n_blocks, np.int64),
            slots=np.zeros(self.blocks.n_blocks, np.uint16),
            sums=np.zeros(16 * self.blocks.n_blocks, np.uint16),
            terms=groups.Terms(
                numbers=n(), factors=n(float), priorities=n(float), multipliers=n(), lowest=n()
            ),
            found=groups.Candidates(
                docs=np.zeros(room, np.int64),
                bounds=np.zeros(room, np.uint16),
                work=np.zeros(room, np.uint16),
            ),
            best=np.zeros(self.n_docs + 64, np.uint64),
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
        for t, weight in zip(numbers.tolist(), weights, strict=True):
            plan.put_term(self.scratch.query, t, weight)
        terms.numbers[: self.count] = numbers
        terms.factors[: self.count] = weights * self.lists.scales[numbers]
        lengths = np.array([plan.list_length(self.lists, t) for t in numbers])
        terms.priorities[: self.count] = terms.factors[: self.count] / np.sqrt(np.sqrt(lengths))
        mass = (terms.factors[: self.count] * 255).sum()
        self.scale = (65535.0 - 2.0 * self.count - 1.0) / mass
        terms.multipliers[: self.count] = (terms.factors[: self.count] * self.scale * 256).astype(int) + 1
        terms.lowest[: self.count] = self.rng.choice([1, 50, 200, 256], self.count)
        return self.count

    def load_blocks(self):
        """Put a query of known terms into the scratch for blocks, heaviest first; returns how many."""
        count = self.load()
        ours, theirs = self.block_scratch.terms, self.scratch.terms
        order = np.argsort(-theirs.factors[:count], kind="stable")
        ours.numbers[:count], ours.factors[:count] = theirs.numbers[order], theirs.factors[order]
        for ours_, theirs_ in zip(self.block_scratch.query, self.scratch.query, strict=True):
            ours_[:] = theirs_
        self.scale = (65_000.0 - 2.0 * count) / (ours.factors[:count] * 255).sum()
        ours.multipliers[:count] = (ours.factors[:count] * self.scale * 256).astype(int) + 1
        return count

    def fill_block_bounds(self):
        """Bounds as `bound_blocks` leaves them, in many blocks equal."""
        n = -(-self.n_docs // 16)
        self.block_scratch.bounds[:n] = self.rng.integers(0, 9, n) * self.rng.choice([1, 500, 7000])

    def visit(self):
        """Some visited blocks, ascending; returns their number (at least one)."""
        n = -(-self.n_docs // 16)
        chosen = np.sort(self.rng.permutation(n)[: self.rng.integers(1, n + 1)])
        self.block_scratch.visited[: len(chosen)] = chosen
        return len(chosen)

    def fill_sums(self, visited):
        """Sums of the documents of visited blocks; returns how many sums, rounded up to whole steps."""
        n = -(-visited * 16 // 64) * 64
        places = self.block_scratch.visited[:visited, None] * 16 + np.arange(16)
        held = (places < self.n_docs).ravel()
        self.block_scratch.sums[: 16 * visited] = self.rng.integers(0, 9, 16 * visited) * held
        return n

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

    def filled_heap(self, size):
        """`size` hits as a heap: ascending."""
        scores, docs = self.rng.integers(1, 9, size), self.rng.permutation(1000)[:size]
        self.scratch.best[:size] = sorted(heap.key_of(s, d) for s, d in zip(scores, docs, strict=True))
