"""Learned sparse retrieval in one library: train, encode, index, search, explain, evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from splade_engine import moved

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
    "BuildConfig": "splade_engine.index",
    "Hit": "splade_engine.engine",
    "SearchConfig": "splade_engine.index",
    "SearchEngine": "splade_engine.engine",
    "SparseEncoder": "splade_engine.encoder",
    "SparseIndex": "splade_engine.index",
    "SparseVectors": "splade_engine.vectors",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `import splade_engine` and `--help` stay instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'splade_engine' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
