"""Text of others, made safe to print: without what moves a cursor, changes colours or reorders a line.

Names of files, ids, titles, labels and column names come from outside. On a terminal an escape sequence in
one of them can clear the screen or set the window's title, a carriage return can overwrite what stands
before it, and a direction mark can show `gnp.exe` as `exe.png`. Whatever prints such text sends it through
`one_line` or `without_controls` first. Sources: CWE-150; Unicode Technical Report 36, section 2.7;
CVE-2021-42574 (Trojan Source).
"""

from __future__ import annotations

import re

# C0 without the line feed, DEL, C1, and Unicode's own separators of lines and paragraphs: shown as a space
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
# direction marks and other characters without a width: left out. The two joiners stay, emoji and Persian need
# them; so do variation selectors. U+FDD0 to U+FDEF are no characters
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
# half of a surrogate pair: how Python reads a file name that is not UTF-8, and no encoding can write it
_HALF = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")


def without_controls(text: str) -> str:
    """`text` with its line feeds and spaces, but no other control character, direction mark or half pair."""
    if text.isascii() and text.isprintable():
        return text
    return _HALF.sub("\ufffd", _INVISIBLE.sub("", _CONTROL.sub(" ", text)))


def one_line(text: str) -> str:
    """`text` as a single line: as `without_controls`, with every run of white space made one space."""
    return _SPACE.sub(" ", without_controls(text)).strip()


def shortened(text: str, length: int) -> str:
    """`text` if it has at most `length` characters, else its beginning and its end around "..."."""
    if len(text) <= length:
        return text
    end = (length - 5) // 3
    return f"{text[: length - 5 - end]} ... {text[len(text) - end :]}"


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes: Chinese characters two, combining accents none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def left(text: str, width: int) -> str:
    """`text` with spaces after it, up to `width` columns."""
    return text + " " * (width - columns(text))


def right(text: str, width: int) -> str:
    """`text` with spaces before it, up to `width` columns."""
    return " " * (width - columns(text)) + text


def cut(text: str, width: int) -> str:
    """`text` within `width` columns (at least 1); "…" stands for what was cut off."""
    if columns(text) <= width:
        return text
    kept, used = [], 1
    for character in text:
        used += columns(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + "…"
