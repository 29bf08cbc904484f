"""Tables as Markdown and LaTeX, whatever is in their cells."""

from __future__ import annotations

import re

import pytest

from splade_engine.eval.report.markup import latex, latex_text, markdown


def test_markdown():
    assert markdown(["m", "x|y"], [["a", "1"]]) == "| m | x\\|y |\n| --- | ---: |\n| a | 1 |\n"


def test_latex_marks_the_best_and_escapes():
    text = latex(["nDCG@10", "x_1"], [["a & b", "0.5000 +"], ["c", "0.2500"], ["d", "-"]], "100 %")
    assert r"nDCG@10 & x\_1 \\" in text
    assert r"a \& b & \textbf{0.5000}\textsuperscript{+} \\" in text
    assert r"c & 0.2500 \\" in text
    assert r"d & -- \\" in text
    assert r"\caption{100 \%}" in text
    assert latex_text("a\\b{c}~^") == r"a\textbackslash{}b\{c\}\textasciitilde{}\textasciicircum{}"


def test_latex_prints_no_published_row_in_bold():
    rows = [["ours", "0.5000"], ["bm25", "0.2500"], ["theirs (published)", "0.900"]]
    text = latex(["nDCG@10", "x"], rows, measured=2)
    assert r"ours & \textbf{0.5000}" in text
    assert "0.900 " in text
    assert text.count("textbf") == 1


def test_latex_makes_wide_tables_fit():
    narrow, wide = (latex(["x"] * n, [["1"] * n]) for n in (8, 9))
    assert "resizebox" not in narrow
    assert "\\resizebox{\\textwidth}{!}{%\n\\begin{tabular}{lrrrrrrrr}\n" in wide
    assert "\\end{tabular}}\n" in wide


HOSTILE = "<img src=x onerror=alert(1)>\n| [a](http://b) ![c](d) `e` *f* _g_ x_y ~h~ \\ \x1b[2J\u202e"


def test_markdown_cells_are_text():
    table = markdown(["name", HOSTILE], [[HOSTILE, "1.0"]])
    assert table.count("\n") == 3
    assert "<" not in table
    assert "\x1b" not in table
    assert "\u202e" not in table
    assert "&lt;img src=x onerror=alert(1)&gt; \\| \\[a\\](http://b) \\!\\[c\\](d) \\`e\\`" in table
    assert "\\_g\\_ x_y" in table
    rows = [line for line in table.splitlines() if "img" in line]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3, 3]


@pytest.mark.parametrize("name", ["[1cm]", "*", "*[1cm]", "a\nb", "\r\n[2cm]"])
def test_a_latex_row_may_begin_with_anything(name):
    lines = latex(["system", "nDCG@10"], [["bm25", "0.5"], [name, "0.6"]]).splitlines()
    assert all(not line.lstrip().startswith(("[", "*")) for line in lines)
    assert sum(line.endswith(r" \\") for line in lines) == 3
