from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace as Invented
from typing import Any

import numpy as np
import pytest

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.eval import Settings, evaluate, load_dataset, records
from splade_engine.eval.measures.recall import recall
from splade_engine.eval.report.written import printed
from splade_engine.eval.run.results import Result
from splade_engine.eval.run.workbench import Workbench
from splade_engine.eval.systems.sparse_collection import sparse_collection


def test_sparse_end_to_end(collection: Path, invented: Invented):
    result = evaluate("sparse", collection, settings=Settings(encoder=invented.WordEncoder()))
    assert (result.dataset, result.split, result.mode) == ("invented", "test", "exact (chosen by the index)")
    assert (result.n_documents, result.n_queries, result.n_judged) == (8, 6, 5)
    assert result.n_without_hits == 1
    assert result.recall_vs_exact == 1.0
    assert result.effectiveness.mean["nDCG@10"] > 0.6
    assert result.effectiveness.per_query["nDCG@10"]["q5"] == 0.0
    assert result.sparsity is not None
    assert result.sparsity.terms_per_document == pytest.approx(11.4, abs=2)
    assert sum(result.sparsity.document_histogram.values()) == 8
    assert result.cost.latency is not None
    assert result.cost.latency.p50 <= result.cost.latency.p95 <= result.cost.latency.p99
    assert result.cost.index_bytes is not None
    assert result.cost.encode_seconds is not None
    assert not result.cost.encode_cached
    assert result.run is not None
    assert list(result.run) == ["q1", "q2", "q3", "q4", "q5", "q6"]


def test_progress_tells_of_documents_and_of_every_query(collection: Path, invented: Invented):
    calls: list[tuple[int, int | None]] = []
    told = Settings(encoder=invented.WordEncoder(), progress=lambda *numbers: calls.append(numbers))
    evaluate("sparse", collection, ["RR@10"], settings=told)
    assert calls[:2] == [(0, 8), (8, 8)]  # one shard of documents
    assert calls[-7:] == [(done, 6) for done in range(7)]
    for system in ("bm25", lambda query, k: []):
        calls.clear()
        evaluate(system, collection, ["RR@10"], settings=told)
        assert calls == [(done, 6) for done in range(7)]


def test_grades_that_a_measure_cannot_take_are_told_before_the_search(invented: Invented, tmp_path: Path):
    """They were told after every query was searched, hours later."""
    folder = invented.write(tmp_path / "c")
    (folder / "qrels" / "test.tsv").write_text("q1\ttea\t5\n")

    def searched(query: str, k: int) -> list[tuple[str, float]]:
        raise AssertionError(f"searched {query}")

    with pytest.raises(InvalidInputError, match="grades of at most 4; query 'q1', document 'tea' has 5"):
        evaluate(searched, folder, ["nDCG@10", "ERR@10"])


def test_flops_by_hand():
    """Term 0: all documents, half of the queries; term 1: half of the documents, all queries."""
    from splade_engine.eval.measures.sparsity import TermCounts, sparsity
    from splade_engine.vectors import SparseVectors

    documents = SparseVectors.from_dicts([{0: 1.0, 1: 1.0}, {0: 2.0}], 3)
    queries = SparseVectors.from_dicts([{0: 1.0, 1: 1.0}, {1: 1.0}], 3)
    found = sparsity(TermCounts.of([documents], 3), TermCounts.of([queries], 3))
    assert found.flops == pytest.approx(1.0 * 0.5 + 0.5 * 1.0)
    assert (found.terms_per_document, found.terms_per_query) == (1.5, 1.5)
    assert found.document_histogram == {1: 1, 2: 1}


def test_a_function_is_a_system(collection: Path):
    def always(text: str, k: int) -> list[tuple[str, float]]:
        return [("tea", 1.0), ("owl", 1.0)][:k]

    result = evaluate(always, collection, ["RR@10"])
    assert result.system == "always"
    assert result.effectiveness.per_query["RR@10"] == {"q1": 1.0, "q2": 0.0, "q3": 0.5, "q4": 0.0, "q5": 0.5}


def test_an_object_with_search_is_a_system(collection: Path):
    class Engine:
        def search(self, text: str, k: int = 10) -> list[Invented]:
            return [Invented(id="tea", score=1.0)]

    assert evaluate(Engine(), collection, ["RR@10"], name="mine").system == "mine"
    with pytest.raises(InvalidInputError, match="a system is"):
        evaluate(7, collection)


@pytest.mark.parametrize(
    ("hits", "message"),
    [
        ([("tea", 1.0), ("tea", 0.5)], "query 'q1': document 'tea' is returned twice"),
        ([("tea", float("nan"))], "query 'q1': a score is not finite"),
        ([("tea", 10**400)], "query 'q1': a score is not finite"),
        (["d1", "d2"], "query 'q1': pairs of a document id and a score are expected, got 'd1'"),
        ({"d1": 0.5}, r"got {'d1': 0.5}; give list\(hits.items\(\)\), best first"),
        ([("tea", "0.5")], r"got \('tea', '0.5'\)"),
    ],
)
def test_bad_hits_are_named(collection: Path, hits: list[tuple[str, float]], message: str):
    with pytest.raises(InvalidInputError, match=message):
        evaluate(lambda text, k: hits, collection, name="bad")


def test_hits_that_do_not_fall_are_told(collection: Path, caplog: Any):
    """Of an unsorted list the order counted, without a word of its scores."""
    given = {"q1": [("owl", 0.1), ("tea", 0.9)], "q2": [("tea", 0.5), ("owl", 0.5)]}
    texts = {text: query for query, text in load_dataset(collection).queries.items()}
    evaluate(lambda text, k: given.get(texts[text], []), collection, ["RR@10"], name="mine")
    assert "mine: hits of 1 of 6 queries (the first is 'q1') do not stand in the order of" in caplog.text
    caplog.clear()
    given["q1"].reverse()
    evaluate(lambda text, k: given.get(texts[text], []), collection, ["RR@10"], name="mine")
    assert "do not stand in" not in caplog.text


def test_ids_of_another_collection_are_told(collection: Path, caplog: Any):
    """A function that gives numbers of rows in place of ids measured 0.0000."""
    evaluate(lambda text, k: [(7, 1.0)], collection, ["RR@10"], name="mine")
    assert "mine: none of its hits is judged in invented; are their ids those of it?" in caplog.text


def test_the_querys_own_id_is_dropped_and_replaced(invented: Invented, tmp_path: Path):
    """With k = 1 the query's own document is found first; the second best takes its place."""
    documents = {"a": ("", "old tower clock"), "b": ("", "clock tower"), "c": ("", "owl")}
    folder = invented.write(tmp_path / "x", documents, {"a": "old tower clock"}, {"test": {"a": {"b": 1}}})
    data = load_dataset(folder, drop_own_id=True)
    settings = Settings(encoder=invented.WordEncoder())
    for system in ("sparse-exact", "bm25", "rrf(bm25, sparse-exact)"):
        result = evaluate(system, data, ["RR@1"], k=1, settings=settings)
        assert result.run is not None
        assert result.run["a"].ids == ("b",), system
        assert result.effectiveness.mean["RR@1"] == 1.0
    kept = load_dataset(folder, drop_own_id=False)
    result = evaluate("sparse-exact", kept, ["RR@1"], k=1, settings=settings)
    assert result.effectiveness.mean["RR@1"] == 0.0


def test_k_must_reach_the_measures(collection: Path):
    with pytest.raises(InvalidInputError, match="k = 5 is less than nDCG@10 looks at"):
        evaluate("bm25", collection, ["RR@1", "nDCG@10"], k=5)
    with pytest.raises(InvalidInputError, match="k: a whole number from 1 to 1000000"):
        evaluate("bm25", collection, k=0)
    assert evaluate("bm25", collection, ["R@1000"]).k == 1000


def test_judgments_of_another_corpus_are_refused(collection: Path):
    (collection / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tx\t1\n")
    with pytest.raises(DatasetError, match=r"test\.tsv:2: document 'x' is not in the corpus"):
        evaluate("bm25", collection)


def test_encodings_are_cached_by_encoder_and_corpus(collection: Path, invented: Invented, tmp_path: Path):
    first = invented.WordEncoder()
    cache = tmp_path / "cache"
    result = evaluate("sparse", collection, settings=Settings(encoder=first, cache=cache))
    assert first.encoded == 9  # the documents, and one text that loads the weights
    again = invented.WordEncoder()
    cached = evaluate("sparse", collection, settings=Settings(encoder=again, cache=cache))
    assert again.encoded == 0
    assert cached.cost.encode_cached
    assert cached.cost.encode_seconds == result.cost.encode_seconds
    other = invented.WordEncoder("words2", 2.0)
    evaluate("sparse", collection, settings=Settings(encoder=other, cache=cache))
    assert other.encoded == 9
    with (collection / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "new", "text": "a new one"}\n')
    changed = invented.WordEncoder()
    evaluate("sparse", collection, settings=Settings(encoder=changed, cache=cache))
    assert changed.encoded == 10


def test_distractors_are_encoded_once_for_all_collections(invented: Invented, tmp_path: Path):
    from splade_engine.eval import with_distractors

    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps({"id": f"{i}", "text": f"word{i}"}) + "\n" for i in range(20)))
    encoder = invented.WordEncoder()
    settings = Settings(encoder=encoder, cache=tmp_path / "cache")
    for name, documents in (("a", invented.documents), ("b", dict(list(invented.documents.items())[::-1]))):
        data = with_distractors(load_dataset(invented.write(tmp_path / name, documents)), more)
        assert evaluate("sparse", data, settings=settings).n_documents == 28
    assert encoder.encoded == (8 + 1) + (20 + 1) + (8 + 1)


def test_results_survive_json(collection: Path, invented: Invented):
    settings = Settings(encoder=invented.WordEncoder())
    with Workbench(load_dataset(collection), settings) as bench:
        for system in ("sparse", "bm25", "rrf(bm25, sparse)"):
            result = evaluate(system, "", workbench=bench)
            assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    with pytest.raises(DatasetError, match="not a result of this version"):
        Result.from_dict({"cost": {}})


def test_records_are_flat(collection: Path, invented: Invented):
    """What pandas.DataFrame takes: one dict per result, the same keys, plain values."""
    settings = Settings(encoder=invented.WordEncoder())
    rows = records([evaluate(system, collection, settings=settings) for system in ("bm25", "sparse")])
    assert rows[0].keys() == rows[1].keys() >= {"nDCG@10", "p99_ms", "index_bytes", "n_without_hits"}
    assert all(isinstance(v, str | int | float | None) for row in rows for v in row.values())
    assert [row["system"] for row in rows] == ["bm25", "sparse"]
    assert rows[0]["flops"] is None


def test_two_functions_of_one_name_stay_two(collection: Path):
    with Workbench(load_dataset(collection)) as bench:
        results = [
            evaluate(lambda text, k, d=doc: [(d, 1.0)], "", ["RR@1"], workbench=bench)
            for doc in ("tea", "owl")
        ]
    assert [r.effectiveness.per_query["RR@1"]["q1"] for r in results] == [1.0, 0.0]


def test_approximate_search_is_measured_against_exact(
    collection: Path, invented: Invented, monkeypatch: pytest.MonkeyPatch
):
    """No index is small here, so that the approximate search is used."""
    monkeypatch.setattr("splade_engine.index.search.EXACT_UP_TO", 0)
    with Workbench(load_dataset(collection), Settings(encoder=invented.WordEncoder())) as bench:
        tuned = evaluate("sparse(accuracy=0.9)", "", workbench=bench)
        plain = evaluate("sparse", "", workbench=bench)
        exact = evaluate("sparse-exact", "", workbench=bench)
        # tuning did not reach the index that the others search
        assert sparse_collection(bench).index.info().tuned == ()
    assert tuned.mode in ("approximate (accuracy 0.9 at k = 100)", "exact (chosen by the index)")
    assert tuned.notes == ("tuned to recall 0.9 at k = 100 on queries made from documents (no dev split)",)
    assert exact.recall_vs_exact is None
    assert exact.recall_curve == ()
    for result in (tuned, plain):
        assert result.recall_vs_exact == 1.0  # eight documents: everything is scored
        assert result.recall_at_k == 1.0
        assert result.recall_curve[-1].recall == 1.0


def test_recall_by_hand():
    exact = [np.array([1, 2, 3, 4]), np.array([5, 6]), np.array([], dtype=np.int64)]
    found = [np.array([2, 1, 9, 3]), np.array([5]), np.array([7])]
    assert recall(exact, found, 2) == pytest.approx((1.0 + 0.5) / 2)
    assert recall(exact, found, 4) == pytest.approx((0.75 + 0.5) / 2)
    assert recall([], [], 10) == 1.0


def test_own_ids_that_are_dropped_are_counted(invented: Invented, tmp_path: Path, caplog):
    documents = {"a": ("", "old tower clock"), "b": ("", "clock tower"), "c": ("", "owl"), "d": ("", "tower")}
    queries = {"a": "old tower clock", "c": "owl", "x": "tower"}
    folder = invented.write(tmp_path / "x", documents, queries, {"test": {"a": {"b": 1}, "x": {"d": 1}}})
    data = load_dataset(folder, drop_own_id=True)
    settings = Settings(encoder=invented.WordEncoder())
    for system in ("sparse-exact", "bm25", "rrf(bm25, sparse-exact)", "rocchio(sparse-exact)"):
        result = evaluate(system, data, ["RR@1"], k=2, settings=settings)
        assert result.n_own_ids_dropped == 2, system
        assert "own ids dropped" in printed([result])
        assert result.run is not None
        assert all(query not in result.run[query].ids for query in result.run)
    kept = evaluate("bm25", load_dataset(folder), ["RR@1"], settings=settings)
    assert kept.n_own_ids_dropped == 0
    assert "own ids dropped" not in printed([kept])
    assert "bm25 finds the query's own document first for 2 of 3 queries, and nobody judged it" in caplog.text


def test_dropping_what_is_relevant_is_said(invented: Invented, tmp_path: Path, caplog):
    """Queries that share ids with documents by chance: the table and the log tell."""
    documents = {"1": ("", "green tea"), "2": ("", "coffee")}
    qrels = {"test": {"1": {"1": 1}, "2": {"2": 1}}}
    folder = invented.write(tmp_path / "quora-answers", documents, {"1": "tea", "2": "coffee"}, qrels)
    assert evaluate("bm25", folder, ["RR@1"]).effectiveness.mean["RR@1"] == 1.0
    dropped = evaluate("bm25", load_dataset(folder, drop_own_id=True), ["RR@1"])
    assert dropped.effectiveness.mean["RR@1"] == 0.0
    assert dropped.n_own_ids_dropped == 2
    assert (
        "2 of the 2 hits that were dropped for having the query's own id are judged relevant" in caplog.text
    )


@pytest.mark.parametrize(
    "setting", [{"threads": 0}, {"threads": -1}, {"max_length": 0}, {"seed": -1}, {"seed": 1.5}]
)
def test_settings_that_cannot_be_meant_are_refused(setting: dict[str, Any]):
    (name,) = setting
    with pytest.raises(InvalidInputError, match=f"{name} must be a whole number of at least"):
        Settings(**setting)
