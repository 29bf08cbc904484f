"""`WordLists`: which words stand in which documents of a segment, and how often.

The words of title and text together, each with the documents that hold it in rising order. Counts and
lengths are stored, not scores: BM25 depends on how many documents there are and how long they are, which
every change of the index changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError

# section -> dtype, in the order of the file
WORD_ARRAYS = {
    "word_offsets": "<i8",  # W + 1: word w is bytes word_offsets[w] to word_offsets[w + 1]
    "word_bytes": "|u1",  # UTF-8, the words in rising order of their bytes
    "list_offsets": "<i8",  # W + 1: the entries of word w
    "list_docs": "<u4",  # documents, rising within a list
    "list_counts": "<u2",  # how often the word stands there, at most 65,535
    "doc_lengths": "<u4",  # n_docs: number of words
}
MOST = 65_535  # a count that is stored
Arrays = Mapping[str, NDArray[Any]]


class WordLists:
    """The word lists of one segment, over verified arrays.

    Attributes:
        arrays: as `WORD_ARRAYS` names them.
        lengths: uint32[n_docs], words of each document.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.lengths: NDArray[np.uint32] = np.asarray(arrays["doc_lengths"])
        self._starts = np.asarray(arrays["word_offsets"])
        self._bytes = np.asarray(arrays["word_bytes"])
        self._lists = np.asarray(arrays["list_offsets"])
        self._docs = np.asarray(arrays["list_docs"])
        self._counts = np.asarray(arrays["list_counts"])

    def __len__(self) -> int:
        """Number of words."""
        return len(self._starts) - 1

    def word(self, number: int) -> bytes:
        """A word, as UTF-8."""
        return self._bytes[self._starts[number] : self._starts[number + 1]].tobytes()

    def find(self, word: str) -> int:
        """The number of a word, -1 where no document holds it."""
        wanted = word.encode("utf-8", "surrogatepass")
        place = self._place(wanted)
        return place if place < len(self) and self.word(place) == wanted else -1

    def starting_with(self, beginning: str) -> range:
        """The numbers of the words that begin so."""
        wanted = beginning.encode("utf-8", "surrogatepass")
        return range(self._place(wanted), self._place(wanted + b"\xff"))  # no UTF-8 holds 255

    def documents(self, number: int) -> NDArray[np.uint32]:
        """The documents that hold a word, in rising order."""
        return self._docs[self._lists[number] : self._lists[number + 1]]

    def counts(self, number: int) -> NDArray[np.uint16]:
        """How often the word stands in each of `documents`."""
        return self._counts[self._lists[number] : self._lists[number + 1]]

    def _place(self, wanted: bytes) -> int:
        """The number of words that are smaller."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.word(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low


def check_words(arrays: Arrays, n_docs: int, *, full: bool) -> None:
    """Check what reading relies on; with `full` every entry.

    Raises:
        IndexCorruptError: "<array>: <rule>".
    """
    words = _check_offsets(arrays, "word_offsets", "word_bytes")
    lists = _check_offsets(arrays, "list_offsets", "list_docs")
    _check(len(words) == len(lists), "list_offsets: as many lists as words are expected")
    docs, counts, lengths = arrays["list_docs"], arrays["list_counts"], arrays["doc_lengths"]
    _check(len(counts) == len(docs), f"list_counts: {len(counts)} counts for {len(docs)} entries")
    _check(len(lengths) == n_docs, f"doc_lengths: {len(lengths)} lengths for {n_docs} documents")
    if not full:
        return
    _check(bool((words[1:] > words[:-1]).all()), "word_offsets: a word is empty")
    _check(bool((lists[1:] > lists[:-1]).all()), "list_offsets: a list is empty")
    _check(bool((docs < n_docs).all()), f"list_docs: must be below {n_docs}")
    _check(bool((counts > 0).all()), "list_counts: must be above 0")
    rises = docs[1:] > docs[:-1]
    rises[lists[1:-1] - 1] = True  # where a list begins
    _check(bool(rises.all()), "list_docs: must rise within a list")
    text = arrays["word_bytes"]
    there = _column(words, text)
    _check(
        bool(pc.all(pc.less(there[:-1], there[1:]), min_count=0).as_py()), "word_bytes: the words must rise"
    )
    _check(not (text == 0xFF).any(), "word_bytes: not UTF-8")


def _column(offsets: NDArray[np.int64], text: NDArray[np.uint8]) -> pa.LargeBinaryArray:
    """The words as Arrow has them, over the same memory; it compares them by their bytes."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, np.int64)), pa.py_buffer(text)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _check_offsets(arrays: Arrays, name: str, over: str) -> NDArray[np.int64]:
    offsets, end = np.asarray(arrays[name]), len(arrays[over])
    _check(len(offsets) > 0 and offsets[0] == 0, f"{name}: must begin with 0")
    _check(offsets[-1] == end, f"{name}: must end with the length of {over}")
    _check(bool((offsets[1:] >= offsets[:-1]).all()), f"{name}: must not fall")
    return offsets


def _check(holds: bool, rule: str) -> None:
    if not holds:
        raise IndexCorruptError(rule)
