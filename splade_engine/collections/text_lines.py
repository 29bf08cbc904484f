"""Lines of a text file, plain or compressed, with the place of whatever cannot be read.

Every reader of the library's line formats (JSONL, TSV, queries, judgments, runs) goes through `read_lines`,
so that a truncated gzip, a byte that is not UTF-8, a device in place of a file or a line without end is
reported the same way everywhere: the file and the line.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from splade_engine.collections.limits import Limits
from splade_engine.errors import DatasetError, reason_of

COMPRESSED_SUFFIXES = (".gz", ".zst")
Lines = Iterable[tuple[int, str]]  # numbered from 1
# behind the message on a text of a corpus that is not UTF-8
DECODES = "--encoding latin-1, or Corpus(..., encoding='latin-1'), decodes such text"
_BLANK = " \t\n\r\x0b\x0c"
_SPACE = re.compile(f"[{_BLANK}]+")
_BUFFER = 1 << 20  # bytes; gzip in Python is twice as slow with the default 8 KiB


# how files begin that are often taken for UTF-8, and what to do
_MARKS = (
    (b"\xff\xfe", "; it is UTF-16, save it as UTF-8"),
    (b"\xfe\xff", "; it is UTF-16, save it as UTF-8"),
    (b"\x1f\x8b", "; it is compressed, and its name has to end in .gz"),
    (b"\x28\xb5\x2f\xfd", "; it is compressed, and its name has to end in .zst"),
    *(
        (
            bytes((0x80, protocol)),
            "; it is a pickle, which can run code: load it where you trust it, save JSONL",
        )
        for protocol in range(2, 6)
    ),
)


def plain_suffix(path: Path) -> str:
    """The suffix that names the format, below a compression suffix: ".jsonl" for `corpus.jsonl.gz`."""
    name = path.name.lower()
    for suffix in COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    return Path(name).suffix


def read_lines(
    path: Path, *, keep_blank: bool = False, encoding: str | None = None, advice: str = ""
) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a UTF-8 file, .gz and .zst decompressed.

    Args:
        path: the file.
        keep_blank: yield blank lines too.
        encoding: how a line that is not UTF-8 is decoded; None: it is refused.
        advice: ends the message then.

    Raises:
        DatasetError: naming file and line, where the file is missing, truncated, damaged or not UTF-8, is a
            pipe or a device, or goes beyond one of the `Limits`.
    """
    number = 0
    try:
        with _open_bytes(path) as stream:
            for number, line in decoded_lines(
                stream, str(path), keep_blank=keep_blank, encoding=encoding, advice=advice
            ):
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


def trec_columns(line: str, tabs: int) -> list[str]:
    """The columns of a line of judgments or of a run: between tabs where there are at least so many.

    Elsewhere they are between white space of ASCII, as trec_eval reads them. A no-break space belongs to an
    id.
    """
    found = line.split("\t") if line.count("\t") >= tabs else _SPACE.split(line.strip(_BLANK))
    return [value.strip(_BLANK) for value in found]


def decoded_lines(
    stream: IO[bytes], place: str, *, keep_blank: bool = False, encoding: str | None = None, advice: str = ""
) -> Iterator[tuple[int, str]]:
    """The same of an open stream; `place` begins the messages.

    Raises:
        DatasetError: for a byte that cannot be decoded, lines that end in CR alone, or beyond one of the
            `Limits`.
    """
    limits = Limits.of_environment()
    longest = limits.document_bytes
    number = blank = 0
    while raw := stream.readline(longest + 1):
        number += 1
        other = next((told for mark, told in _MARKS if raw.startswith(mark)), "") if number == 1 else ""
        if number == 1 and not other and b"\r" in raw.rstrip() and not raw.endswith(b"\n"):
            raise DatasetError(f"{place}: lines end in CR alone, save it with LF")
        if number == 1 and raw[:4].count(0) > 1:  # two letters of ASCII in 16 bits each, or one in 32
            raise DatasetError(f"{place}:1: zero bytes: UTF-16 or UTF-32 without its mark, save it as UTF-8")
        if len(raw) > longest:
            raise DatasetError(
                f"{place}:{number}: a line of more than {longest:,} bytes ({limits.hint('document_bytes')})"
            )
        raw = raw.removeprefix(b"\xef\xbb\xbf")  # a byte order mark: files that were joined have several
        try:
            line = shifted(raw, encoding) or raw.decode("utf-8")
        except UnicodeDecodeError as error:
            what = f"byte 0x{raw[error.start]:02x} at column {error.start + 1}"
            if encoding is None or other:
                problem = f"{place}:{number}: invalid UTF-8 ({what}{other})"
                raise DatasetError(problem, "" if other else advice) from None
            line = _in_other_encoding(raw, encoding, f"{place}:{number}")
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


def shifted(data: bytes, encoding: str | None) -> str | None:
    """Text of an encoding that writes other letters as ASCII between escape sequences; None where it is none.

    Such bytes (ISO-2022-JP, HZ) are valid UTF-8 too, and would be read as other text.
    """
    if encoding is None or not data.isascii():
        return None
    name = codecs.lookup(encoding).name
    if not (name.startswith("iso2022") and b"\x1b" in data) and not (name == "hz" and b"~{" in data):
        return None
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _in_other_encoding(raw: bytes, encoding: str, place: str) -> str:
    """A line whose end was found as a byte, which only an encoding that keeps ASCII allows."""
    try:
        if "\n".encode(encoding) == b"\n":
            return raw.decode(encoding)
    except UnicodeDecodeError:
        raise DatasetError(f"{place}: neither UTF-8 nor {encoding}") from None
    raise DatasetError(f"{place}: records in {encoding} cannot be read, save them as UTF-8")


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
