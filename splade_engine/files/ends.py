"""Files that are read from their end: of two that were put one behind the other, a reader sees one.

A Parquet file, an Arrow file and a zip say at their end what they hold. Of `cat a b` the readers of all three
take the list of `b`, and find its places in `a` or in `b`: documents are lost without a word.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.errors import InvalidInputError

if TYPE_CHECKING:
    import zipfile

# where one file ends and another begins: the upper byte of the length of the footer, the mark that ends the
# first and the one that begins the second. No text holds that
_SEAMS = (b"\0PAR1PAR1\x15", b"\0ARROW1ARROW1\0\0")
_BLOCK = 1 << 22
_ZIP_END = b"PK\5\6"


def check_one_table(path: Path) -> None:
    """Check that a Parquet or Arrow file is one file.

    Raises:
        InvalidInputError: it is several, one behind the other.
    """
    kept = max(map(len, _SEAMS)) - 1
    with path.open("rb") as file:
        tail = b""
        while block := file.read(_BLOCK):
            tail += block
            if any(seam in tail for seam in _SEAMS):
                raise _several(path)
            tail = tail[-kept:]


def check_one_zip(archive: zipfile.ZipFile, path: Path) -> None:
    """Check that a zip begins and ends with its file: Python skips what stands before and behind it.

    Raises:
        InvalidInputError: something does.
    """
    first = min((entry.header_offset for entry in archive.infolist()), default=0)
    with path.open("rb") as file:
        file.seek(-22 - len(archive.comment), 2)
        if first or file.read(4) != _ZIP_END:
            raise _several(path)


def _several(path: Path) -> InvalidInputError:
    return InvalidInputError(
        f"{path}: several files one behind the other, of which one would be read; keep them apart"
    )
