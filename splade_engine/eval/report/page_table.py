"""A table of a report: every column sorts it, numbers by value, text by letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

First = Literal["up", "down", "text"]
TALL = 20  # rows from which a table scrolls in a frame of its own, below a header that stays


@dataclass(frozen=True)
class Cell:
    """One cell: shown text (HTML), the value it sorts by, and a class."""

    html: str
    value: float | None = None
    kind: str = ""


@dataclass(frozen=True)
class Column:
    """A heading; `first` is the order that the first click gives, "text" a column of words."""

    label: str
    first: First = "down"


@dataclass(frozen=True)
class TableRow:
    """A row's cells; `kind` is its class, `dataset` what filters go by."""

    cells: Sequence[Cell]
    kind: str = ""
    dataset: str = ""


def table(columns: Sequence[Column], rows: Sequence[TableRow], name: str) -> str:
    """The table as HTML, in a frame that scrolls."""
    heads = "".join(
        f'<th scope="col" aria-sort="none" data-first="{"down" if c.first == "down" else "up"}"'
        f'{_class("text" if c.first == "text" else "")}><button type="button">{escape(c.label)}</button></th>'
        for c in columns
    )
    lines = []
    for row in rows:
        filtered = f' data-dataset="{escape(row.dataset)}"' if row.dataset else ""
        lines.append(f"<tr{_class(row.kind)}{filtered}>{''.join(map(_cell, row.cells))}</tr>")
    frame = "scroll tall" if len(rows) > TALL else "scroll"
    body = "\n".join(lines)
    return (
        f'<div class="{frame}" tabindex="0"><table id="{name}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    value = "" if cell.value is None else repr(float(cell.value))
    sorts = f' data-value="{value}"' if value or cell.html == "-" else ""
    return f"<td{_class(cell.kind)}{sorts}>{cell.html}</td>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
