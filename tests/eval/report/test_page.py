from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Invented

import pytest

from splade_engine.collections import Document
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.dataset import Dataset, Split
from splade_engine.collections.loading import load_dataset
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.eval.report import charts
from splade_engine.eval.report.comparison import Comparison, load_comparison
from splade_engine.eval.report.page import html_page
from splade_engine.eval.report.published import published
from splade_engine.eval.report.written import latex_tables, markdown_tables
from splade_engine.eval.run.experiment import Experiment, run_experiment
from splade_engine.eval.run.runs import Ranking, Run, write_run
from splade_engine.eval.run.store import ResultFolder
from splade_engine.eval.run.suite import Collection, Suite
from splade_engine.eval.systems.bench import Settings


@pytest.fixture
def results(invented: Invented, tmp_path: Path) -> Path:
    queries = {**invented.queries, "q4": "baked </script><b>bread</b> & {{data}}"}
    folders = [invented.write(tmp_path / name, queries=queries) for name in ("SciFact", "two")]
    suite = Suite(
        "mine",
        tuple(Collection(f.name, str(f)) for f in folders),
        ("bm25", "sparse", "rrf(bm25, sparse)"),
        ("nDCG@10", "R@100"),
        "bm25",
    )
    out = tmp_path / "out"
    run_experiment(
        Experiment(suite, Settings(encoder=invented.WordEncoder()), command=("x",)), ResultFolder.create(out)
    )
    return out


def _data(page: str) -> dict[str, object]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert match is not None
    found: dict[str, object] = json.loads(match[1])
    return found


def test_the_page_is_whole_and_loads_nothing(results: Path):
    page = html_page(load_comparison([results], None, ()), 'A "title" <here>')
    assert page.startswith("<!doctype html>")
    assert "{{" not in page.replace("{{data}}", "")  # the braces of the query's text stay as they are
    assert "<title>A &#34;title&#34; &lt;here&gt;</title>" in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!\#)""", page)
    assert "http" not in page
    assert "@import" not in page
    assert "url(" not in page
    for section in ("effectiveness", "significance", "cost", "tradeoff", "sparsity", "queries", "about"):
        assert f'<h2 id="{section}">' in page
    assert page.count("</script>") == 2
    first = load_dataset(results.parent / "SciFact").hashes()
    assert f"documents 8, corpus {first['corpus']}, queries {first['queries']}, judgments" in page


def test_the_data_hold_every_query_and_the_terms(results: Path):
    data = _data(html_page(load_comparison([results], None, ()), "t"))
    assert data["queries"]["two"]["q4"] == "baked </script><b>bread</b> & {{data}}"  # type: ignore[index]
    assert data["ids"]["two"] == ["q1", "q2", "q3", "q4", "q5"]  # type: ignore[index]
    assert [s["terms"] for s in data["systems"]] == [None, 1, 1]  # type: ignore[attr-defined]
    assert set(data["terms"]["two"]) == {"1"}  # type: ignore[index]
    assert data["first"]["two"]["0"]["q4"] == 1  # type: ignore[index]


def test_published_rows_are_marked(results: Path):
    small = load_comparison([results], None, ())
    assert "published</span>" not in html_page(small, "t")  # eight documents are not SciFact
    sized = [replace(r, n_documents=5183) if r.dataset == "SciFact" else r for r in small.results]
    comparison = replace(small, results=sized)
    page = html_page(comparison, "t")
    assert page.count('<tr class="published">') == page.count(">published</span>") > 3
    assert "SPLADE-v3 (published: arXiv 2403.06789) | 0.710 | - | - |" in markdown_tables(comparison)
    assert "SPLADE-v3 (published" in latex_tables(comparison)


def test_a_development_split_gets_no_published_numbers(results: Path):
    small = load_comparison([results], None, ())
    sized = [replace(r, n_documents=5183) if r.dataset == "SciFact" else r for r in small.results]
    assert "0.710" in markdown_tables(replace(small, results=sized))
    train = replace(small, results=[replace(r, split="train") for r in sized])
    assert "published" not in markdown_tables(train)
    named = replace(small, results=[replace(sized[0], dataset="MS MARCO dev", split="dev")])
    assert named.published == ["MS MARCO dev"]


def test_another_corpus_of_the_name_gets_no_published_numbers():
    names = ["scifact", "quora"]
    assert {tuple(row.values) for row in published("nDCG@10", names, {"scifact": 5183, "quora": 17})} == {
        ("scifact",)
    }
    assert published("nDCG@10", names, {"scifact": 5184, "quora": 17}) == []
    assert published("RR@10", ["MS MARCO dev"], {"MS MARCO dev": 8_841_823})


def test_published_numbers_go_by_the_collections_name():
    rows = {row.system: row.values for row in published("nDCG@10", ["beir/scifact/test", "ArguAna"])}
    assert rows["BM25 flat"] == {"beir/scifact/test": 0.679, "ArguAna": 0.397}
    assert len(rows) == 13
    assert published("nDCG@10", ["scifact+1000", "nfcorpus-preproc"]) == []
    assert published("R@7", ["scifact"]) == []
    assert len(published("nDCG@10", ["scifact", "a", "b"])) == 4  # only the chosen few


def test_beir_means_are_those_of_the_papers():
    """The 13-set means recomputed from the rows: published .437, .505 (pyserini), .517, .546."""
    names = ["TREC-COVID", "NFCorpus", "NQ", "HotpotQA", "FiQA", "ArguAna", "Touche-2020", "DBPedia"]
    names += ["SCIDOCS", "FEVER", "Climate-FEVER", "SciFact", "Quora"]
    means = {row.system: sum(row.values.values()) / 13 for row in published("nDCG@10", names)}
    wanted = {"BM25 flat": 0.437, "SPLADE++ ED": 0.505, "SPLADE-v3": 0.517, "OpenSearch doc-v3-gte": 0.546}
    for system, mean in wanted.items():
        assert means[system] == pytest.approx(mean, abs=0.001)


def test_runs_are_compared_by_a_dataset(collection: Path, tmp_path: Path):
    good = Run("x", {"q1": Ranking.in_order(["tea"], [1.0]), "q6": Ranking.in_order(["tea"], [1.0])})
    write_run(good, tmp_path / "good.run")
    write_run(Run("y", {"q1": Ranking.in_order(["owl", "tea"], [2.0, 1.0])}), tmp_path / "bad.run.gz")
    comparison = load_comparison(
        [tmp_path / "good.run", tmp_path / "bad.run.gz"], load_dataset(collection), ["RR@10"], "good"
    )
    assert comparison.systems == ["good", "bad"]
    assert [r.effectiveness.mean["RR@10"] for r in comparison.results] == [0.2, 0.1]
    assert [r.n_without_hits for r in comparison.results] == [4, 4]
    page = html_page(comparison, "t")
    assert '<h2 id="cost">' not in page
    assert '<h2 id="significance">' in page


def test_a_run_of_ids_that_are_not_judged_is_told(collection: Path, tmp_path: Path, caplog):
    data = load_dataset(collection)
    for name, documents in (("a", ["TEA", "COFFEE"]), ("b", ["tea"])):
        hits = Ranking.in_order(documents, [2.0, 1.0][: len(documents)])
        write_run(Run(name, {"q1": hits}), tmp_path / f"{name}.run")
        load_comparison([tmp_path / f"{name}.run"], data, ["RR@10"])
    few = "has no hits for 4 of 5 judged queries, which count as zero"
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/a.run: none of its hits is judged in invented; are their ids those of it?",
        f"{tmp_path}/a.run: {few}",
        f"{tmp_path}/b.run: {few}",
    ]


def test_measures_are_spelled_as_everywhere(collection: Path, tmp_path: Path):
    write_run(Run("x", {"q1": Ranking.in_order(["tea"], [1.0])}), tmp_path / "x.run")
    data = load_dataset(collection)
    shown = load_comparison([tmp_path / "x.run"], data, ["map@10", "recip_rank", "ndcg@10"])
    assert shown.measures == ["AP@10", "RR", "nDCG@10"]
    with pytest.raises(InvalidInputError, match="unknown measure 'zz'"):
        load_comparison([tmp_path / "x.run"], data, ["zz"])


@pytest.mark.parametrize(
    ("ends", "measures", "told"), [(6, "R@5 R@9", "R@9"), (5, "R@9", ""), (6, "R@5", "")]
)
def test_a_run_that_is_cut_too_early_is_told(tmp_path: Path, caplog, ends: int, measures: str, told: str):
    """A run of 1,000 hits and one of 100 stood side by side in R@1000 without a word."""
    ids = [f"d{i}" for i in range(20)]
    queries = {f"q{i}": "text" for i in range(10)}
    corpus = Corpus([Document(i, "text") for i in ids])
    data = Dataset("made", "made", corpus, Split("test", queries, {q: {"d0": 1} for q in queries}))
    depths = [5] * ends + [3] * (10 - ends)
    hits = [Ranking.in_order(ids[:n], list(range(n, 0, -1))) for n in depths]
    write_run(Run("x", dict(zip(queries, hits, strict=True))), tmp_path / "x.run")
    load_comparison([tmp_path / "x.run"], data, measures.split())
    wanted = f"x.run: seems to be cut at 5 hits per query, and {told} looks at 9: it is too low beside deeper"
    assert (wanted in caplog.text) is bool(told)
    assert bool(caplog.text) is bool(told)


def test_bad_comparisons(collection: Path, results: Path, tmp_path: Path):
    write_run(Run("x", {"other": Ranking.in_order(["tea"], [1.0])}), tmp_path / "x.run")
    data = load_dataset(collection)
    with pytest.raises(DatasetError, match=r"x\.run:1: query 'other' is not in invented, nor is any other"):
        load_comparison([tmp_path / "x.run"], data, ["RR@10"])
    with pytest.raises(InvalidInputError, match=r"x\.run: a run has no judgments; give --dataset"):
        load_comparison([tmp_path / "x.run"], None, ["RR@10"])
    with pytest.raises(InvalidInputError, match="'bm25' on SciFact is given twice"):
        load_comparison([results, results], None, ())
    with pytest.raises(InvalidInputError, match="baseline 'nobody' is not one of the systems"):
        load_comparison([results], None, (), "nobody")
    with pytest.raises(DatasetError, match=r"experiment\.json: no such file"):
        load_comparison([tmp_path], None, ())
    (tmp_path / "x.run").write_text("q1 Q0 tea 1\n")
    with pytest.raises(DatasetError, match=r"x\.run:1: a run line has 6 columns"):
        load_comparison([tmp_path / "x.run"], data, ["RR@10"])


def test_measures_that_a_folder_lacks_come_from_its_runs(results: Path):
    comparison = load_comparison([results], None, ("AP", "nDCG@10"))
    assert comparison.measures == ["AP", "nDCG@10", "R@100"]


def test_an_empty_comparison_is_refused():
    with pytest.raises(InvalidInputError, match="nothing to compare"):
        load_comparison([], None, ())
    assert Comparison([], {}).systems == []


# ---- charts ---------------------------------------------------------------------------------------------


def test_axis_ticks_are_round_and_inside():
    assert charts.Axis(0.0, 1.0, 0, 100).ticks(5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert charts.Axis(0.1, 100, 0, 100, log=True).ticks() == [0.1, 1, 10, 100]
    for low, high in ((0.13, 0.19), (1.1, 2.3), (3e-5, 7e4)):
        ticks = charts.Axis(low, high, 0, 100, log=True).ticks()
        assert len(ticks) >= 2
        assert all(low <= tick <= high for tick in ticks)


def test_equal_values_still_give_a_chart():
    same = [charts.Point(1.0, 0.5, "a", 0, "<one>"), charts.Point(1.0, 0.5, "b", 1, "two")]
    svg = charts.scatter(same, "x", "y")
    assert "nan" not in svg
    assert "&lt;one&gt;" in svg
    centres = re.findall(r'<circle cx="([\d.]+)"', svg)
    assert abs(float(centres[0]) - float(centres[1])) > 15  # the discs do not hide one another


def test_histogram_bars_cover_the_counts():
    svg = charts.histogram({10: 4, 12: 0, 14: 8}, "terms", 0)
    assert svg.count("<rect") == 2
    assert "14 to 15: 8" in svg
    assert charts.number(1500) == "1.5k"
    assert charts.number(0.25) == "0.25"


def test_wide_tick_labels_stand_free_of_the_axis_label():
    """0.5295 beside "mean nDCG@10", which is written upwards at 12 pixels."""
    points = [charts.Point(1.0, 0.52955, "a", 0, "a"), charts.Point(2.0, 0.53085, "b", 1, "b")]
    drawn = charts.scatter(points, "x", "mean nDCG@10")
    ends = {
        (float(x), len(t))
        for x, t in re.findall(r'x="([\d.]+)" y="[\d.]+" text-anchor="end">([^<]+)<', drawn)
    }
    assert max(length for _, length in ends) == 6
    assert all(x - 6 * length > 18 for x, length in ends)
