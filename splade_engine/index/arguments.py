"""Checking what callers pass to an index, with errors that name the value."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.arguments import check_many, shown, whole
from splade_engine.errors import InvalidInputError
from splade_engine.index.config import BuildConfig
from splade_engine.vectors import SparseVectors

MIN_MEMORY = 64  # MiB; below it a segment would be too small to be worth one
MOST_MEMORY = 2**31  # MiB, two petabytes
MOST_THREADS = 1024


def default_threads() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def checked_threads(threads: int | None) -> int:
    """The number of threads: as given, or all cores that this process may use."""
    return default_threads() if threads is None else whole("threads", threads, 1, MOST_THREADS)


def check_budget(threads: int | None, memory: int | None) -> None:
    """Refuse what a build would refuse after hours of encoding.

    Raises:
        InvalidInputError: for a number of threads, or of MiB, that cannot be meant.
    """
    checked_threads(threads)
    if memory is not None:
        whole("memory (MiB)", memory, MIN_MEMORY, MOST_MEMORY)


def check_queries(queries: object, n_terms: int) -> None:
    """Queries are vectors over the vocabulary of the index."""
    if not isinstance(queries, SparseVectors):
        raise InvalidInputError(f"search: queries must be SparseVectors, got {type(queries).__name__}")
    if queries.n_terms != n_terms:
        raise InvalidInputError(f"search: queries over {queries.n_terms} terms, the index has {n_terms}")


def checked_ordinals(ordinals: ArrayLike) -> NDArray[np.int64]:
    """A list of ordinals as an array; that they exist is checked where they are looked up."""
    check_many("ordinals", ordinals, "integers")
    array = np.asarray(ordinals)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InvalidInputError("ordinals: a one-dimensional list of integers is expected")
    return array.astype(np.int64)


def checked_config(config: BuildConfig | None) -> BuildConfig:
    """How an index is built; the defaults for None."""
    if config is None:
        return BuildConfig()
    if not isinstance(config, BuildConfig):
        raise InvalidInputError(f"config: a BuildConfig is expected, got {shown(config)}")
    return config


def checked_fingerprint(encoder: Mapping[str, str | int]) -> dict[str, str | int]:
    """The record of an encoder: text and integers."""
    if not isinstance(encoder, Mapping):
        raise InvalidInputError(f"encoder: a mapping is expected, got {shown(encoder)}")
    for key, value in encoder.items():
        if (
            not isinstance(key, str)
            or isinstance(value, bool)
            or not isinstance(value, str | int)
            or value == ""
        ):
            raise InvalidInputError(f"encoder: {shown(key)}: {shown(value)} is neither text nor an integer")
    return dict(encoder)
