from __future__ import annotations

from dataclasses import replace

import pytest

from splade_engine.eval.measures.effectiveness import Effectiveness
from splade_engine.eval.report.means import measure_means
from splade_engine.eval.report.published import Published
from splade_engine.eval.report.quantities import collection_line
from splade_engine.eval.report.table import Table
from splade_engine.eval.report.tables import effectiveness_table
from splade_engine.eval.report.written import printed
from splade_engine.eval.run.results import Cost, Latency, Result, Sparsity


def _texts(table: Table) -> tuple[list[str], list[list[str]]]:
    rows = [[cell.marked for cell in row.cells] for row in table.rows]
    return [column.label for column in table.columns], rows


def _result(system: str, dataset: str, value: float | None, **changes: object) -> Result:
    mean = {} if value is None else {"nDCG@10": value}
    found = Effectiveness(mean, {name: {"q": v} for name, v in mean.items()})
    fields: dict[str, object] = {"cost": Cost(), **changes}
    return Result(
        system=system,
        spec=system,
        dataset=dataset,
        split="test",
        n_documents=1234,
        n_queries=12,
        n_judged=10,
        n_without_hits=0,
        n_without_relevant=3,
        mode="exact",
        k=100,
        effectiveness=found,
        **fields,  # type: ignore[arg-type]
    )


def test_the_printed_table_lines_up():
    cost = Cost(index_bytes=1_500_000, latency=Latency(1, 1.234, 12.34, 123.4), docs_scored=20_000.4)
    ours = _result(
        "ours", "d", 0.5, cost=cost, sparsity=Sparsity(120.04, 8.0, 1.23456), recall_vs_exact=0.987
    )
    lines = printed([ours, _result("bm25", "d", 0.25)]).splitlines()
    assert lines[0] == (
        "d: 1,234 documents, 10 judged queries (test), 2 more without judgments, k = 100"
        "; 3 judged queries have no relevant document and count as 0, as in trec_eval "
        "(*: without them, mean over 7 queries)"
    )
    rows = {line[:21].strip(): line[21:].split() for line in lines[2:] if line}
    assert rows["nDCG@10"] == ["0.5000", "0.2500"]
    assert rows["latency p50, ms"] == ["1.23", "-"]
    assert rows["latency p99, ms"] == ["123", "-"]
    assert rows["recall@10 vs exact"] == ["0.9870", "-"]
    assert rows["docs scored / query"] == ["20000", "-"]
    assert rows["terms / document"] == ["120.0", "-"]
    assert rows["FLOPS"] == ["1.235", "-"]
    assert rows["index size, MB"] == ["1.5", "-"]
    assert "build index, s" not in rows
    assert len({len(line) for line in lines[2:] if line}) == 1


def test_the_mean_is_over_what_every_system_has():
    results = [_result("a", "x", 0.2), _result("a", "y", 0.4), _result("a", "z", 0.9)]
    results += [_result("b", "x", 0.4), _result("b", "y", 0.6), _result("b", "z", None)]
    header, rows = _texts(effectiveness_table(results, "nDCG@10", {("b", "x"): "+"}))
    assert header == ["nDCG@10", "x", "y", "z", "mean of 2"]
    assert rows == [["a", "0.2000", "0.4000", "0.9000", "0.3000"], ["b", "0.4000 +", "0.6000", "-", "0.5000"]]


def test_a_group_is_one_column_with_the_mean_of_its_collections():
    results = [_result("a", "android", 0.2), _result("a", "unix", 0.4), _result("a", "nq", 0.6)]
    results += [_result("b", "android", 0.3), _result("b", "nq", 0.5)]
    table = measure_means(results, "nDCG@10", {"android": "CQA", "unix": "CQA"})
    assert table.columns == ["CQA", "nq"]
    assert round(table.values["a", "CQA"], 9) == 0.3
    assert ("b", "CQA") not in table.values
    assert table.means == {}


def test_the_collection_line_of_a_plain_collection():
    from dataclasses import replace

    plain = replace(_result("a", "d", 0.5), n_queries=10, n_without_relevant=0)
    assert collection_line(plain) == "d: 1,234 documents, 10 judged queries (test), k = 100"


def test_means_over_some_columns():
    results = [_result("ours", d, v) for d, v in (("a", 0.1), ("b", 0.2), ("c", 0.6))]
    results += [_result("bm25", d, v) for d, v in (("a", 0.3), ("b", None), ("c", 0.5))]
    parts = {"a and c": ["a", "c"], "a and b": ["a", "b"], "with d": ["a", "d"]}
    table = measure_means(results, "nDCG@10", None, parts)
    assert table.part_means["a and c"] == {"ours": 0.35, "bm25": 0.4}
    assert table.part_means["a and b"] == {"ours": pytest.approx(0.15)}
    assert "with d" not in table.part_means
    header, rows = _texts(effectiveness_table(results, "nDCG@10", None, None, parts))
    assert header[4:] == ["mean of 2", "a and c", "a and b"]
    assert [row[5:] for row in rows] == [["0.3500", "0.1500"], ["0.4000", "-"]]


def test_answerable_queries_have_rows_of_their_own():
    result = _result("ours", "d", 0.4)
    some = replace(result, effectiveness=replace(result.effectiveness, mean_answerable={"nDCG@10": 0.8}))
    text = printed([some, result])
    assert [line.split() for line in text.splitlines() if line.startswith("nDCG@10 *")] == [
        ["nDCG@10", "*", "0.8000", "-"]
    ]
    assert "nDCG@10 *" not in printed([result])


def test_answerable_queries_have_a_column_of_their_own():
    """Beside the mean over all judged queries, which is the one that means over collections take."""
    with_some = _result("ours", "a", 0.4)
    with_some = replace(
        with_some, effectiveness=replace(with_some.effectiveness, mean_answerable={"nDCG@10": 0.8})
    )
    header, rows = _texts(effectiveness_table([with_some, _result("ours", "b", 0.2)], "nDCG@10"))
    assert header == ["nDCG@10", "a", "b", "mean", "a *"]
    assert rows == [["ours", "0.4000", "0.2000", "0.3000", "0.8000"]]


def test_distractors_are_counted():
    line = collection_line(_result("ours", "d", 0.4, n_distractors=1_000))
    assert line.startswith("d: 1,234 documents (1,000 of them distractors), 10 judged")


def test_the_best_are_marked_and_the_means_may_come_first():
    results = [
        _result(s, d, v) for s, d, v in (("a", "x", 0.2), ("a", "y", 0.4), ("b", "x", 0.4), ("b", "y", 0.1))
    ]
    table = effectiveness_table(results, "nDCG@10", baseline="a", means_first=True)
    assert [c.label for c in table.columns] == ["nDCG@10", "mean", "x", "y"]
    assert [row.kind for row in table.rows] == ["baseline", ""]
    best = [[cell.text for cell in row.cells if cell.best] for row in table.rows]
    assert best == [["0.3000", "0.4000"], ["0.4000"]]


def test_published_rows_have_means_where_all_of_it_was_published():
    results = [_result("a", d, 0.5) for d in ("x", "y")]
    whole = Published("theirs", "a paper", "nDCG@10", {"x": 0.2, "y": 0.4})
    part = Published("others", "a paper", "nDCG@10", {"x": 0.9})
    _, rows = _texts(effectiveness_table(results, "nDCG@10", published=[whole, part]))
    assert rows[1:] == [["theirs", "0.200", "0.400", "0.300"], ["others", "0.900", "-", "-"]]
