"""The page in a real browser: sorting, filtering, opening a query, at two widths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Invented
from typing import Any

from splade_engine.eval.report.comparison import load_comparison
from splade_engine.eval.report.page import html_page
from splade_engine.eval.run.experiment import Experiment, run_experiment
from splade_engine.eval.run.store import ResultFolder
from splade_engine.eval.run.suite import Collection, Suite
from splade_engine.eval.systems.bench import Settings


def _page(invented: Invented, folder: Path) -> Path:
    # stems tell the two systems apart: words alone do not find bread by "breads"
    queries = {**invented.queries, "q7": "the breads of ovens"}
    qrels = {"test": {**invented.qrels, "q7": {"bread": 1, "oven": 1}}}
    data = [invented.write(folder / name, queries=queries, qrels=qrels) for name in ("SciFact", "two")]
    suite = Suite(
        "mine",
        tuple(Collection(f.name, str(f)) for f in data),
        ("bm25", "sparse-exact"),
        ("nDCG@10",),
        "bm25",
    )
    settings = Settings(encoder=invented.WordEncoder())
    run_experiment(Experiment(suite, settings, command=("x",)), ResultFolder.create(folder / "out"))
    comparison = load_comparison([folder / "out"], None, ())
    # as large as the real SciFact, so that published rows stand beside it
    sized = [replace(r, n_documents=5183) if r.dataset == "SciFact" else r for r in comparison.results]
    (folder / "page.html").write_text(html_page(replace(comparison, results=sized), "t"))
    return folder / "page.html"


def test_the_page_works(browser: Any, invented: Invented, tmp_path: Path):
    page = _page(invented, tmp_path)
    browser.open(page, 1280)

    # a click on a column's heading sorts by it, a second one turns the order round
    column = "[...document.querySelectorAll('#measure-0 tbody tr')].map(r => r.cells[2].dataset.value)"
    click = "document.querySelectorAll('#measure-0 thead button')[2].click()"
    state = "document.querySelectorAll('#measure-0 thead th')[2].getAttribute('aria-sort')"
    browser.run(click)
    down = [float(v) for v in browser.run(column)]
    assert browser.run(state) == "descending"
    assert down == sorted(down, reverse=True)
    assert len(down) >= 6
    browser.run(click)
    assert browser.run(state) == "ascending"
    assert [float(v) for v in browser.run(column)] == sorted(down)
    names = "[...document.querySelectorAll('#measure-0 tbody tr')].map(r => r.cells[0].textContent)"
    browser.run("document.querySelectorAll('#measure-0 thead button')[0].click()")
    assert browser.run(names) == sorted(browser.run(names), key=str.lower)

    # a filter leaves one collection
    visible = "[...document.querySelectorAll('#cost-table tbody tr')].filter(r => !r.hidden).length"
    assert browser.run(visible) == 4
    choose = "(() => {{ const s = {0}; s.value = {1}; s.dispatchEvent(new Event('change')); }})()"
    browser.run(choose.format("document.querySelector('[data-filter=cost-table]')", "'two'"))
    assert browser.run(visible) == 2

    # a query's differences open, with texts, ranks and terms
    browser.run(choose.format("document.getElementById('diff-dataset')", "'two'"))
    assert "is better for" in browser.run("document.getElementById('differences').textContent")
    browser.run("document.querySelector('details.query > summary').click()")
    for _ in range(50):
        text = browser.run("document.querySelector('details.query').textContent")
        if "query terms" in text:
            break
    assert "First relevant document: rank" in text
    assert "query terms" in text
    assert browser.run("document.querySelectorAll('details.query[open] .term').length") > 2
    same = browser.run("document.getElementById('differences').textContent")
    assert "sparse-exact is better for 0 queries, worse for 1, the same for 5" in same
    browser.run(choose.format("document.getElementById('diff-a')", "'0'"))
    assert "bm25 is better for 0 queries, worse for 0, the same for 6" in browser.run(
        "document.getElementById('differences').textContent"
    )

    # nothing sticks out sideways, on a desktop or on a phone
    for width in (1280, 390):
        browser.open(page, width)
        assert browser.run("document.documentElement.scrollWidth") <= width
        small = "[...document.querySelectorAll('#measure-0 td:first-child')].map(c => c.offsetWidth)"
        assert min(browser.run(small)) > 80
    assert browser.run("performance.getEntriesByType('resource').length") == 0
