"""Damaged files of other systems: CIFF, npz and Qdrant's points, flipped, cut, grown and overwritten.

As for `vector_files`: refused by name, or what it held before. Qdrant's points have no place for a checksum;
npz files and gzip have their own. Lost are other vectors under one, a signal, an error of another kind,
memory without bounds, and what takes longer than its patience.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.exchange import import_vectors
from splade_engine.exchange.ciff_file import write_ciff
from splade_engine.vectors import SparseVectors
from tests.attacks.trials import Tally, Trial, forked, scratch
from tests.attacks.vector_files import damaged_bytes
from tests.index import made

NAMES = ("v.ciff", "v.ciff.gz", "v.npz", "points.jsonl")
TERMS = 60


def damaged(count: int, seed: int) -> Tally:
    """Damage files of every kind, `count` times in all."""
    total = Tally()
    with scratch() as folder:
        for number, name in enumerate(NAMES):
            _write(folder / name, made.vectors(seed, 30, TERMS, 8))
            seeds = range(seed + number, seed + count, len(NAMES))
            total.add(forked(_prepared(folder / name), seeds, patience=30.0))
    return total


def _write(path: Path, vectors: SparseVectors) -> None:
    ids = [f"document {i}" for i in range(len(vectors))]
    if path.suffix == ".npz":
        parts = {"data": vectors.weights, "indices": vectors.terms, "indptr": vectors.indptr}
        np.savez(path, format=b"csr", shape=np.array([len(vectors), TERMS]), **parts)
    elif path.suffix == ".jsonl":
        rows = [vectors.row(i) for i in range(len(vectors))]
        points = [
            {"id": n, "vector": {"t": {"indices": t.tolist(), "values": w.tolist()}}, "payload": {"text": id}}
            for n, (id, (t, w)) in enumerate(zip(ids, rows, strict=True))
        ]
        path.write_text("".join(json.dumps(point) + "\n" for point in points))
    else:
        plain = path.with_name("plain.ciff")
        impacts = np.rint(vectors.weights * 100).astype(np.int64)
        write_ciff(
            plain,
            vectors,
            impacts,
            ids,
            [f"term{i}" for i in range(TERMS)],
            "splade-engine, weights times 100",
        )
        path.write_bytes(gzip.compress(plain.read_bytes()) if path.suffix == ".gz" else plain.read_bytes())


def _prepared(source: Path) -> Callable[[], Trial]:
    def prepare() -> Trial:
        path = source.with_name(f"damaged-{os.getpid()}-{source.name}")
        pristine = source.read_bytes()
        whole = import_vectors(source)

        def trial(seed: int) -> str:
            rng = random.Random(seed)
            path.write_bytes(damaged_bytes(pristine, rng))
            try:
                found = import_vectors(path)
            except (InvalidInputError, StorageError) as error:
                text = str(error)
                assert path.name in text, f"the error does not name the file: {text[:200]}"
                assert len(text) < 1000 and "\n" not in text and "\x1b" not in text, f"{text[:300]!r}"
                return f"refused ({source.name})"
            assert np.isfinite(found.vectors.weights).all()
            assert found.ids is None or len(found.ids) == len(found.vectors)
            if (found.vectors, found.ids) == (whole.vectors, whole.ids):
                return f"the same ({source.name})"
            assert source.suffix == ".jsonl", "other vectors, under a checksum"
            return f"other vectors, no checksum ({source.name})"

        return trial

    return prepare
