"""What commands write: aligned plain text, styled only on a terminal, or JSON.

Every line goes through `write`, `note` or `write_json`, and these alone write to the terminal. They let
nothing through that an outside text could do harm with: all text is cleaned (`splade_engine.plain_text`), and
what `styled` asks for becomes escape sequences afterwards.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from splade_engine.files import finite
from splade_engine.plain_text import columns, cut, left, one_line, right, shortened, whole, without_controls

# how what is styled looks on a terminal, as typer.style takes it
STYLES: dict[str, dict[str, Any]] = {
    "heading": {"bold": True},
    "id": {"fg": "cyan", "bold": True},
    "match": {"fg": "green", "bold": True},
    "aside": {"dim": True},
}
MESSAGE = 2000  # characters: an error that quotes a file does not print the file
NARROWEST, WIDEST, PIPED = 20, 120, 100  # columns

# `styled` marks its text with code points that are no characters, which cleaning takes out of all other text
_MARK = {name: chr(0xFDD1 + number) for number, name in enumerate(STYLES)}
_STYLE_OF = {mark: name for name, mark in _MARK.items()}
_END = "\ufdd0"
_STYLED = re.compile(f"([{''.join(_STYLE_OF)}])([^{_END}]*){_END}")
# valid in JSON as they are, but not for the eyes
_HIDDEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]")
_BEYOND_ASCII = re.compile("[^\x00-\x7e]")


def is_terminal() -> bool:
    """Whether standard output is a terminal that wants colours (NO_COLOR is honoured)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str) -> str:
    """`text` to be shown in a style of `STYLES`; it takes no more columns than before."""
    return f"{_MARK[style]}{without_controls(text)}{_END}" if is_terminal() else text


def width() -> int:
    """Columns to fill: the terminal's, within [20, 120]; 100 where there is none: pipes are stable."""
    if not sys.stdout.isatty():
        return PIPED
    return min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)


def fitted(text: str, room: int) -> str:
    """`text` within `room` columns on a terminal; elsewhere nothing is cut."""
    return cut(text, max(room, 1)) if sys.stdout.isatty() else text


def cell(text: str) -> str:
    """Text of a table's cell: its spaces stay, its line breaks do not."""
    return without_controls(text).replace("\n", " ")


def argument(path: str | Path) -> str:
    """A path within a command that is shown, for a shell: no option, no home folder, one word."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith(("-", "~")) else text)


def write(text: str = "") -> None:
    """A line of results."""
    typer.echo(_shown(text.replace("\n", " ")))


def write_block(text: str) -> None:
    """Several lines of results, such as a table; its own line breaks stay."""
    typer.echo(_shown(text.removesuffix("\n")))


def write_data(text: str) -> None:
    """Lines for a program: on a terminal cleaned as all text is, else as they are, so that ids stay ids.

    Half a surrogate pair becomes U+FFFD: no encoding writes it.
    """
    text = without_controls(text) if sys.stdout.isatty() else whole(text)
    sys.stdout.write(text.removesuffix("\n") + "\n")  # typer.echo leaves escape sequences out


def is_talkative() -> bool:
    """Whether more than results and errors is wanted: not with `--quiet`."""
    return logging.getLogger("splade_engine").getEffectiveLevel() <= logging.INFO


def note(text: str) -> None:
    """A line for the person at the terminal, on standard error, unless `--quiet`."""
    if is_talkative():
        complain(text)


def complain(text: str, *, indented: bool = False) -> None:
    """A line that must be said, on standard error; `indented`: with its spaces."""
    typer.echo(cell(text) if indented else one_line(text), err=True)


def message(text: str) -> str:
    """An error or a log message as one line of bounded length."""
    return shortened(one_line(text), MESSAGE)


def _shown(text: str) -> str:
    """Cleaned text, with the escape sequences of its styled stretches."""
    out, place = [], 0
    for found in _STYLED.finditer(text):
        style = STYLES[_STYLE_OF[found[1]]] if is_terminal() else {}
        out += [
            without_controls(text[place : found.start()]),
            typer.style(without_controls(found[2]), **style),
        ]
        place = found.end()
    return "".join([*out, without_controls(text[place:])])


def write_json(value: Any, indent: int | None = 2) -> None:
    """A result for a program: one JSON document (RFC 8259), whatever the value holds.

    `indent=None` writes it as one line.

    NaN and infinity become null and half a surrogate pair U+FFFD, as JSON has neither. What would hide or
    reorder the text, and everything that standard output cannot encode, is written as a \\u escape.
    """
    try:
        text = _json(value, indent)
    except ValueError:  # a number that JSON does not have
        text = _json(finite(value), indent)
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    hidden = _HIDDEN if encoding.startswith("utf") else _BEYOND_ASCII
    # outside its strings JSON is ASCII, so that an escape can stand wherever such a character does
    typer.echo(hidden.sub(lambda found: json.dumps(found[0])[1:-1], whole(text)))


def _json(value: Any, indent: int | None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str, allow_nan=False)


def write_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Name and value, one pair a line, values aligned."""
    rows = list(pairs)
    longest = max(columns(name) for name, _ in rows)
    for name, value in rows:
        write(f"{styled(left(name, longest), 'heading')}  {one_line(value)}")


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]], to_the_left: int = 1) -> list[str]:
    """Aligned columns below a header: the first `to_the_left` to the left, the others to the right."""
    cells = [list(header), *([cell(text) for text in row] for row in rows)]
    widths = [max(columns(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        sized = enumerate(zip(row, widths, strict=True))
        lines.append(
            "  ".join(left(c, w) if i < to_the_left else right(c, w) for i, (c, w) in sized).rstrip()
        )
    return lines


def megabytes(n_bytes: int) -> str:
    """A size for people: "3.1 MB"."""
    size = float(n_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
