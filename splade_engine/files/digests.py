"""Checksums: xxh3 of bytes, files and values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xxhash import xxh3_64_intdigest, xxh3_128, xxh3_128_hexdigest

_BLOCK = 1 << 22


class Digest:
    """xxh3-128 of bytes that come in pieces."""

    def __init__(self) -> None:
        self._state = xxh3_128()

    def update(self, data: Any) -> None:
        """Take a buffer in."""
        self._state.update(data)

    def update_from(self, path: Path) -> None:
        """Take the bytes of a file in."""
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                self._state.update(block)

    def text(self) -> str:
        """Of everything so far, as 32 hexadecimal digits."""
        return str(self._state.hexdigest())


def digest(data: Any) -> str:
    """xxh3-128 of a buffer as 32 hexadecimal digits.

    It runs at 31 GB/s on one core: checking costs less than reading.
    """
    return str(xxh3_128_hexdigest(data))


def digest_64(data: Any) -> int:
    """xxh3-64 of a buffer, for tables and short names; whoever uses it expects that two may be equal."""
    return int(xxh3_64_intdigest(data))


def digest_of_file(path: Path) -> str:
    """xxh3-128 of a file's bytes."""
    total = Digest()
    total.update_from(path)
    return total.text()


def digest_of_json(value: Any) -> str:
    """xxh3-128 of a value that JSON can hold, whatever the order of its keys. Others are taken as `str`."""
    return digest(json.dumps(value, sort_keys=True, default=str).encode())
