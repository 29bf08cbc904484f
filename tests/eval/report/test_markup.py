from __future__ import annotations

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
