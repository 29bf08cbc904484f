"""Arguments of kernels/split.py."""

from __future__ import annotations

import numpy as np

from tests.oracle.kernels import split


def lowest_bit(m):
    return {"word": np.uint64(int(m.rng.integers(1, 1 << 20)) << int(m.rng.integers(0, 44)))}


def part_of_row(m):
    word = np.uint64(int(m.rng.integers(0, 1 << 62)) * 3)
    bit = int(m.rng.integers(0, 190))
    stop = int(m.rng.integers(bit + 1, 192))
    return {
        "word": word,
        "at": int(m.rng.integers(bit >> 6, ((stop - 1) >> 6) + 1)),
        "bit": bit,
        "stop": stop,
    }


def _split(m):
    """Rows of every length over few and many terms, whose lower parts take a byte or two."""
    wide = bool(m.rng.integers(2))
    n_local = int(m.rng.integers(1, 200_000 if wide else 3000))
    shares = (0, 1 / n_local, min(0.02, 99 / n_local), min(1, 999 / n_local), 0, 0.3 if n_local < 999 else 0)
    rows = [np.flatnonzero(m.rng.random(n_local) < share) for share in shares]
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    terms = np.concatenate(rows).astype(np.uint32 if wide else np.uint16)
    n_blocks = -(-n_local >> (16 if wide else 8))
    words = -(-(len(terms) + len(rows) * n_blocks) // 64)
    lows = np.zeros(len(terms), np.uint16 if wide else np.uint8)
    return offsets, terms, n_blocks, lows, np.zeros(words, np.uint64)


def split_rows(m):
    offsets, terms, n_blocks, lows, words = _split(m)
    given = {"first": 0, "last": len(offsets) - 1, "offsets": offsets, "terms": terms}
    return given | {"n_blocks": n_blocks, "lows": lows, "blocks": words}


def join_rows(m):
    offsets, terms, n_blocks, lows, words = _split(m)
    split.split_rows(0, len(offsets) - 1, offsets, terms, n_blocks, lows, words)
    wanted = m.rng.permutation(len(offsets) - 1)
    starts = np.concatenate(([0], np.cumsum(np.diff(offsets)[wanted])))
    given = {"wanted": wanted, "starts": starts, "offsets": offsets, "lows": lows, "blocks": words}
    return given | {"n_blocks": n_blocks, "out": np.zeros(len(terms), np.uint32)}
