"""Lines of a text file, plain or compressed, with the place of whatever cannot be read.

Every reader of the library's line formats (JSONL, TSV, queries) goes through `read_lines`, so that a
truncated gzip or a byte that is not UTF-8 is reported the same way everywhere: the file and the line.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from splade_engine.errors import DatasetError

COMPRESSED_SUFFIXES = (".gz", ".zst")
_BUFFER = 1 << 20  # bytes; gzip in Python is twice as slow with the default 8 KiB


def plain_suffix(path: Path) -> str:
    """The suffix that names the format, below a compression suffix: ".jsonl" for `corpus.jsonl.gz`."""
    name = path.name.lower()
    for suffix in COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    return Path(name).suffix


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) of a UTF-8 file, .gz and .zst decompressed; blank lines are
    left out.

    Raises:
        DatasetError: naming file and line, where the file is missing, truncated, damaged or not UTF-8.
    """
    number = 0
    try:
        with _open_bytes(path) as stream:
            for number, raw in enumerate(stream, start=1):
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")  # a byte order mark, as some editors write it
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    place = f"byte 0x{raw[error.start]:02x} at column {error.start + 1}"
                    raise DatasetError(f"{path}:{number}: invalid UTF-8 ({place})") from None
                line = line.rstrip("\r\n")
                if line and not line.isspace():
                    yield number, line
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DatasetError(f"{path}: is a folder, not a file") from None
    except EOFError:
        raise DatasetError(f"{path}:{number + 1}: the compressed file ends too early (truncated)") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path}:{number + 1}: damaged gzip file ({error})") from None
    except OSError as error:
        if path.suffix.lower() == ".zst":
            reason = str(error).splitlines()[0]
            raise DatasetError(f"{path}:{number + 1}: truncated or damaged zstd file ({reason})") from None
        raise DatasetError(f"{path}:{number + 1}: cannot be read ({error.strerror or error})") from None


def _open_bytes(path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"), _BUFFER)
    if suffix == ".zst":
        import pyarrow as pa  # the only zstd reader among the dependencies; Python has its own from 3.14

        if not path.exists():
            raise FileNotFoundError(path)
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"), _BUFFER)
    return path.open("rb", buffering=_BUFFER)
