"""`IdRegister`: finds a duplicate id among many millions without keeping the ids.

A Python set of ten million ids takes about a gigabyte. Here an id is its 64-bit xxh3 hash with the number of
its line, 16 bytes in sorted arrays; only the latest `window` ids are in a dict, where a duplicate shows at
once. Older ones are compared when the window is full, and at the end. Two different ids with one hash (a
chance of 3 in a million among ten million ids) are told apart by the caller, who looks the two lines up
again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splade_engine.files import digest_64


class IdRegister:
    """Ids seen so far, each with the number of its line.

    Attributes:
        window: ids held in a dict before they are sorted away; bounds how late a duplicate is reported.
    """

    def __init__(self, window: int = 1 << 18) -> None:
        self.window = window
        self._recent: dict[int, int] = {}
        self._runs: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []

    def add(self, doc_id: str, line: int) -> list[tuple[int, int]]:
        """Register an id; returns suspected duplicates as (earlier line, later line), most often none."""
        earlier = self._recent.setdefault(digest_64(doc_id.encode()), line)
        if earlier != line:
            return [(earlier, line)]
        return self.flush() if len(self._recent) >= self.window else []

    def flush(self) -> list[tuple[int, int]]:
        """Compare what is in the window with everything before it; call it once more at the end."""
        if not self._recent:
            return []
        keys = np.fromiter(self._recent.keys(), np.uint64, len(self._recent))
        lines = np.fromiter(self._recent.values(), np.int64, len(self._recent))
        order = np.argsort(keys)
        keys, lines = keys[order], lines[order]
        self._recent = {}
        suspects: list[tuple[int, int]] = []
        for old_keys, old_lines in self._runs:
            place = np.minimum(np.searchsorted(old_keys, keys), len(old_keys) - 1)
            same = old_keys[place] == keys
            suspects += zip(old_lines[place[same]].tolist(), lines[same].tolist(), strict=True)
        self._push(keys, lines)
        return sorted(suspects, key=lambda pair: pair[1])

    def _push(self, keys: NDArray[np.uint64], lines: NDArray[np.int64]) -> None:
        """Keep runs of falling size, merged like a log-structured tree: log2(n / window) of them."""
        while self._runs and len(self._runs[-1][0]) <= 2 * len(keys):
            old_keys, old_lines = self._runs.pop()
            keys, lines = np.concatenate((old_keys, keys)), np.concatenate((old_lines, lines))
            order = np.argsort(keys, kind="stable")
            keys, lines = keys[order], lines[order]
        self._runs.append((keys, lines))
