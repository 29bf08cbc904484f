"""Learned sparse retrieval in one library: train, encode, index, search, explain, evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from splade_engine import moved
from splade_engine.lazy import lazy

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.engine import Hit, SearchEngine
    from splade_engine.index import BuildConfig, SearchConfig, SparseIndex
    from splade_engine.vectors import SparseVectors

__version__ = "0.2.0"
moved.install()

__all__ = [
    "BuildConfig",
    "Hit",
    "SearchConfig",
    "SearchEngine",
    "SparseEncoder",
    "SparseIndex",
    "SparseVectors",
]

_HOMES = {
    "BuildConfig": "index",
    "Hit": "engine",
    "SearchConfig": "index",
    "SearchEngine": "engine",
    "SparseEncoder": "encoder",
    "SparseIndex": "index",
    "SparseVectors": "vectors",
}

# `import splade_engine` and `--help` stay instant
__getattr__ = lazy(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
