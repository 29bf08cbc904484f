"""The word lists of texts, and those of several segments joined into one."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from splade_engine.index.words.lists import MOST, WORD_ARRAYS, WordLists
from splade_engine.index.words.text import FORM, TEXT_COLUMNS, words_of

_BATCH = 1024  # documents whose texts are in memory at a time


def build_words(table: pa.Table | None, n_docs: int, *, form: int = FORM) -> dict[str, NDArray[Any]]:
    """The word lists of the text columns of a payload; without them, of documents without a word.

    Of another `form` they are those that earlier releases made.
    """
    numbers: dict[str, int] = {}
    words, lengths = array("i"), array("I")
    for text in _texts(table, n_docs):
        found = words_of(text, form=form)
        words.extend([numbers.setdefault(word, len(numbers)) for word in found])
        lengths.append(len(found))
    names = [word.encode("utf-8", "surrogatepass") for word in numbers]
    docs = np.repeat(np.arange(n_docs, dtype=np.int64), np.asarray(lengths, np.int64))
    keys = np.asarray(words, np.int64) * max(1, n_docs) + docs
    keys, counts = np.unique(keys, return_counts=True)
    owner, docs = np.divmod(keys, max(1, n_docs))
    return _arrays(names, owner, docs, counts, np.asarray(lengths, np.uint32))


def join_words(parts: Sequence[tuple[WordLists, NDArray[np.bool_] | None]]) -> dict[str, NDArray[Any]]:
    """The lists of the live documents of several segments, in order.

    Args:
        parts: lists, and which documents are live; None: all.
    """
    numbers: dict[bytes, int] = {}
    owners, docs, counts, lengths = [], [], [], []
    base = 0
    for lists, live in parts:
        theirs = np.array(
            [numbers.setdefault(lists.word(w), len(numbers)) for w in range(len(lists))], np.int64
        )
        owner = np.repeat(theirs, np.diff(lists.arrays["list_offsets"]))
        place = lists.arrays["list_docs"].astype(np.int64)
        count = np.asarray(lists.arrays["list_counts"])
        length = lists.lengths
        if live is not None:
            kept = live[place]
            owner, count = owner[kept], count[kept]
            place = (np.cumsum(live) - 1)[place[kept]]
            length = length[live]
        owners.append(owner)
        docs.append(place + base)
        counts.append(count)
        lengths.append(length)
        base += len(length)
    names = list(numbers)
    owner = np.concatenate([np.zeros(0, np.int64), *owners])
    order = np.argsort(owner, kind="stable")  # within a word, segments and their documents are in order
    return _arrays(
        names,
        owner[order],
        np.concatenate([np.zeros(0, np.int64), *docs])[order],
        np.concatenate([np.zeros(0, np.int64), *counts])[order],
        np.concatenate([np.zeros(0, np.uint32), *lengths]),
    )


def _arrays(
    names: Sequence[bytes],
    owner: NDArray[np.int64],
    docs: NDArray[np.int64],
    counts: NDArray[np.int64],
    lengths: NDArray[np.uint32],
) -> dict[str, NDArray[Any]]:
    """The sections of a file: words in the order of their bytes, those without a document left out.

    Args:
        names: the words.
        owner: int64[entries], the word of each entry; entries of a word stand together, in rising documents.
        docs: int64[entries].
        counts: int64[entries].
        lengths: of the documents.
    """
    sizes = np.bincount(owner, minlength=len(names))
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    order = [w for w in sorted(range(len(names)), key=names.__getitem__) if sizes[w]]
    kept = np.array(order, np.int64)
    lists = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes[kept])))
    entries = np.repeat(starts[kept] - lists[:-1], sizes[kept]) + np.arange(lists[-1])
    ends = np.cumsum([0, *(len(names[w]) for w in order)], dtype=np.int64)
    made = {
        "word_offsets": ends,
        "word_bytes": np.frombuffer(b"".join(names[w] for w in order), np.uint8),
        "list_offsets": lists,
        "list_docs": docs[entries],
        "list_counts": np.minimum(counts[entries], MOST),
        "doc_lengths": lengths,
    }
    return {name: np.ascontiguousarray(made[name], dtype=dtype) for name, dtype in WORD_ARRAYS.items()}


def _texts(table: pa.Table | None, n_docs: int) -> Iterator[str]:
    """The text columns of each document, a space between them."""
    names = [
        name
        for name in TEXT_COLUMNS
        if table is not None and name in table.column_names and pa.types.is_large_string(table[name].type)
    ]
    if table is None or not names:
        yield from [""] * n_docs
        return
    for first in range(0, n_docs, _BATCH):
        columns = [table[name].slice(first, _BATCH).to_pylist() for name in names]
        for values in zip(*columns, strict=True):
            yield " ".join(value for value in values if value)
