"""Bytes of a text file to text."""

from __future__ import annotations

import codecs

from splade_engine.collections.text_lines import DECODES, shifted
from splade_engine.errors import DatasetError, InvalidInputError

# the mark of UTF-32 begins with that of UTF-16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


_LOOKED_AT = 4096  # bytes of a file without a mark


def decoded(data: bytes, place: str, encoding: str | None = None) -> str:
    """The text, with line feeds alone as ends of lines.

    UTF-16 or UTF-32 where the file begins with its mark; UTF-16 also where every other byte is zero.

    Args:
        data: content of a file.
        place: begins the messages.
        encoding: how text that is not UTF-8 is decoded; None: it is refused.

    Raises:
        DatasetError: naming the line and the byte; for text that is full of zero bytes.
    """
    marked = _marked(data)
    try:
        text = shifted(data, encoding) or data.decode(marked)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        name = marked.removesuffix("-sig").upper()
        problem = f"{place}:{line}: invalid {name} (byte 0x{data[error.start]:02x})"
        if encoding is None:
            raise DatasetError(problem, DECODES) from None
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as other:
            line = data.count(b"\n", 0, other.start) + 1
            raise DatasetError(f"{place}:{line}: neither UTF-8 nor {encoding}") from None
    if 4 * text.count("\0", 0, _LOOKED_AT) > len(text[:_LOOKED_AT]):
        raise DatasetError(f"{place}: full of zero bytes: UTF-16 or UTF-32 without its mark, or no text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _marked(data: bytes) -> str:
    known = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    return known or _without_mark(data[:_LOOKED_AT]) or "utf-8"


def _without_mark(data: bytes) -> str | None:
    """Which UTF-16 has its zeros where these bytes have theirs, as nearly all Western text does."""
    zeros = data[::2].count(0), data[1::2].count(0)
    half = len(data) // 2
    if len(data) < 4 or len(data) % 2 or min(zeros) or 2 * max(zeros) < half:
        return None
    return "utf-16-be" if zeros[0] else "utf-16-le"


def is_unicode(data: bytes) -> bool:
    """Whether `decoded` needs no encoding to be named."""
    try:
        data.decode(_marked(data))
    except UnicodeDecodeError:
        return False
    return True


def checked_encoding(name: str | None) -> str | None:
    """The encoding, if Python knows it as one of text.

    Raises:
        InvalidInputError: it does not.
    """
    if name is None:
        return None
    if not isinstance(name, str) or not is_encoding(name):
        raise InvalidInputError(f"encoding {name!r:.60}: not known (latin-1, cp1252, utf-16, ...)")
    return name


def is_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text by this name."""
    try:
        b"a".decode(name)  # of nothing, any name would do
    except UnicodeDecodeError:  # half a letter
        return True
    except (LookupError, ValueError):
        return False
    return True
