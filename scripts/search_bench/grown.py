"""Growing a collection from real vectors: documents between neighbouring ones, and how real they look."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from search_bench.truth import recall
from splade_engine.index import BuildConfig, SearchConfig, SparseIndex
from splade_engine.vectors import SparseVectors

NEAR = 8  # places in an order of alike documents within which a second parent is drawn
SHARE = (0.55, 0.95)  # of the first parent's own terms that a child keeps; of the second's it takes the rest
NOISE = 0.15  # standard deviation of the logarithm of a weight
ROWS = 100_000  # made at a time
CURVE = ((3_000, 30), (10_000, 50), (30_000, 100), (100_000, 200))  # settings whose recall is compared


def alike_order(documents: SparseVectors) -> NDArray[np.int64]:
    """int64[n]: the documents in an order in which neighbours are alike, that of lists over blocks."""
    with tempfile.TemporaryDirectory() as folder:
        index = SparseIndex.build(Path(folder) / "index", documents, config=BuildConfig(lists="blocks"))
        (segment,) = index.reader.snapshot.segments
        return np.array(segment.arrays["block_docs"]).astype(np.int64)


@numba.njit(cache=False)
def mix(seed, first, second, share, offsets, terms, weights, noise, out_offsets, out_terms, out_weights):  # noqa: ANN001, ANN201
    """Children of the rows `first` and `second`: terms of both stay, those of one with its share.

    Each kept weight is that of one of its parents, drawn by the same share, times noise.
    """
    np.random.seed(seed)  # noqa: NPY002
    at = 0
    for i in range(len(first)):
        a, a_end = offsets[first[i]], offsets[first[i] + 1]
        b, b_end = offsets[second[i]], offsets[second[i] + 1]
        begin = at
        while a < a_end or b < b_end:
            from_a = b >= b_end or (a < a_end and terms[a] <= terms[b])
            from_b = a >= a_end or (b < b_end and terms[b] <= terms[a])
            mine = np.random.random() < share[i]  # noqa: NPY002
            keep = (from_a and from_b) or (from_a and mine) or (from_b and not mine)
            if keep:
                out_terms[at] = terms[a] if from_a else terms[b]
                weight = weights[a] if (from_a and (mine or not from_b)) else weights[b]
                out_weights[at] = weight * np.exp(noise * np.random.randn())  # noqa: NPY002
                at += 1
            a += 1 if from_a else 0
            b += 1 if from_b else 0
        if at == begin:  # a child without terms is its first parent
            for j in range(offsets[first[i]], offsets[first[i] + 1]):
                out_terms[at], out_weights[at] = terms[j], weights[j]
                at += 1
        out_offsets[i + 1] = at
    return at


def children(
    documents: SparseVectors, order: NDArray[np.int64], n: int, rng: np.random.Generator
) -> SparseVectors:
    """`n` documents, each between a random one and another at most NEAR places from it."""
    place = rng.integers(0, len(order), n)
    step = rng.integers(1, NEAR + 1, n) * rng.choice([-1, 1], n)
    second = order[
        np.where((place + step >= 0) & (place + step < len(order)), place + step, place - step) % len(order)
    ]
    first, share = order[place], rng.uniform(*SHARE, n)
    room = int((documents.row_nnz[first] + documents.row_nnz[second]).sum())
    terms, weights = np.empty(room, np.int32), np.empty(room, np.float32)
    offsets, seed = np.zeros(n + 1, np.int64), int(rng.integers(2**31))
    parents = (documents.indptr, documents.terms, documents.weights)
    total = mix(seed, first, second, share, *parents, NOISE, offsets, terms, weights)
    return SparseVectors(offsets, terms[:total], weights[:total], documents.n_terms)


def grow(documents: SparseVectors, n: int, path: Path, seed: int) -> None:
    """Write the real documents and children up to `n` in all, as BigANN .csr, without holding them all."""
    rng = np.random.default_rng(seed)
    order = alike_order(documents)
    rest = path.with_name(f"{path.name}.weights")
    lengths = []
    with path.open("wb") as file:
        file.seek(24 + 8 * (n + 1))  # counts and offsets are known at the end
        with rest.open("w+b") as weights:
            for first in range(0, n, ROWS):
                last, real = min(first + ROWS, n), documents[first : min(first + ROWS, n)]
                made = [real] if len(real) else []
                if last - first > len(real):
                    made.append(children(documents, order, last - first - len(real), rng))
                for vectors in made:
                    vectors.terms.astype("<i4").tofile(file)
                    vectors.weights.astype("<f4").tofile(weights)
                    lengths.append(vectors.row_nnz)
            weights.seek(0)
            shutil.copyfileobj(weights, file, 1 << 24)
        rest.unlink()
        offsets = np.concatenate(([0], np.cumsum(np.concatenate(lengths)))).astype("<i8")
        file.seek(0)
        np.array([n, documents.n_terms, offsets[-1]], "<i8").tofile(file)
        offsets.tofile(file)


def check(documents: SparseVectors, queries: SparseVectors, seed: int) -> None:
    """Print how a collection grown from half of the documents compares with all of them."""
    half = documents[np.arange(0, len(documents), 2)]
    rng = np.random.default_rng(seed)
    order = alike_order(half)
    made = children(half, order, len(documents) - len(half), rng)
    sides = {"real": documents, "grown": SparseVectors.concat([half, made])}
    for name, vectors in sides.items():
        print(f"{name:6} " + told(vectors))
    for lists in ("impact", "blocks"):
        for name, vectors in sides.items():
            print(f"{name:6} {lists:7} " + curve(vectors, queries, lists))


def told(vectors: SparseVectors) -> str:
    """Terms of a document, their mass, and lengths of posting lists, in a line."""
    frequencies = np.sort(np.bincount(vectors.terms, minlength=vectors.n_terms))[::-1]
    ranks = [r for r in (1, 10, 100, 1000, 10_000) if r <= len(frequencies)]
    rows = [np.sort(vectors.row(i)[1])[::-1] for i in range(0, len(vectors), max(1, len(vectors) // 2000))]
    mass = [np.mean([row[:top].sum() / row.sum() for row in rows if len(row)]) for top in (10, 50)]
    return (
        f"{len(vectors):,} documents, {vectors.nnz / len(vectors):.1f} terms, top 10 / 50 hold "
        f"{mass[0]:.1%} / {mass[1]:.1%}; documents in the list of rank "
        + ", ".join(f"{rank:,}: {frequencies[rank - 1]:,}" for rank in ranks)
    )


def curve(vectors: SparseVectors, queries: SparseVectors, lists: str) -> str:
    """Recall of the true top 10 at several settings, in a line."""
    with tempfile.TemporaryDirectory() as folder:
        index = SparseIndex.build(Path(folder) / "index", vectors, config=BuildConfig(lists=lists))
        truth = index.search(queries, 10, exact=True).ordinals
        found = []
        for postings, candidates in CURVE:
            config = SearchConfig(max_postings=postings, n_candidates=candidates)
            share = recall(index.search(queries, 10, config=config).ordinals, truth)
            found.append(f"{postings:,} / {candidates}: {share:.3f}")
        return "recall at postings / candidates  " + ", ".join(found)
