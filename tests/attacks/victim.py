"""An index to attack, and a look at everything that it answers."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from splade_engine.errors import IndexCorruptError, IndexNotFoundError, IndexVersionError
from splade_engine.index import BlockLists, SearchConfig, SparseIndex
from splade_engine.index.config import BuildConfig
from tests.index import made

REFUSED = (IndexCorruptError, IndexVersionError, IndexNotFoundError)
QUERIES = made.vectors(77, 5, 60, 12)


# how rows and lists are stored: each kind of weights, terms and lists is in one of these
KINDS = (
    BuildConfig(),
    BuildConfig("float32", words=True),
    BuildConfig("uint8", "split"),
    BuildConfig(lists="blocks"),
    BuildConfig(lists=BlockLists(cap=2)),
)


def build(folder: Path, config: BuildConfig = KINDS[0]) -> None:
    """Two segments with tombstones, payload, encoder record, tuned settings: every kind of file and field."""
    ix = SparseIndex.build(
        folder,
        made.vectors(1, 60),
        payload=made.payload(60),
        encoder={"name": "none", "max_length": 3},
        config=config,
        threads=1,
    )
    ix.add(made.vectors(2, 20), [f"n{i}" for i in range(20)], payload=made.payload(20, 60), threads=1)
    ix.delete(["3", "17", "n4"])
    ix.tune(QUERIES, k=5, targets=(0.9,))


def copy(source: Path, target: Path) -> Path:
    """A fresh copy of an index folder."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target)
    return target


def answers(folder: Path, **options: Any) -> int:
    """A hash of everything that the index says, after checking that it makes sense."""
    ix = SparseIndex.open(folder, **options)
    n = int(ix.reader.snapshot.bases[-1])
    said: list[Any] = [len(ix), ix.n_terms, sorted((ix.encoder or {}).items()), ix.ids()]
    said += [ix.info().tuned, ix.info().columns]
    if ix.n_terms == QUERIES.n_terms:
        for arguments in ({"exact": True}, {"config": SearchConfig()}, {"accuracy": 0.9}):
            found = ix.search(QUERIES, 7, **arguments)
            hit = found.ordinals >= 0
            assert (found.ordinals < n).all(), "an ordinal outside the index"
            assert np.isfinite(found.scores[hit]).all(), "a score that is not finite"
            assert (found.scores[hit] > 0).all(), "a hit without a score"
            said += [found.ordinals.tobytes(), found.scores.tobytes(), found.ids]
    if n:
        said += [ix.payload(np.arange(n)), ix.vectors(np.arange(n)).terms.tobytes()]
        said += [ix.vectors().weights.tobytes()]
    if ix.reader.has_words:
        found = [ix.reader.search_words(words, 9) for words in (["title", "3"], ["é"], ["nobody"])]
        assert all((ordinals < n).all() and np.isfinite(scores).all() for ordinals, scores in found)
        said += [ordinals.tolist() for ordinals, _ in found]
    if ix.info().columns.get("year") == "int":
        said.append(ix.search(QUERIES, 3, where="year >= 1990", exact=True).ids if ix.n_terms == 60 else 0)
    return zlib.crc32(repr(said).encode())
