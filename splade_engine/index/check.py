"""Verifying an index as deeply as possible: beyond checksums and structure, that lists belong to vectors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError
from splade_engine.files import digest_64
from splade_engine.index.config import stored_build_config
from splade_engine.index.opening import open_snapshot
from splade_engine.index.words.build import build_words
from splade_engine.index.words.lists import WordLists
from splade_engine.index.words.text import FORM

logger = logging.getLogger(__name__)

_EARLIER = (
    "words are listed as an earlier release did; build the index again to find those with accents of their "
    "own, soft hyphens, ligatures or full-width letters"
)


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
            if other and not _are_earlier(segment.words, table):
                raise IndexCorruptError(
                    f"{folder}: segment {number}: {other} does not belong to the stored texts"
                )
            if other:
                logger.warning("%s: segment %d: %s", folder, number, _EARLIER)
        for name, stored in segment.arrays.items():
            if not np.array_equal(stored.view(np.uint8), np.ascontiguousarray(built[name]).view(np.uint8)):
                raise IndexCorruptError(
                    f"{folder}: segment {number}: {name} does not belong to the stored vectors"
                )


def _are_earlier(stored: WordLists, table: pa.Table | None) -> bool:
    """Whether the words of each document are those of its texts, as this release or an earlier one has them.

    Segments that were joined can have documents of either.
    """
    wanted = _hashes(stored)
    right = np.zeros(len(wanted), bool)
    for form in range(FORM + 1):
        right |= wanted == _hashes(WordLists(build_words(table, len(wanted), form=form)))
    return bool(right.all())


def _hashes(lists: WordLists) -> NDArray[np.uint64]:
    """For each document a hash of its words and of how often it holds each."""
    words = np.array([digest_64(lists.word(number)) for number in range(len(lists))], np.uint64)
    each = np.repeat(words, np.diff(lists.arrays["list_offsets"]))
    hashes = lists.lengths.astype(np.uint64)
    np.add.at(
        hashes, lists.arrays["list_docs"], each * (2 * lists.arrays["list_counts"].astype(np.uint64) + 1)
    )
    return hashes


def _other(stored: WordLists, made: Mapping[str, NDArray[Any]]) -> str | None:
    """The name of an array that is not the one that was made of the texts."""
    return next(
        (name for name, array in made.items() if not np.array_equal(stored.arrays[name], array)), None
    )
