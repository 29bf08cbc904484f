"""Verifying an index as deeply as possible: beyond checksums and structure, that lists belong to vectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError
from splade_engine.index.config import stored_build_config
from splade_engine.index.opening import open_snapshot
from splade_engine.index.words.build import build_words
from splade_engine.index.words.lists import WordLists


def check_index(folder: Path, *, deep: bool = True, threads: int = 1) -> None:
    """Open the index with every check; with `deep`, build each segment again and compare.

    Building depends on nothing but the vectors and the settings. So if the lists or their upper bounds did
    not belong to the stored vectors (a bug, or a forged file under a right checksum), some byte would differ.
    It takes the time and the memory of building the largest segment.

    Raises:
        IndexCorruptError: naming the segment and the array that differ.
        IndexNotFoundError, IndexVersionError, StorageError: as opening does.
    """
    snapshot = open_snapshot(folder, "full")
    config = stored_build_config(snapshot.manifest.config)
    if not deep:
        return
    from splade_engine.index.segment.build import build_segment

    for number, segment in enumerate(snapshot.segments):
        vectors = segment.searcher.vectors(np.arange(len(segment)))
        built = build_segment(vectors, config, threads)
        if segment.words is not None:
            table = None if segment.payload is None else segment.payload.table
            other = _other(segment.words, build_words(table, len(segment)))
            # earlier releases listed a letter apart from the accent behind it
            if other and _other(segment.words, build_words(table, len(segment), composed=False)):
                raise IndexCorruptError(
                    f"{folder}: segment {number}: {other} does not belong to the stored texts"
                )
        for name, stored in segment.arrays.items():
            if not np.array_equal(stored.view(np.uint8), np.ascontiguousarray(built[name]).view(np.uint8)):
                raise IndexCorruptError(
                    f"{folder}: segment {number}: {name} does not belong to the stored vectors"
                )


def _other(stored: WordLists, made: Mapping[str, NDArray[Any]]) -> str | None:
    """The name of an array that is not the one that was made of the texts."""
    return next(
        (name for name, array in made.items() if not np.array_equal(stored.arrays[name], array)), None
    )
