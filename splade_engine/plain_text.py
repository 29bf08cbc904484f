"""Text of others, made safe to print: without what moves a cursor, changes colours or reorders a line.

Names of files, ids, titles, labels and column names come from outside. On a terminal an escape sequence in
one of them can clear the screen or set the window's title, a carriage return can overwrite what stands
before it, and a direction mark can show `gnp.exe` as `exe.png`. Whatever prints such text sends it through
`one_line` or `without_controls` first. Sources: CWE-150; Unicode Technical Report 36, section 2.7;
CVE-2021-42574 (Trojan Source).
"""

from __future__ import annotations

import re
import unicodedata

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
_JOINER = "\u200d"  # between the parts of an emoji
# joiners, skin tones, and the tags that spell the flags of regions
_STAYS = frozenset(
    ["\u200c", _JOINER, *map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0020, 0xE0080))]
)
_FLAGS = "".join(map(chr, range(0x1F1E6, 0x1F200)))  # letters, two of which are a flag
_VIRAMA = 9  # the combining class of marks that join two consonants of India
# two Korean letters, or a syllable and a letter, of one syllable
_SYLLABLE = re.compile(
    "[\u1100-\u115f][\u1100-\u11a7\uac00-\ud7a3]|[\u1160-\u11ff\uac00-\ud7a3][\u1160-\u11ff]"
)


def is_text(text: str) -> bool:
    """Whether it can be written: no half of a surrogate pair, which JSON can hold and Arrow cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole(text: str) -> str:
    """`text` with U+FFFD for each half of a surrogate pair, so that it can be written."""
    if is_text(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


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
    return f"{text[: whole_before(text, length - 5 - end)]} ... {text[whole_behind(text, len(text) - end) :]}"


def splits(text: str, at: int) -> bool:
    """Whether a cut at `at` takes apart what is shown as one character: a letter and its accents, an emoji.

    The rules of Unicode Standard Annex 29 (extended grapheme clusters) that scripts of today and emoji need:
    marks, joiners and skin tones stay with what stands before them, flags are pairs, and so are CR and LF;
    Korean letters make syllables.
    """
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if before < "\u0300" and after < "\u0300":
        return before == "\r" and after == "\n"
    if before == _JOINER or after in _STAYS or unicodedata.category(after)[0] == "M":
        return after.isprintable() or after in _STAYS
    if before in _FLAGS and after in _FLAGS:
        return (at - len(text[:at].rstrip(_FLAGS))) % 2 == 1
    if unicodedata.combining(before) == _VIRAMA:
        return unicodedata.category(after) == "Lo"
    return bool(_SYLLABLE.fullmatch(before + after))


def whole_before(text: str, at: int, least: int = 0) -> int:
    """The last place up to `at` that takes no character apart; `at` where there is none behind `least`."""
    return next((place for place in range(at, least, -1) if not splits(text, place)), at)


def whole_behind(text: str, at: int, most: int | None = None) -> int:
    """The first place from `at` on that takes no character apart; `at` where there is none up to `most`."""
    most = len(text) if most is None else most
    return next((place for place in range(at, most + 1) if not splits(text, place)), at)


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
    used = 1
    for place, character in enumerate(text):
        used += columns(character)
        if used > width:
            return text[: whole_before(text, place)] + "…"
    return text + "…"
