"""`Table`: what every table of an evaluation is, before it becomes text, Markdown, LaTeX or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

MISSING = "-"
First = Literal["up", "down", "text"]


@dataclass(frozen=True)
class Column:
    """A heading; `first` is the order that the first click in the page gives, "text" a column of words."""

    label: str
    first: First = "down"


@dataclass(frozen=True)
class Cell:
    """What a cell says, the number that it sorts by, its mark of significance, and whether it is the best."""

    text: str = MISSING
    value: float | None = None
    mark: str = ""
    best: bool = False

    @property
    def marked(self) -> str:
        """Text and mark, as they stand in a table without superscripts."""
        return f"{self.text} {self.mark}" if self.mark else self.text


@dataclass(frozen=True)
class Row:
    """A row of cells.

    Attributes:
        cells: one per column.
        kind: "baseline", "published" (numbers that were not measured here) or "".
        system: the evaluated system that the row is about, "" for none.
        dataset: the collection that the row is about, "" for none or several.
        group: rows of one group stand together.
        source: of published numbers.
    """

    cells: tuple[Cell, ...]
    kind: Literal["", "baseline", "published"] = ""
    system: str = ""
    dataset: str = ""
    group: str = ""
    source: str = ""


@dataclass(frozen=True)
class Table:
    """Columns and rows; the first column says what a row is about."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    name: str = ""
    caption: str = ""

    def transposed(self, corner: str) -> Table:
        """Rows as columns: the labels of the rows become the headings."""
        heads = (Column(corner, "text"), *(Column(row.cells[0].text.strip()) for row in self.rows))
        rows = tuple(
            Row((Cell(column.label), *(row.cells[i] for row in self.rows)))
            for i, column in enumerate(self.columns)
            if i
        )
        return replace(self, columns=heads, rows=rows)


@dataclass
class ColumnOfCells:
    """One column while a table is made: its heading, and its cells by the name of the row."""

    label: str
    cells: dict[str, Cell] = field(default_factory=dict)

    def marked_best(self) -> ColumnOfCells:
        """With every cell marked that prints as the largest value does."""
        values = {name: cell for name, cell in self.cells.items() if cell.value is not None}
        if not values:
            return self
        top = max(values.values(), key=lambda cell: cell.value or 0.0).text
        cells = {name: replace(cell, best=cell.text == top) for name, cell in self.cells.items()}
        return ColumnOfCells(self.label, cells)


def from_columns(head: str, names: Sequence[str], columns: Sequence[ColumnOfCells]) -> Table:
    """A table with a row per name and a column per entry; what a column lacks is missing."""
    heads = (Column(head, "text"), *(Column(column.label) for column in columns))
    rows = tuple(
        Row((Cell(name), *(column.cells.get(name, Cell()) for column in columns)), system=name)
        for name in names
    )
    return Table(heads, rows)
