"""Ids as one column of a TREC file, whatever characters they hold."""

from __future__ import annotations

import re

# what would end a column (every white space of Unicode), a byte order mark at the start of a file, and the
# percent sign that writes them
_CODES = {
    char: "".join(f"%{byte:02X}" for byte in char.encode())
    for char in " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff%"
    + "".join(map(chr, range(0x2000, 0x200B)))
}
_CHARACTERS = {code: char for char, code in _CODES.items()}
_SPECIAL = re.compile("[" + "".join(_CODES).replace("%", "") + "]")
_CODE = re.compile("|".join(_CHARACTERS))


def escape_id(text: str) -> str:
    """An id as one column of a TREC file.

    Nearly every id is its own. One with white space gets `%20` and so on in its place, and `%25` for a
    percent sign; so does one that could be read as such, `a%20b`. So no two ids are written alike, and
    `unescape_id` gives each back.
    """
    if not text:
        return "%"
    if text != "%" and not _SPECIAL.search(text) and not ("%" in text and _CODE.search(text)):
        return text
    return "".join(_CODES.get(char, char) for char in text)


def unescape_id(text: str) -> str:
    """The id that `escape_id` wrote."""
    return "" if text == "%" else _CODE.sub(lambda match: _CHARACTERS[match[0]], text)
