"""What commands write to standard output: aligned plain text, styled only on a terminal, or JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SPACE = re.compile(r"\s+")


def is_terminal() -> bool:
    """Whether standard output is a terminal that wants colours (NO_COLOR is honoured)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, **style: Any) -> str:
    """`text` in a typer style (bold, dim, fg) on a terminal, unchanged elsewhere."""
    return typer.style(text, **style) if is_terminal() else text


def width() -> int:
    """Columns to fill: the terminal's, within [60, 120]; 100 where there is none: pipes are stable."""
    return min(max(shutil.get_terminal_size().columns, 60), 120) if sys.stdout.isatty() else 100


def plain(text: str) -> str:
    """One line without control characters: a document cannot move the reader's cursor."""
    return _SPACE.sub(" ", _CONTROL.sub(" ", text)).strip()


def write(text: str = "") -> None:
    """A line of results."""
    typer.echo(text)


def note(text: str) -> None:
    """A line for the person at the terminal, on standard error."""
    typer.echo(text, err=True)


def write_json(value: Any) -> None:
    """A result for a program: one JSON document."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def write_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Name and value, one pair a line, values aligned."""
    rows = list(pairs)
    longest = max(len(name) for name, _ in rows)
    for name, value in rows:
        write(f"{styled(name.ljust(longest), bold=True)}  {value}")


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Aligned columns below a header: the first `left` columns to the left, the others to the right."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        sized = enumerate(zip(row, widths, strict=True))
        lines.append("  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in sized).rstrip())
    return lines


def megabytes(n_bytes: int) -> str:
    """A size for people: "3.1 MB"."""
    size = float(n_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
