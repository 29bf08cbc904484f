"""Sources of training data: every layout, every bad row with its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from splade_engine.collections.loading import load_dataset
from splade_engine.errors import DatasetError
from splade_engine.training.data.examples import Example, row_from_record
from splade_engine.training.data.ir_source import IrDatasetsSource
from splade_engine.training.data.sources import BeirSource, open_source
from splade_engine.training.recipe.sections import SourceConfig
from tests.training.made import write_jsonl

RNG = np.random.default_rng(0)


def source(tmp_path, rows=None, **config):
    if rows is not None:
        config["path"] = str(write_jsonl(tmp_path / "rows.jsonl", rows))
    return open_source(SourceConfig(**config), tmp_path / "cache")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"query": "q", "positive": "p"}, Example("q", ("p",))),
        ({"anchor": "q", "positive": "p", "negative": "n"}, Example("q", ("p",), ("n",))),
        ({"query": "q", "document": {"title": "T", "text": "p"}}, Example("q", ("T p",))),
        ({"query": "q", "positives": ["p", "r"], "negatives": ["n"]}, Example("q", ("p", "r"), ("n",))),
        (
            {"query": "q", "positive": "p", "negative_1": "n", "negative_2": "m"},
            Example("q", ("p",), ("n", "m")),
        ),
        # columns of a table, in which rows have as many negatives as they have
        (
            {"query": "q", "positive": "p", "negative_1": "n", "negative_2": None, "negative_10": "m"},
            Example("q", ("p",), ("n", "m")),
        ),
        ({"query": "q", "positive": "p", "negative": None}, Example("q", ("p",))),
        (
            {"query": "q", "positive": "p", "negatives": ["n"], "scores": [3, 1]},
            Example("q", ("p",), ("n",), (3.0, 1.0)),
        ),
        (
            {"query": "q", "positive": "p", "negative": "n", "label": 2.5},
            Example("q", ("p",), ("n",), (2.5, 0.0)),
        ),
        (
            {"query": "q", "documents": ["a", "b", "c"], "scores": [1, 5, 3]},
            Example("q", ("b",), ("c", "a"), (5.0, 3.0, 1.0)),
        ),
        ({"query": "q", "document": "p", "label": 1}, Example("q", ("p",), (), (1.0,))),
        # sentence-transformers: a margin for each negative, or a score for each document
        (
            {"query": "q", "positive": "p", "negative_1": "n", "negative_2": "m", "label": [2.5, -1]},
            Example("q", ("p",), ("n", "m"), (0.0, -2.5, 1.0)),
        ),
        (
            {"query": "q", "positive": "p", "negative_1": "n", "negative_2": "m", "label": [9, 2.5, -1]},
            Example("q", ("p",), ("n", "m"), (9.0, 2.5, -1.0)),
        ),
        ({"query": "q", "pos": ["a b", "c"], "neg": ["d"]}, Example("q", ("a b", "c"), ("d",))),
        (
            {"query": "q", "pos": ["a"], "neg": ["c", "d"], "pos_scores": [3], "neg_scores": [1, -2]},
            Example("q", ("a",), ("c", "d"), (3.0, 1.0, -2.0)),
        ),
        (  # Tevatron
            {
                "query_id": "7",
                "query": "q",
                "positive_passages": [{"docid": "1", "title": "T", "text": "a"}],
                "negative_passages": [{"docid": "2", "title": "", "text": "b"}, {"docid": "3", "text": "c"}],
            },
            Example("q", ("T a",), ("b", "c")),
        ),
        (  # DPR, whose trainer takes ordinary negatives where there are no hard ones
            {
                "dataset": "nq",
                "question": "q",
                "answers": ["x"],
                "positive_ctxs": [{"title": "T", "text": "a", "score": 1000, "passage_id": "1"}],
                "negative_ctxs": [{"title": "", "text": "b", "score": 0}],
                "hard_negative_ctxs": [{"title": "", "text": "c", "score": 9.1}],
            },
            Example("q", ("T a",), ("c",)),
        ),
        (
            {
                "question": "q",
                "positive_ctxs": [{"text": "a"}],
                "negative_ctxs": [{"text": "b"}],
                "hard_negative_ctxs": [],
            },
            Example("q", ("a",), ("b",)),
        ),
        ({"question": "q", "positive_ctxs": [], "negative_ctxs": [{"text": "b"}]}, None),
        # a text that was called otherwise was lost, and the title trained alone
        ({"query": "q", "positive": {"title": "T", "contents": "p"}}, Example("q", ("T p",))),
        ({"query": "q", "positive": {"docid": 1, "title": "T", "body": "p"}}, Example("q", ("T p",))),
    ],
)
def test_layouts(row, expected):
    assert row_from_record(row, "f:1").example == expected


def test_ids_are_looked_up_in_every_layout(tmp_path):
    corpus = write_jsonl(
        tmp_path / "corpus.jsonl", [{"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "text": "two"}]
    )
    queries = write_jsonl(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "what"}])
    rows = [
        {"query_id": "q1", "positive_id": "d1", "negative_ids": ["d2"]},
        {"qid": "q1", "pos": ["d1"], "neg": {"bm25": ["d2"], "dense": ["d2"]}},  # MS MARCO hard negatives
        ["q1", "d1", "d2"],  # ColBERT
    ]
    got = source(tmp_path, rows, corpus=str(corpus), queries=str(queries))
    for i in range(3):
        assert got.example(i, RNG) == Example("what", ("T one",), ("two",))
    assert list(got.documents()) == ["T one", "two"]
    scored = source(tmp_path, [["q1", ["d1", 9.5], ["d2", -1]]], corpus=str(corpus), queries=str(queries))
    assert scored.example(0, RNG) == Example("what", ("T one",), ("two",), (9.5, -1.0))


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_of_rows_is_read_as_rows(tmp_path, indent):
    """DPR's files are arrays, over many lines."""
    rows = [{"question": f"q{i}", "positive_ctxs": [{"title": "", "text": f"p{i}"}]} for i in range(3)]
    path = tmp_path / "nq-train.json"
    path.write_text(json.dumps(rows, indent=indent))
    got = source(tmp_path, path=str(path))
    assert [got.example(i, RNG) for i in range(3)] == [Example(f"q{i}", (f"p{i}",)) for i in range(3)]
    packed = tmp_path / "nq.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert source(tmp_path, path=str(packed)).digests() == {str(packed): got.lines.digest}
    path.write_text(json.dumps([*rows, {"question": 3, "positive_ctxs": []}], indent=indent))
    with pytest.raises(DatasetError, match=r"nq-train.json:4: question must be a text, got int"):
        source(tmp_path, path=str(path)).example(3, RNG)
    path.write_text(json.dumps(rows, indent=indent)[:-5])
    with pytest.raises(DatasetError, match=r"nq-train.json:"):
        source(tmp_path, path=str(path))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["q1", "d1", "d2"]], "rows.jsonl:1: query_id 'q1' is an id, but no queries file was given"),
        ([["q1", ["d1", 3], "d2"]], "rows.jsonl:1: an array of ids has a score beside some documents, not"),
    ],
)
def test_arrays_of_ids_that_cannot_be_read(tmp_path, rows, message):
    with pytest.raises(DatasetError, match=message):
        source(tmp_path, rows)


def test_pickles_are_never_loaded(tmp_path):
    """sentence-transformers publishes scores of MS MARCO as scores.pkl.gz."""
    path = tmp_path / "scores.pkl.gz"
    for protocol in range(2, 6):
        path.write_bytes(gzip.compress(bytes((0x80, protocol)) + b"}q\x00K\x01}q\x01K\x02G?\xe0ss."))
        with pytest.raises(DatasetError, match=r"scores.pkl.gz:1: .* it is a pickle, which can run code: lo"):
            source(tmp_path, path=str(path))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"rows.jsonl: the file is empty"),
        (["{"], r"rows.jsonl:1: not JSON"),
        (["[1]"], r"rows.jsonl:1: expected a JSON object, got list"),
        (
            ["query,positive", "what,this"],  # a table
            r'rows.jsonl:1: not JSON .*; a row of training data is an object such as {"query": "...", "pos',
        ),
        ([{"positive": "p"}], r"rows.jsonl:1: the field query is missing"),
        ([{"query": "q"}], r"rows.jsonl:1: the field positive is missing"),
        ([{"query": "q", "positive": " "}], r"rows.jsonl:1: positive is empty"),
        (
            [{"query": "q", "positive": {"title": "T", "abstract": "p"}}],
            r"rows.jsonl:1: positive is an object without a text \(fields: 'title', 'abstract'\)",
        ),
        (
            [{"query": "q", "positive": {"body": "p", "contents": "r"}}],
            r"rows.jsonl:1: positive: the field text is missing, and it could be contents or body",
        ),
        (
            [{"query": "q", "positive": "p", "negatives": [{"text": ["a", "b"]}]}],
            r"rows.jsonl:1: negatives: title and text must be texts, got \['a', 'b'\]",
        ),
        ([{"query": "q", "positive": 3}], r"rows.jsonl:1: positive must be a text, got int"),
        (
            [{"query": "q", "positive": "p", "negative": "n", "score": "high"}],
            r"rows.jsonl:1: score 'high' is not a number",
        ),
        (
            [{"query": "q", "positive": "p", "negative_1": "n", "negative_2": None, "scores": [3, 2, 1]}],
            r"rows.jsonl:1: 3 scores for 2 documents",
        ),
        ([{"query": "q", "positive": "p", "label": "high"}], r"rows.jsonl:1: label 'high' is not a number"),
        (
            [{"query": "q", "positive": "p", "score": float("nan")}],
            r"rows.jsonl:1: score nan is not a number",
        ),
        # a whole number that no float holds, and one that becomes infinity in a batch
        *(
            (
                [{"query": "q", "positive": "p", "negative": "n", "scores": [1, score]}],
                r"rows.jsonl:1: scores .* is not a number of at most 3.4e38",
            )
            for score in (10**400, -1e39)
        ),
        ([{"query": "q", "positive": "p", "scores": [1, 2]}], r"rows.jsonl:1: 2 scores for 1 documents"),
        ([{"query": "q", "documents": ["a"]}], r"rows.jsonl:1: a list of documents needs scores"),
        ([{"query_id": "q", "positive": "p"}], r"rows.jsonl:1: query_id 'q' is an id, but no queries file"),
        ([{"query": "q", "pos": [0], "neg": {"bm25": [1]}}], r"rows.jsonl:1: pos 0 is an id, but no corpus"),
        ([{"query": "q", "positive_ids": [{"id": "a"}]}], r"rows.jsonl:1: positive_ids must be an id, got d"),
        (
            [{"query": "q", "pos": ["a"], "neg": ["b"], "pos_scores": [1]}],
            r"rows.jsonl:1: neg_scores is missing beside the scores of the other side",
        ),
        (
            [{"query": "q", "pos": ["a"], "neg": ["b"], "pos_scores": [1], "neg_scores": [1, 2]}],
            r"rows.jsonl:1: 2 neg_scores for 1 documents",
        ),
        (
            [{"query": "q", "positive": "p", "negatives": ["n", "m"], "scores": [1, 2]}],
            r"rows.jsonl:1: 2 scores for 3 documents",
        ),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path, rows, message):
    with pytest.raises(DatasetError, match=message):
        source(tmp_path, rows)


def test_a_bad_row_far_down_is_named_by_its_line(tmp_path):
    good = {"query": "q", "positive": "p"}
    got = source(tmp_path, [good, "", good, {"query": "q", "positive": "p", "label": None}])
    with pytest.raises(DatasetError, match=r"rows.jsonl:4: label None is not a number"):
        got.example(2, RNG)


def test_texts_that_could_be_ids_are_told(tmp_path, caplog):
    row = {"query": "what", "pos": ["d1"], "neg": ["d2"]}
    with caplog.at_level("INFO", logger="splade_engine"):
        assert source(tmp_path, [row]).example(0, RNG) == Example("what", ("d1",), ("d2",))
    assert "rows.jsonl: pos and neg: read as texts, since no corpus is given in which they wou" in caplog.text
    caplog.clear()
    texts = [{"_id": "d1", "text": "one"}, {"_id": "d2", "text": "two"}]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", texts)
    assert source(tmp_path, [row], corpus=str(corpus)).example(0, RNG) == Example("what", ("one",), ("two",))
    assert "texts" not in caplog.text


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"positive": "a", "negative": "a"}, Example("q", ("a",))),
        (
            {"positive": "a", "negatives": ["b", "a", "c"], "scores": [9, 1, 2, 3]},
            Example("q", ("a",), ("b", "c"), (9.0, 1.0, 3.0)),
        ),
        ({"positives": ["a", "b"], "negatives": ["c", "b"]}, Example("q", ("a", "b"), ("c",))),
        ({"documents": ["a", "b", "a"], "scores": [3, 1, 2]}, Example("q", ("a",), ("b",), (3.0, 1.0))),
        ({"documents": ["a", "a"], "labels": [1, 0]}, Example("q", ("a",), (), (1.0,))),
    ],
)
def test_no_text_answers_and_does_not(tmp_path, caplog, row, expected):
    """It was trained against itself, with whatever a teacher had said of the copy."""
    good = {"query": "q", "positive": "a", "negative": "b"}
    got = source(tmp_path, [good, {"query": "q"} | row, {"query": "q"} | row])
    assert not caplog.text
    assert [got.example(i, RNG) for i in (1, 2)] == [expected, expected]
    assert caplog.text.count("rows.jsonl:2: a text is positive and negative at once") == 1
    assert "rows.jsonl:3" not in caplog.text


def test_missing_ids_are_named(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"_id": "d1", "text": "one"}])
    with pytest.raises(DatasetError, match=r"rows.jsonl:1: document 'd9' is not in .*corpus.jsonl"):
        source(tmp_path, [{"query": "q", "positive_id": "d9"}], corpus=str(corpus))
    with pytest.raises(DatasetError, match=r"nowhere: no such file or folder, and not an ir_datasets id"):
        source(tmp_path, path="nowhere")


def beir(folder: Path, qrels: str, compressed=False) -> Path:
    (folder / "qrels").mkdir(parents=True)
    write_jsonl(
        folder / "corpus.jsonl", [{"_id": f"d{i}", "title": "", "text": f"text {i}"} for i in range(5)]
    )
    write_jsonl(folder / "queries.jsonl", [{"_id": f"q{i}", "text": f"query {i}"} for i in range(3)])
    if compressed:
        (folder / "qrels" / "train.tsv.gz").write_bytes(gzip.compress(qrels.encode()))
        (folder / "corpus.jsonl.gz").write_bytes(gzip.compress((folder / "corpus.jsonl").read_bytes()))
        (folder / "corpus.jsonl").unlink()
    else:
        (folder / "qrels" / "train.tsv").write_text(qrels)
    return folder


HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize("compressed", [False, True])
def test_beir_folder(tmp_path, compressed):
    folder = beir(tmp_path / "set", HEADER + "q0\td1\t1\nq0\td2\t0\nq2\td4\t2\n", compressed)
    got = source(tmp_path, path=str(folder))
    assert [got.example(i, RNG) for i in range(len(got))] == [
        Example("query 0", ("text 1",)),
        Example("query 2", ("text 4",)),
    ]
    assert list(got.documents()) == [f"text {i}" for i in range(5)]


def test_beir_folder_with_mined_negatives(tmp_path):
    folder = beir(tmp_path / "set", HEADER + "q0\td1\t1\nq0\td3\t1\n")
    rows = [{"query_id": "q0", "positive_id": "d1", "negative_ids": ["d2", "d4"], "scores": [9, 2, 1]}]
    mined = write_jsonl(tmp_path / "mined.jsonl", rows)
    got = source(tmp_path, path=str(folder), negatives=str(mined))
    assert got.example(0, RNG) == Example("query 0", ("text 1",), ("text 2", "text 4"), (9.0, 2.0, 1.0))
    assert got.example(1, RNG) == Example(
        "query 0", ("text 3",), ("text 2", "text 4")
    )  # scores of another positive
    (folder / "qrels" / "train.tsv").write_text(HEADER + "q0\td1\t1\nq0\td2\t1\n")  # judged since
    got = source(tmp_path, path=str(folder), negatives=str(mined))
    assert got.example(0, RNG) == Example("query 0", ("text 1",), ("text 4",), (9.0, 1.0))


def test_scores_are_one_for_each_document(tmp_path):
    folder = beir(tmp_path / "set", HEADER + "q0\td1\t1\n")
    row = {"query_id": "q0", "positive_id": "d1", "negative_ids": ["d2", "d3"], "scores": [9, 2]}
    mined = write_jsonl(tmp_path / "mined.jsonl", [row])
    with pytest.raises(DatasetError, match=r"mined.jsonl:1: 2 scores for a positive and 2 negatives"):
        source(tmp_path, path=str(folder), negatives=str(mined))


def test_mined_negatives_of_other_queries_are_refused(tmp_path):
    folder = beir(tmp_path / "set", HEADER + "q0\td1\t1\n")
    mined = write_jsonl(tmp_path / "mined.jsonl", [{"query_id": 0, "negative_ids": ["d2"]}])
    with pytest.raises(DatasetError, match=r"mined.jsonl: has negatives of no query that .*train.tsv judges"):
        source(tmp_path, path=str(folder), negatives=str(mined))


def test_a_positive_without_text_is_no_pair(tmp_path):
    folder = beir(tmp_path / "set", HEADER + "q0\td1\t1\nq0\tempty\t1\n")
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "empty", "title": "", "text": " "}\n')
    got = source(tmp_path, path=str(folder))
    assert [got.example(i, RNG) for i in range(len(got))] == [Example("query 0", ("text 1",)), None]


@pytest.mark.parametrize("scores", [3, ["9", "2"], [1, float("nan")], [True, 1], [1, 10**400], [1e39, 1]])
def test_mined_scores_are_numbers(tmp_path, scores):
    folder = beir(tmp_path / "set", HEADER + "q0\td1\t1\n")
    row = {"query_id": "q0", "positive_id": "d1", "negative_ids": ["d2"]}
    mined = write_jsonl(tmp_path / "mined.jsonl", [row, {**row, "scores": scores}])
    with pytest.raises(DatasetError, match=r"mined.jsonl:2: scores is not a list of numbers"):
        source(tmp_path, path=str(folder), negatives=str(mined))


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ("q9\td1\t1\n", r"train.tsv:2: query 'q9' is not in .*queries.jsonl"),
        ("q0\td9\t1\n", r"train.tsv:2: document 'd9' is not in .*corpus.jsonl"),
        ("q0\td1\tgood\n", r"train.tsv:2: grade 'good' is not an integer"),
        ("q0 d1\n", r"train.tsv:2: a judgment has 3 columns \(query-id, corpus-id, score\)"),
        ("q0\td1\t0\n", r"train.tsv: no pair with a score above 0"),
        ("q0\td1\t1\nq0\td1\t0\n", r"train.tsv:3: query 'q0', document 'd1' is judged 0 here and 1 above"),
    ],
)
def test_bad_qrels(tmp_path, qrels, message):
    folder = beir(tmp_path / "set", HEADER + qrels)
    with pytest.raises(DatasetError, match=message):
        source(tmp_path, path=str(folder))


@pytest.mark.parametrize(
    "qrels",
    [
        HEADER + "q0\td1\t1\n",
        "q0 0 d1 1\n",
        "qid\tdocid\trel\nq0\td1\t1\n",
        "score\tcorpus-id\tquery-id\n1\td1\tq0\n",
        "query-id corpus-id score\nq0 d1 1\n",
        HEADER + "q0\td1\t1\nq0\td99\t1\n",
        HEADER + "q0\td1\t1\nq0\td1\t1\n",
    ],
)
def test_judgments_are_read_as_evaluation_reads_them(tmp_path, qrels):
    folder = beir(tmp_path / "set", qrels)
    source = BeirSource(folder, tmp_path / "cache")
    assert [source.pair_ids(i) for i in range(len(source))] == [("q0", "d1")]


def test_a_query_is_the_text_that_evaluations_search_for(tmp_path):
    """A title of a query stood before its text in training alone."""
    folder = beir(tmp_path / "set", HEADER + "q0\td1\t1\n")
    rows = [{"_id": "q0", "title": "Topic 7", "text": "query 0"}]
    write_jsonl(folder / "queries.jsonl", rows)
    assert dict(load_dataset(folder, "train").queries) == {"q0": "query 0"}
    assert source(tmp_path, path=str(folder)).example(0, RNG).query == "query 0"
    files = {name: str(folder / f"{name}.jsonl") for name in ("corpus", "queries")}
    by_id = source(tmp_path, [{"query_id": "q0", "positive_id": "d1"}], **files)
    assert by_id.example(0, RNG).query == "query 0"


def test_beir_folder_without_training_judgments(tmp_path):
    folder = beir(tmp_path / "set", HEADER)
    (folder / "qrels" / "train.tsv").rename(folder / "qrels" / "test.tsv")
    with pytest.raises(DatasetError, match=r"train.tsv: no such file; splits: test"):
        source(tmp_path, path=str(folder))


TWICE = [("a", 1), ("a", 1), ("b", 1), ("b", 0), ("c", 0), ("c", 2)]


def test_ir_datasets_triples_and_scored_documents(tmp_path, monkeypatch, caplog):
    import ir_datasets
    from ir_datasets.formats import GenericDoc, GenericDocPair, GenericQuery, GenericScoredDoc, TrecQrel

    word = "text"

    class Store:
        def get(self, doc_id):
            return GenericDoc(doc_id, "" if doc_id == "empty" else f"{word} {doc_id}")

    class Made:
        def __init__(self, pairs=(), qrels=(), scored=()):
            self.pairs, self.qrels, self.scored = pairs, qrels, scored
            self.has_docpairs, self.has_qrels, self.has_scoreddocs = (
                lambda x=x: bool(x) for x in (pairs, qrels, scored)
            )

        def queries_iter(self):
            return iter([GenericQuery("q1", "query 1")])

        def docs_store(self):
            return Store()

        def docpairs_iter(self):
            return iter(self.pairs)

        def qrels_iter(self):
            return iter(self.qrels)

        def scoreddocs_iter(self):
            return iter(self.scored)

    scored = [GenericScoredDoc("q1", d, s) for d, s in (("a", 9.0), ("b", 3.0), ("c", 5.0))]
    made = {
        "made/triples": Made(pairs=[GenericDocPair("q1", "a", "b")]),
        "made/judged": Made(qrels=[TrecQrel("q1", "a", 1, "0"), TrecQrel("q1", "z", 0, "0")], scored=scored),
        "made/nothing": Made(),
        "made/twice": Made(qrels=[TrecQrel("q1", d, g, "0") for d, g in TWICE]),
        "made/empty": Made(pairs=[GenericDocPair("q1", *two) for two in (("empty", "a"), ("a", "empty"))]),
        "made/half": Made(qrels=[TrecQrel("q1", "a", 0.5, "0")]),
    }
    monkeypatch.setattr(ir_datasets, "load", made.__getitem__)
    triples = IrDatasetsSource("made/triples", tmp_path)
    assert triples.example(0, RNG) == Example("query 1", ("text a",), ("text b",))
    judged = IrDatasetsSource("made/judged", tmp_path)  # best scored first, the judged one left out
    assert judged.example(0, RNG) == Example("query 1", ("text a",), ("text c", "text b"))
    twice = IrDatasetsSource("made/twice", tmp_path)
    assert [twice.example(i, RNG).positives for i in range(len(twice))] == [("text a",), ("text c",)]
    told = "made/twice: judgments that contradict an earlier one: 2, and the last counts (the first: "
    assert f"{told}query 'q1', document 'b' 1 and 0)" in caplog.text
    empty = IrDatasetsSource("made/empty", tmp_path)
    assert [empty.example(i, RNG) for i in range(2)] == [None, Example("query 1", ("text a",))]
    with pytest.raises(
        DatasetError, match=r"made/half: query 'q1', document 'a': grade 0.5 is not an integer"
    ):
        IrDatasetsSource("made/half", tmp_path)
    with pytest.raises(DatasetError, match="neither document pairs nor judgments"):
        IrDatasetsSource("made/nothing", tmp_path)
    before = [triples.digests(), judged.digests()]
    assert [triples.digests(), judged.digests()] == before
    word = "changed"
    for source, was in zip((triples, judged), before, strict=True):
        now = source.digests()
        assert {name for name in now if now[name] != was[name]} == {f"{source.name} documents"}
