"""The named arrays of a segment, and checks that one or another of them has to pass.

Each check raises IndexCorruptError: "<array>: <rule>, at <place>: <value>".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError

Arrays = Mapping[str, NDArray[Any]]
# makes an array of a length and a dtype: `np.empty`, or one in a file where memory is short
Empty = Callable[[int, Any], NDArray[Any]]
CHUNK = 1 << 22  # entries checked at a time: a check takes tens of MiB, however large the array


@dataclass(frozen=True)
class ArraySpec:
    """One kind of array: its name and little-endian numpy dtype. Always one-dimensional.

    `optional` ones are not in the file of a segment that does not use them; read, they are empty.
    """

    name: str
    dtype: str
    optional: bool = False


def check_length(name: str, array: NDArray[Any], length: int) -> None:
    """The array must hold so many entries."""
    if len(array) != length:
        raise IndexCorruptError(f"{name}: must hold {length} entries, holds {len(array)}")


def check_empty(name: str, array: NDArray[Any], used: str) -> None:
    """The array must hold nothing, because `used` takes its place."""
    if len(array):
        raise IndexCorruptError(f"{name}: must be empty because {used} is not, holds {len(array)} entries")


def check_offsets(name: str, offsets: NDArray[Any], length: int, end: int) -> None:
    """Offsets must rise from 0 to `end` in `length` steps less one."""
    check_length(name, offsets, length)
    if offsets[0] != 0:
        raise IndexCorruptError(f"{name}: must start with 0, at 0: {offsets[0]}")
    if offsets[-1] != end:
        raise IndexCorruptError(f"{name}: must end with {end}, at {length - 1}: {offsets[-1]}")
    for a in range(0, length - 1, CHUNK):
        part = offsets[a : a + CHUNK + 1]
        falls = part[1:] < part[:-1]
        if falls.any():
            at = a + int(np.argmax(falls)) + 1
            raise IndexCorruptError(f"{name}: must not decrease, at {at}: {offsets[at]}")


def check_each(name: str, array: NDArray[Any], good: Callable[[NDArray[Any]], Any], rule: str) -> None:
    """`good` must hold of every entry."""
    for a in range(0, len(array), CHUNK):
        ok = good(array[a : a + CHUNK])
        if not ok.all():
            at = a + int(np.argmin(ok))
            raise IndexCorruptError(f"{name}: {rule}, at {at}: {array[at]}")


def check_ascending(name: str, values: NDArray[Any], starts: NDArray[Any]) -> None:
    """Values must strictly increase except where a new row starts."""
    for a in range(0, len(values) - 1, CHUNK):
        part = values[a : a + CHUNK + 1]
        falls = np.flatnonzero(part[1:] <= part[:-1]) + (a + 1)
        if len(falls):
            row = np.searchsorted(starts, falls, side="left")
            inside = falls[starts[np.minimum(row, len(starts) - 1)] != falls]
            if len(inside):
                at = int(inside[0])
                raise IndexCorruptError(f"{name}: must be strictly increasing, at {at}: {values[at]}")


def check_falling(name: str, values: NDArray[Any], starts: NDArray[Any]) -> None:
    """Values must not increase except where a new list starts."""
    for a in range(0, len(values) - 1, CHUNK):
        part = values[a : a + CHUNK + 1]
        rises = np.flatnonzero(part[1:] > part[:-1]) + (a + 1)
        row = np.searchsorted(starts, rises, side="left")
        inside = rises[starts[np.minimum(row, len(starts) - 1)] != rises]
        if len(inside):
            at = int(inside[0])
            raise IndexCorruptError(f"{name}: must not increase within a list, at {at}: {values[at]}")
