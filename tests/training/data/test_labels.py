"""Labels that say what is no answer, and texts that are none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from splade_engine.errors import DatasetError
from splade_engine.training import MiningConfig, mine
from splade_engine.training.data.examples import Example, row_from_record
from splade_engine.training.data.line_file import TextsById
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.data.opening import open_sources
from splade_engine.training.data.sources import BeirSource, GeneratedSource, JsonlSource
from splade_engine.training.mining.task import MiningTask
from splade_engine.training.recipe import Recipe
from splade_engine.training.run.run import train
from tests.training import made

HALF = "broken \ud83d text"


@pytest.mark.parametrize("document", ["document", "passage", "positive", "answer"])
@pytest.mark.parametrize(
    ("name", "value", "relevant"),
    [
        ("label", 1, True),
        ("label", 0, False),
        ("label", 0.0, False),
        ("label", -1, False),
        ("label", True, True),
        ("label", False, False),
        ("labels", [0], False),
        ("labels", [2], True),
        ("relevance", 0, False),
        ("relevant", False, False),
        ("is_relevant", 0, False),
        ("is_relevant", True, True),
        ("judgment", 0, False),
        ("rating", 0, False),
        ("grade", 3, True),
        ("rel", 0, False),
        ("score", 0, False),
        ("score", -3.5, True),  # a cross-encoder's logit
        ("score", 0.7, True),
        ("label", 0.2, True),  # a graded similarity
    ],
)
def test_one_document_and_what_is_said_of_it(document, name, value, relevant):
    got = row_from_record({"query": "q", document: "d", name: value}, "row").example
    assert (got is not None) == relevant
    if got is not None:
        assert got.positives == ("d",)


def test_the_name_of_release_0_1_still_reads_a_row():
    """It was dropped; the module's old name, which is kept, then led nowhere."""
    with warnings.catch_warnings():  # the module's own warning comes once per process
        warnings.simplefilter("ignore", DeprecationWarning)
        from splade_engine.training.examples import example_from_record
    record = {"query": "green tea", "document": "bread dough", "label": 0}
    with pytest.warns(DeprecationWarning, match=r"row_from_record"):
        assert example_from_record(record, "row") is None
    with pytest.warns(DeprecationWarning, match=r"row_from_record"):
        found = example_from_record({**record, "label": 1}, "row")
    assert (found.query, found.positives, found.negatives) == ("green tea", ("bread dough",), ())


def test_labels_sort_documents_into_answers_and_others():
    row = row_from_record({"query": "q", "documents": ["a", "b", "c"], "labels": [0, 1, 1]}, "row")
    assert (row.positives, row.negatives, row.scores) == (("b", "c"), ("a",), (1.0, 1.0, 0.0))
    none = row_from_record({"query": "q", "documents": ["a", "b"], "labels": [0, 0]}, "row")
    assert none.example is None and none.negatives == ("a", "b")
    none = row_from_record({"query": "q", "documents": ["a", "b"], "scores": [0, 0]}, "row")
    assert none.example is None and none.negatives == ("a", "b")  # the first was taken for the best
    row = row_from_record({"query": "q", "positives": ["a", "b"], "labels": [1, 0]}, "row")
    assert (row.positives, row.negatives) == (("a",), ("b",))


@pytest.mark.parametrize(
    ("record", "positives", "negatives", "scores"),
    [
        ({"document": "d", "Label": 0}, (), ("d",), (0.0,)),
        ({"Document": "d", "Is-Relevant": True}, ("d",), (), (1.0,)),
        ({"document": "d", "score": 0.9, "label": 0}, (), ("d",), (0.9,)),
        ({"documents": ["a", "b"], "scores": [0.9, 0.1], "labels": [0, 1]}, ("b",), ("a",), (0.1, 0.9)),
        ({"documents": ["a", "b", "c"], "labels": [0, 1, 2]}, ("b", "c"), ("a",), (1.0, 2.0, 0.0)),
        ({"documents": ["a", "b"], "label": [0, 3]}, ("b",), ("a",), (3.0, 0.0)),
        ({"document": "d", "label": 1, "relevance": 1}, ("d",), (), (1.0,)),
    ],
)
def test_labels_decide_whatever_stands_beside_them(record, positives, negatives, scores):
    row = row_from_record({"query": "q", **record}, "row")
    assert (row.positives, row.negatives, row.scores) == (positives, negatives, scores)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"document": "d", "label": 1, "relevance": 0}, "row: holds label and relevance; keep one of them"),
        ({"positive": "a", "positives": ["b"]}, "row: holds positive and positives; keep one of them"),
        ({"document": "a", "passage": "b"}, "row: holds document and passage; keep one of them"),
        ({"positive": "a", "negative": "b", "negatives": ["c"]}, "row: holds negative and negatives"),
        ({"positive": "a", "Positive": "b"}, "row: two fields are named 'positive' but for their case"),
    ],
)
def test_of_two_fields_none_is_dropped(record, message):
    with pytest.raises(DatasetError, match=message):
        row_from_record({"query": "q", **record}, "row")


def test_an_answer_beside_a_document_is_not_read():
    row = row_from_record({"query": "q", "answer": "42", "document": "d"}, "row")
    assert row.positives == ("d",)
    assert row_from_record({"query": "q", "answer": "42"}, "row").positives == ("42",)


def test_numbered_negatives_keep_the_order_of_their_scores():
    negatives = {f"negative_{n}": f"n{n}" for n in range(11, 0, -1)}
    record = {"query": "q", "positive": "p", **negatives, "scores": [20.0, *map(float, range(1, 12))]}
    row = row_from_record(record, "row")
    assert row.negatives == tuple(f"n{n}" for n in range(1, 12))
    assert row.scores == (20.0, *map(float, range(1, 12)))


def test_fields_that_are_not_read_are_told(tmp_path, caplog):
    row = {"query": "q", "positive": "p", "answer": "a", "gold_label": 0, "negative_1": "n", "url": "u"}
    JsonlSource(made.write_jsonl(tmp_path / "rows.jsonl", [row]), tmp_path / "cache")
    assert "rows.jsonl: fields that are not read: 'answer', 'gold_label', 'url' (a label is" in caplog.text
    caplog.clear()
    mined = {"query_id": "1", "positive_id": "2", "negative_ids": ["3"], "mined_from": "x", "scores": [1, 2]}
    texts = {"query": "q", "positive": "p", "negatives": ["n"]}
    JsonlSource(made.write_jsonl(tmp_path / "mined.jsonl", [mined | texts]), tmp_path / "cache")
    assert not caplog.text


def test_scores_of_a_teacher_stay_scores():
    """Lists and triples: the best is the positive, whatever its sign; a triple's one label is a margin."""
    scored = {"query": "q", "documents": ["a", "b"], "scores": [-7.0, -2.5]}
    assert row_from_record(scored, "row").example == Example("q", ("b",), ("a",), (-2.5, -7.0))
    labelled = {"query": "q", "documents": ["a", "b"], "labels": [0.1, 4.2]}
    assert row_from_record(labelled, "row").example == Example("q", ("b",), ("a",), (4.2, 0.1))
    margin = {"query": "q", "positive": "p", "negative": "n", "label": 0}
    assert row_from_record(margin, "row").example == Example("q", ("p",), ("n",), (0.0, 0.0))
    listed = {"query": "q", "positive": "p", "negative": "n", "labels": [0.0, -1.0]}
    assert row_from_record(listed, "row").example == Example("q", ("p",), ("n",), (0.0, -1.0))


@pytest.fixture
def labelled(tmp_path):
    """Every second row is labelled 0, and its document says so."""
    rows = []
    for i, row in enumerate(made.synthetic_rows(40)):
        rows.append({"query": row["query"], "document": row["positive"], "label": 1})
        rows.append({"query": row["query"], "document": f"zzz {i}", "label": 0})
    return made.write_jsonl(tmp_path / "labelled.jsonl", rows)


def test_what_is_labelled_0_is_never_trained_as_an_answer(labelled, tmp_path, caplog):
    recipe = Recipe().override({"data.sources": [{"path": str(labelled)}]})
    sources = open_sources(recipe, tmp_path / "cache")
    assert "labelled.jsonl: 40 of its 80 rows give no training pair" in caplog.text
    assert "and are left out" in caplog.text
    data = TrainingSet(sources, [1.0], n_batches=20, batch_size=8, negatives=0, seed=1)
    trained = [data[i] for i in range(len(data))]
    assert len(trained) == 160 and not any(e.positives[0].startswith("zzz") for e in trained)
    # they are documents all the same: idf counts them, and mining searches them
    assert sum(text.startswith("zzz") for text in sources[0].documents()) == 40


def test_training_says_so_and_a_file_without_any_answer_is_refused(
    labelled, tmp_path, bert_folder, no_curves, caplog
):
    over = {"data__negatives": 0, "loss__candidates": "all", "train__steps": 2}
    train(made.quick_recipe("splade-v2-max", bert_folder, labelled, **over), tmp_path / "run")
    assert "40 of its 80 rows give no training pair" in caplog.text
    rows = [{"query": "bara", "document": "bolu", "label": 0}] * 5
    nothing = made.write_jsonl(tmp_path / "nothing.jsonl", rows)
    with pytest.raises(DatasetError, match=r"nothing.jsonl: 5 of its 5 rows give no training pair"):
        train(made.quick_recipe("splade-v2-max", bert_folder, nothing, **over), tmp_path / "none")
    with pytest.raises(DatasetError, match=r"nothing.jsonl: no row has a relevant document"):
        MiningTask(nothing, tmp_path / "cache")


def test_mining_takes_no_document_with_label_0_for_an_answer(labelled, tmp_path, bert_folder):
    task = MiningTask(labelled, tmp_path / "cache")
    texts = {task.text(d) for query in task.queries for d in query.positive_ids}
    assert not any(text.startswith("zzz") for text in texts)
    assert sum(text.startswith("zzz") for text in task.texts()) == 40
    found = mine(labelled, tmp_path / "mined.jsonl", MiningConfig(f"sparse:{bert_folder}", negatives=2))
    assert found == len(task.queries)
    assert '"positive": "zzz' not in (tmp_path / "mined.jsonl").read_text()


# ---- half a surrogate pair -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"query": HALF, "positive": "p"}, "query"),
        ({"query": "q", "positive": HALF}, "positive"),
        ({"query": "q", "positive": {"title": HALF, "text": "t"}}, "positive"),
        ({"query": "q", "positive": "p", "negatives": ["n", HALF]}, "negatives"),
        ({"query": "q", "positive": "p", "negative_2": HALF}, "negative_2"),
        ({"query": "q", "documents": ["a", HALF], "scores": [1, 2]}, "documents"),
    ],
)
def test_half_a_surrogate_in_a_row(record, field, tmp_path):
    good = {"query": "q", "positive": "p"}
    path = made.write_jsonl(tmp_path / "rows.jsonl", [good, "", record])
    message = f"rows.jsonl:3: the field {field} holds half a surrogate pair, not text"
    source = JsonlSource(path, tmp_path / "cache")
    with pytest.raises(DatasetError, match=message):
        source.example(1, np.random.default_rng(0))
    with pytest.raises(DatasetError, match=message):
        open_sources(Recipe().override({"data.sources": [{"path": str(path)}]}), tmp_path / "cache")


def test_half_a_surrogate_in_collections(tmp_path):
    good = {"_id": "a", "text": "fine"}
    others = ({"_id": HALF, "text": "t"}, {"_id": "b", "text": HALF}, {"_id": "b", "title": HALF, "text": ""})
    for broken in others:
        path = made.write_jsonl(tmp_path / "corpus.jsonl", [good, broken])
        with pytest.raises(DatasetError, match=r"corpus.jsonl:2: the field (_id|text) holds half a surr"):
            list(TextsById(path, tmp_path / "cache"))
    path = made.write_jsonl(tmp_path / "corpus.jsonl", [good])
    assert TextsById(path, tmp_path / "cache").row(HALF) is None  # an id that is looked up may be anything
    path = made.write_jsonl(tmp_path / "plain.jsonl", [{"_id": "a", "text": HALF * 20}])
    with pytest.raises(DatasetError, match=r"plain.jsonl:1: the field text holds half a surrogate"):
        GeneratedSource(path, tmp_path / "cache", "ict").example(0, np.random.default_rng(0))


def test_half_a_surrogate_among_mined_negatives(tmp_path):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    made.write_jsonl(folder / "corpus.jsonl", [{"_id": "d", "text": "t"}])
    made.write_jsonl(folder / "queries.jsonl", [{"_id": "q", "text": "t"}])
    (folder / "qrels" / "train.tsv").write_text("q\td\t1\n")
    mined = made.write_jsonl(tmp_path / "mined.jsonl", [{"query_id": "q", "negative_ids": [HALF]}])
    source = BeirSource(folder, tmp_path / "cache", str(mined))
    with pytest.raises(DatasetError, match=r"mined.jsonl: document 'broken \\ud83d text' is not in"):
        source.example(0, np.random.default_rng(0))
