"""Damaged vector files: Arrow, Parquet, BigANN's .csr and JSON lines, flipped, cut, grown and overwritten.

A file is refused by name, or it holds what it held before. Whatever else comes out is a loss: a signal, an
error of another kind, memory without bounds, a trial that takes longer than its patience, and other vectors
where the file carries a checksum. Where a format has no place for one, other vectors are only counted.
"""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.vectors import SparseVectors, read_vectors, write_vectors
from tests.attacks.trials import Tally, Trial, forked, scratch
from tests.index import made

SUFFIXES = (".arrow", ".parquet", ".csr", ".jsonl", ".jsonl.gz")
VOCABULARY = [f"term{i}" for i in range(60)]
EXTREMES = (0, 1, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)
JUNK = (b"", b"NaN", b"1e999", b"-1", b"9" * 5000, b"[" * 3000, b'{"id":' * 2000, b"\xff\xfe", b"\x00" * 16)


def flip(rng: random.Random, data: bytearray) -> None:
    """One bit."""
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def cut(rng: random.Random, data: bytearray) -> None:
    """The end is missing."""
    del data[rng.randrange(len(data)) :]


def grow(rng: random.Random, data: bytearray) -> None:
    """Something follows: zeros, noise or the file again."""
    data += rng.choice([bytes(rng.randint(1, 99)), rng.randbytes(rng.randint(1, 99)), bytes(data)])


def overwrite(rng: random.Random, data: bytearray) -> None:
    """A number of four or eight bytes is another one."""
    size = rng.choice([4, 8])
    value = rng.choice([*EXTREMES, rng.getrandbits(64)]) % (1 << 8 * size)
    at = rng.randrange(max(1, len(data) - size))
    data[at : at + size] = value.to_bytes(size, "little")


def replace(rng: random.Random, data: bytearray) -> None:
    """A stretch is junk, or a copy of another stretch."""
    at, length = rng.randrange(len(data)), rng.randint(1, 60)
    other = rng.randrange(len(data))
    data[at : at + length] = rng.choice([*JUNK, bytes(data[other : other + length])])


DAMAGES: tuple[Callable[[random.Random, bytearray], None], ...] = (flip, flip, cut, grow, overwrite, replace)


def content(path: Path) -> int:
    """A hash of what a vector file holds."""
    found = read_vectors(path, VOCABULARY if ".jsonl" in path.name else None)
    vectors = found.vectors
    assert isinstance(vectors, SparseVectors)
    said = (vectors.n_terms, vectors.indptr.tobytes(), vectors.terms.tobytes(), vectors.weights.tobytes())
    return zlib.crc32(repr((*said, found.ids)).encode())


def has_checksum(path: Path) -> bool:
    """Whether files of this kind, as we write them, say how to tell that they are whole."""
    return path.suffix in (".arrow", ".parquet", ".gz")  # gzip's own CRC


def damaged(count: int, seed: int) -> Tally:
    """Damage files of every kind, `count` times in all."""
    total = Tally()
    with scratch() as folder:
        for number, suffix in enumerate(SUFFIXES):
            source = folder / f"pristine{suffix}"
            vectors = made.vectors(seed, 40, len(VOCABULARY), 8)
            ids = [f"document {i}" for i in range(40)]
            write_vectors(source, vectors, ids, VOCABULARY)
            seeds = range(seed + number, seed + count, len(SUFFIXES))
            total.add(forked(_prepared(source), seeds, patience=30.0))
    return total


def damaged_bytes(pristine: bytes, rng: random.Random) -> bytearray:
    """The bytes of a file after one damage, or now and then two."""
    data = bytearray(pristine)
    for _ in range(rng.choice([1, 1, 1, 2])):
        if data:
            rng.choice(DAMAGES)(rng, data)
    return data


def _prepared(source: Path) -> Callable[[], Trial]:
    def prepare() -> Trial:
        path = source.with_name(f"damaged-{os.getpid()}{''.join(source.suffixes)}")
        pristine, good = source.read_bytes(), content(source)

        def trial(seed: int) -> str:
            rng = random.Random(seed)
            path.write_bytes(damaged_bytes(pristine, rng))
            try:
                same = content(path) == good
            except (InvalidInputError, StorageError) as error:
                text = str(error)
                assert path.name in text, f"the error does not name the file: {text[:200]}"
                assert len(text) < 2000, f"an error of {len(text)} characters: {text[:200]}"
                return "refused"
            if same:
                return "the same vectors"
            assert not has_checksum(source), "other vectors, under a checksum"
            return f"other vectors, no checksum ({''.join(source.suffixes)})"

        return trial

    return prepare
