"""Lines of a text file, plain or compressed, with the place of whatever cannot be read.

Every reader of the library's line formats (JSONL, TSV, queries, judgments, runs) goes through `read_lines`,
so that a truncated gzip, a byte that is not UTF-8, a device in place of a file or a line without end is
reported the same way everywhere: the file and the line.
"""

from __future__ import annotations

import gzip
import io
import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from splade_engine.collections.limits import Limits
from splade_engine.errors import DatasetError, reason_of

COMPRESSED_SUFFIXES = (".gz", ".zst")
Lines = Iterable[tuple[int, str]]  # numbered from 1
_BUFFER = 1 << 20  # bytes; gzip in Python is twice as slow with the default 8 KiB


# how files begin that are often taken for UTF-8, and what to do
_MARKS = (
    (b"\xff\xfe", "; it is UTF-16, save it as UTF-8"),
    (b"\xfe\xff", "; it is UTF-16, save it as UTF-8"),
    (b"\x1f\x8b", "; it is compressed, and its name has to end in .gz"),
    (b"\x28\xb5\x2f\xfd", "; it is compressed, and its name has to end in .zst"),
)


def plain_suffix(path: Path) -> str:
    """The suffix that names the format, below a compression suffix: ".jsonl" for `corpus.jsonl.gz`."""
    name = path.name.lower()
    for suffix in COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    return Path(name).suffix


def read_lines(path: Path, *, keep_blank: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a UTF-8 file, .gz and .zst decompressed.

    Blank lines are left out, unless `keep_blank`.

    Raises:
        DatasetError: naming file and line, where the file is missing, truncated, damaged or not UTF-8, is a
            pipe or a device, or goes beyond one of the `Limits`.
    """
    number = 0
    try:
        with _open_bytes(path) as stream:
            for number, line in decoded_lines(stream, str(path), keep_blank=keep_blank):
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
            raise DatasetError(
                f"{path}:{number + 1}: truncated or damaged zstd file ({reason_of(error)})"
            ) from None
        raise DatasetError(f"{path}:{number + 1}: cannot be read ({error.strerror or error})") from None


def decoded_lines(stream: IO[bytes], place: str, *, keep_blank: bool = False) -> Iterator[tuple[int, str]]:
    """The same of an open stream; `place` begins the messages.

    Raises:
        DatasetError: for a byte that is not UTF-8, or beyond one of the `Limits`.
    """
    limits = Limits.of_environment()
    longest = limits.document_bytes
    number = blank = 0
    while raw := stream.readline(longest + 1):
        number += 1
        if len(raw) > longest:
            raise DatasetError(
                f"{place}:{number}: a line of more than {longest:,} bytes ({limits.hint('document_bytes')})"
            )
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")  # a byte order mark, as some editors write it
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            what = f"byte 0x{raw[error.start]:02x} at column {error.start + 1}"
            what += next((advice for mark, advice in _MARKS if number == 1 and raw.startswith(mark)), "")
            raise DatasetError(f"{place}:{number}: invalid UTF-8 ({what})") from None
        line = line.rstrip("\r\n")
        if line and not line.isspace():
            blank = 0
            yield number, line
            continue
        blank += 1
        if keep_blank:
            yield number, line
        if blank > limits.blank_lines:
            raise DatasetError(
                f"{place}:{number}: {blank:,} blank lines in a row ({limits.hint('blank_lines')})"
            )


def check_regular(path: Path) -> None:
    """A corpus is read more than once, so it must be a file; links to files are followed.

    Raises:
        DatasetError: for a pipe, a device or a socket.
        OSError: if there is nothing at `path`.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return
    kind = "a named pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
    raise DatasetError(
        f"{path}: {kind}, not a file, and it is read more than once; write it to a file, "
        "or give - and pipe it into standard input"
    )


def _open_bytes(path: Path) -> IO[bytes]:
    check_regular(path)
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"), _BUFFER)
    if suffix == ".zst":
        import pyarrow as pa  # the only zstd reader among the dependencies; Python has its own from 3.14

        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"), _BUFFER)
    return path.open("rb", buffering=_BUFFER)
