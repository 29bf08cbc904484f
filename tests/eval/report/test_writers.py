"""Tables as Markdown and LaTeX, whatever is in their cells."""

from __future__ import annotations

import re

import pytest

from splade_engine.eval.report.table import Cell, Column, ColumnOfCells, Row, Table, from_columns
from splade_engine.eval.report.writers import latex, latex_text, markdown, text


def table(header: list[str], rows: list[list[str]], caption: str = "") -> Table:
    """Texts alone; "0.5 +" is a value with its mark."""
    cells = [
        [Cell(row[0]), *(Cell(v, mark=m) for v, _, m in (c.partition(" ") for c in row[1:]))] for row in rows
    ]
    return Table(tuple(map(Column, header)), tuple(Row(tuple(row)) for row in cells), caption=caption)


def test_markdown():
    assert markdown(table(["m", "x|y"], [["a", "1"]])) == "| m | x\\|y |\n| --- | ---: |\n| a | 1 |\n"


def test_text_lines_up_and_groups_stand_apart():
    rows = [
        (Row((Cell(n), Cell(v)), group=g))
        for n, v, g in (("a", "1", "x"), ("  bb", "20", "x"), ("c", "3", "y"))
    ]
    found = text(Table((Column(""), Column("ours")), tuple(rows)))
    assert found == "      ours\n\na        1\n  bb    20\n\nc        3\n"


def test_latex_marks_the_best_and_escapes():
    values = {"a & b": (0.5, "+"), "c": (0.25, "")}
    column = ColumnOfCells("x_1", {n: Cell(f"{v:.4f}", v, m) for n, (v, m) in values.items()}).marked_best()
    made = from_columns("nDCG@10", ["a & b", "c", "d"], [column])
    found = latex(Table(made.columns, made.rows, caption="100 %"))
    assert r"nDCG@10 & x\_1 \\" in found
    assert r"a \& b & \textbf{0.5000}\textsuperscript{+} \\" in found
    assert r"c & 0.2500 \\" in found
    assert r"d & -- \\" in found
    assert r"\caption{100 \%}" in found
    assert latex_text("a|b <c>") == r"a\textbar{}b \textless{}c\textgreater{}"
    assert latex_text("a\\b{c}~^") == r"a\textbackslash{}b\{c\}\textasciitilde{}\textasciicircum{}"


def test_values_that_print_alike_are_best_alike():
    cells = {
        "a": Cell("0.5000", 0.50001),
        "b": Cell("0.5000", 0.49999),
        "c": Cell("0.4000", 0.4),
        "d": Cell(),
    }
    best = ColumnOfCells("x", cells).marked_best().cells
    assert [name for name, cell in best.items() if cell.best] == ["a", "b"]
    assert ColumnOfCells("x", {"d": Cell()}).marked_best().cells == {"d": Cell()}


def test_published_rows_name_their_source_and_are_never_bold():
    ours = Row((Cell("ours"), Cell("0.5000", 0.5, best=True)), system="ours")
    theirs = Row((Cell("theirs"), Cell("0.900", 0.9)), "published", source="a paper")
    found = Table((Column("m"), Column("x")), (ours, theirs))
    assert "theirs (published: a paper) & 0.900 " in latex(found)
    assert latex(found).count("textbf") == 1
    assert "| theirs (published: a paper) | 0.900 |" in markdown(found)


def test_latex_makes_wide_tables_fit():
    narrow, wide = (latex(table(["x"] * n, [["1"] * n])) for n in (8, 9))
    assert "resizebox" not in narrow
    assert "\\resizebox{\\textwidth}{!}{%\n\\begin{tabular}{lrrrrrrrr}\n" in wide
    assert "\\end{tabular}}\n" in wide


def test_a_transposed_table_has_its_rows_as_columns():
    rows = [["nDCG@10", "0.5", "0.4"], ["  terms", "9", "-"]]
    turned = table(["", "ours", "bm25"], rows).transposed("system")
    assert [c.label for c in turned.columns] == ["system", "nDCG@10", "terms"]
    assert [[c.text for c in row.cells] for row in turned.rows] == [
        ["ours", "0.5", "9"],
        ["bm25", "0.4", "-"],
    ]


HOSTILE = "<img src=x onerror=alert(1)>\n| [a](http://b) ![c](d) `e` *f* _g_ x_y ~h~ \\ \x1b[2J\u202e"


def test_markdown_cells_are_text():
    found = markdown(table(["name", HOSTILE], [[HOSTILE, "1.0"]]))
    assert found.count("\n") == 3
    assert "<" not in found
    assert "\x1b" not in found
    assert "\u202e" not in found
    assert "&lt;img src=x onerror=alert(1)&gt; \\| \\[a\\](http://b) \\!\\[c\\](d) \\`e\\`" in found
    assert "\\_g\\_ x_y" in found
    rows = [line for line in found.splitlines() if "img" in line]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3, 3]


@pytest.mark.parametrize("name", ["[1cm]", "*", "*[1cm]", "a\nb", "\r\n[2cm]"])
def test_a_latex_row_may_begin_with_anything(name):
    lines = latex(table(["system", "nDCG@10"], [["bm25", "0.5"], [name, "0.6"]])).splitlines()
    assert all(not line.lstrip().startswith(("[", "*")) for line in lines)
    assert sum(line.endswith(r" \\") for line in lines) == 3
