"""Whatever comes from outside is text in the page: hostile names change no tag, no attribute, no script."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from splade_engine.eval.measures.effectiveness import Effectiveness
from splade_engine.eval.report.comparison import Comparison
from splade_engine.eval.report.page import html_page
from splade_engine.eval.run.results import Cost, Latency, RecallPoint, Result, Sparsity
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.run.topics import Topics

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "x onfocus=alert(1) autofocus",
    "</td></tr></table><h1>",
    "</title><svg onload=alert(1)>",
    "</style><style>*{display:none}",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% include 'x' %}{# x #}",
    "{{ c.__class__.__mro__ }}",
    "&lt;b&gt;&amp;#x3c;",
    "\u2028\u2029",
    "\x00\x08\x1b[2J",
    "\u202egnp.exe",
    "rrf(<b>(, (",
    "\\u003cb\\u003e",
    "`${alert(1)}`",
]
PLACES = [
    *(
        "title",
        "system",
        "dataset",
        "group",
        "query",
        "query id",
        "document",
        "term",
        "note",
        "mode",
        "measure",
    ),
    *("spec", "split", "hash", "command", "version", "state", "curve", "mean"),
]


def comparison(text: dict[str, str]) -> Comparison:
    """A comparison of two systems with `text[place]` (or the place's own name) everywhere."""

    def at(place: str) -> str:
        return text.get(place, place)

    def result(system: str, value: float) -> Result:
        sparsity = Sparsity(3.0, 2.0, 0.5, {1: 3, 2: 4}, {1: 2}) if system != "bm25" else None
        curve = tuple(RecallPoint(at("curve"), r, r, r) for r in (0.5, 1.0)) if sparsity else ()
        return Result(
            system=system,
            spec=at("spec"),
            dataset=at("dataset"),
            split=at("split"),
            n_documents=3,
            n_queries=2,
            n_judged=2,
            n_without_hits=0,
            n_without_relevant=0,
            mode=at("mode"),
            k=10,
            effectiveness=Effectiveness(
                {at("measure"): value}, {at("measure"): {at("query id"): value, "q2": 0.1}}
            ),
            sparsity=sparsity,
            cost=Cost(index_bytes=int(1000 * value), latency=Latency(1, value, 2, 3)),
            recall_curve=curve,
            notes=(at("note"),),
            hashes={"corpus": at("hash"), at("hash"): at("hash")},
            run=Run(system, {at("query id"): Ranking.in_order([at("document")], [1.0])}),
        )

    qrels = {at("query id"): {at("document"): 1}, "q2": {"d": 1}}
    queries = {at("query id"): at("query"), "q2": "x"}
    shown = {"id": at("document"), "rank": 1, "terms": [[at("term"), 1.0]]}
    terms = {at("query id"): {"query": [[at("term"), 1.0]], "relevant": shown, "other": shown}}
    experiment = {
        "command": at("command"),
        "started": at("version"),
        "seed": 1,
        "means": {at("mean"): [at("group")]},
        "machine": {"cpu": at("version"), "cores": 1, "system": at("version")},
        "versions": {at("version"): at("version")},
        "state": {at("state"): at("state")},
        "baseline": "bm25",
    }
    return Comparison(
        results=[result(at("system"), 0.5), result("bm25", 0.25)],
        topics={at("dataset"): Topics(at("dataset"), at("split"), queries, qrels, at("group"))},
        terms={(at("dataset"), at("system")): terms},
        experiments=[experiment],
        baseline="bm25",
    )


class Structure(HTMLParser):
    """Tags with the names of their attributes, and every value of an attribute that is not free text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(("/" + tag,))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment",))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def structure(page: str) -> list[tuple[str, ...]]:
    # a long name may be broken after each of its parentheses
    return [tag for tag in Structure(page).tags if tag != ("wbr",)]


PLAIN = structure(html_page(comparison({}), "title"))


def test_the_plain_page_has_everything_that_is_attacked():
    page = html_page(comparison({}), "title")
    missing = [place for place in PLACES if place not in page]
    assert not missing
    assert page.count("<svg") >= 4


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_changes_no_tag_anywhere(hostile: str):
    page = html_page(comparison(dict.fromkeys(PLACES, hostile)), hostile)
    assert structure(page) == PLAIN
    _check_data(page, hostile)


@pytest.mark.parametrize("place", PLACES)
def test_no_place_lets_markup_through(place: str):
    for hostile in HOSTILE:
        page = html_page(comparison({place: hostile}), hostile if place == "title" else "title")
        assert structure(page) == PLAIN, hostile


def _check_data(page: str, hostile: str) -> None:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert match is not None
    assert "<" not in match[1]
    assert "\u2028" not in match[1]
    data: dict[str, Any] = json.loads(match[1])
    assert data["systems"][0]["name"] == hostile
    assert data["queries"][hostile][hostile] == hostile


def test_a_column_of_published_numbers_names_its_source_as_text(monkeypatch: pytest.MonkeyPatch):
    from splade_engine.eval.report import page as module
    from splade_engine.eval.report.published import Published

    row = Published("<b>", '"><i>', "measure", {"group": 0.5})
    monkeypatch.setattr(module, "published", lambda measure, columns, sizes: [row])
    page = html_page(comparison({}), "title")
    assert '<td>&lt;b&gt;<span class="tag" title="&#34;&gt;&lt;i&gt;">published</span></td>' in page


def test_the_text_is_shown_as_it_is():
    hostile = "<b>R&D</b> 'x' \"y\""
    page = html_page(comparison({"system": hostile, "note": hostile}), hostile)
    words = "".join(Structure(page).words)
    assert words.count(hostile) >= 4
    assert replace(comparison({}), baseline="").is_tested is False
