"""Training data: every layout, every bad row with its place, and an order that is a pure function of the
number.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training import generation
from splade_engine.training.examples import Example, example_from_record
from splade_engine.training.ir_source import IrDatasetsSource
from splade_engine.training.line_file import LineFile, TextsById
from splade_engine.training.mixture import TrainingSet, shuffled
from splade_engine.training.recipe_sections import SourceConfig
from splade_engine.training.sources import open_source

RNG = np.random.default_rng(0)


def jsonl(path: Path, rows) -> Path:
    path.write_text(
        "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8"
    )
    return path


def source(tmp_path, rows=None, **config):
    if rows is not None:
        config["path"] = str(jsonl(tmp_path / "rows.jsonl", rows))
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
    ],
)
def test_layouts(row, expected):
    assert example_from_record(row, "f:1") == expected


def test_ids_are_looked_up_in_every_layout(tmp_path):
    corpus = jsonl(
        tmp_path / "corpus.jsonl", [{"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "text": "two"}]
    )
    queries = jsonl(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "what"}])
    rows = [
        {"query_id": "q1", "positive_id": "d1", "negative_ids": ["d2"]},
        {"qid": "q1", "pos": ["d1"], "neg": {"bm25": ["d2"], "dense": ["d2"]}},  # MS MARCO hard negatives
    ]
    got = source(tmp_path, rows, corpus=str(corpus), queries=str(queries))
    for i in range(2):
        assert got.example(i, RNG) == Example("what", ("T one",), ("two",))
    assert list(got.documents()) == ["T one", "two"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"rows.jsonl: the file is empty"),
        (["{"], r"rows.jsonl:1: not JSON"),
        (["[1]"], r"rows.jsonl:1: expected a JSON object, got list"),
        ([{"positive": "p"}], r"rows.jsonl:1: the field query is missing"),
        ([{"query": "q"}], r"rows.jsonl:1: the field positive is missing"),
        ([{"query": "q", "positive": " "}], r"rows.jsonl:1: positive is empty"),
        ([{"query": "q", "positive": 3}], r"rows.jsonl:1: positive must be a text, got int"),
        ([{"query": "q", "positive": "p", "label": "high"}], r"rows.jsonl:1: label 'high' is not a number"),
        (
            [{"query": "q", "positive": "p", "score": float("nan")}],
            r"rows.jsonl:1: score nan is not a number",
        ),
        ([{"query": "q", "positive": "p", "scores": [1, 2]}], r"rows.jsonl:1: 2 scores for 1 documents"),
        ([{"query": "q", "documents": ["a"]}], r"rows.jsonl:1: a list of documents needs scores"),
        ([{"query_id": "q", "positive": "p"}], r"rows.jsonl:1: query_id 'q' is an id, but no queries file"),
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


def test_missing_ids_are_named(tmp_path):
    corpus = jsonl(tmp_path / "corpus.jsonl", [{"_id": "d1", "text": "one"}])
    with pytest.raises(DatasetError, match=r"rows.jsonl:1: document 'd9' is not in .*corpus.jsonl"):
        source(tmp_path, [{"query": "q", "positive_id": "d9"}], corpus=str(corpus))
    with pytest.raises(DatasetError, match=r"nowhere: no such file or folder, and not an ir_datasets id"):
        source(tmp_path, path="nowhere")


def beir(folder: Path, qrels: str, compressed=False) -> Path:
    (folder / "qrels").mkdir(parents=True)
    jsonl(folder / "corpus.jsonl", [{"_id": f"d{i}", "title": "", "text": f"text {i}"} for i in range(5)])
    jsonl(folder / "queries.jsonl", [{"_id": f"q{i}", "text": f"query {i}"} for i in range(3)])
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
    mined = jsonl(tmp_path / "mined.jsonl", rows)
    got = source(tmp_path, path=str(folder), negatives=str(mined))
    assert got.example(0, RNG) == Example("query 0", ("text 1",), ("text 2", "text 4"), (9.0, 2.0, 1.0))
    assert got.example(1, RNG) == Example(
        "query 0", ("text 3",), ("text 2", "text 4")
    )  # scores of another positive


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ("q9\td1\t1\n", r"train.tsv:2: query 'q9' is not in .*queries.jsonl"),
        ("q0\td9\t1\n", r"train.tsv:2: document 'd9' is not in .*corpus.jsonl"),
        ("q0\td1\tgood\n", r"train.tsv:2: score 'good' is not a number"),
        ("q0 d1 1\n", r"train.tsv:2: 1 columns; query-id, corpus-id and score are needed"),
        ("q0\td1\t0\n", r"train.tsv: no pair with a score above 0"),
    ],
)
def test_bad_qrels(tmp_path, qrels, message):
    folder = beir(tmp_path / "set", HEADER + qrels)
    with pytest.raises(DatasetError, match=message):
        source(tmp_path, path=str(folder))


def test_beir_folder_without_training_judgments(tmp_path):
    folder = beir(tmp_path / "set", HEADER)
    (folder / "qrels" / "train.tsv").rename(folder / "qrels" / "test.tsv")
    with pytest.raises(DatasetError, match=r"set: no qrels/train.tsv"):
        source(tmp_path, path=str(folder))


def test_ir_datasets_triples_and_scored_documents(tmp_path, monkeypatch):
    import ir_datasets
    from ir_datasets.formats import GenericDoc, GenericDocPair, GenericQuery, GenericScoredDoc, TrecQrel

    class Store:
        def get(self, doc_id):
            return GenericDoc(doc_id, f"text {doc_id}")

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
    }
    monkeypatch.setattr(ir_datasets, "load", made.__getitem__)
    triples = IrDatasetsSource("made/triples", tmp_path)
    assert triples.example(0, RNG) == Example("query 1", ("text a",), ("text b",))
    judged = IrDatasetsSource("made/judged", tmp_path)  # best scored first, the judged one left out
    assert judged.example(0, RNG) == Example("query 1", ("text a",), ("text c", "text b"))
    with pytest.raises(DatasetError, match="neither document pairs nor judgments"):
        IrDatasetsSource("made/nothing", tmp_path)


# ---- generated pairs -----------------------------------------------------------------------------

PAGE = (
    "Tides are made by the moon. They rise twice a day in most places. Sailors plan by them.\n\n"
    "Salt marshes need the tides to live. Grass there stands in water for hours. Crabs hide below it."
)


def test_ict_removes_the_sentence_nine_times_in_ten():
    kept = 0
    for seed in range(300):
        query, passage = generation.ict(PAGE, np.random.default_rng(seed))
        assert query in PAGE and len(query.split()) >= generation.MIN_WORDS
        kept += query in passage
    assert 10 < kept < 55
    assert generation.ict("Short.", np.random.default_rng(0)) is None


def test_bfs_takes_a_later_passage():
    query, passage = generation.bfs(PAGE, np.random.default_rng(0))
    assert query in PAGE.partition("\n\n")[0] and passage == PAGE.partition("\n\n")[2]
    assert generation.bfs("One paragraph with some words only.", np.random.default_rng(0)) is None


def test_wlp_takes_a_passage_of_a_linked_page():
    pages = {"b": "Marsh grass grows here. It likes salt."}
    query, passage = generation.wlp(PAGE, ["gone", "b"], pages.get, np.random.default_rng(0))
    assert query in PAGE and passage == pages["b"]
    assert generation.wlp(PAGE, ["gone"], pages.get, np.random.default_rng(0)) is None


@pytest.mark.parametrize("kind", ["ict", "bfs", "wlp"])
def test_generated_sources_skip_short_documents(tmp_path, kind):
    rows = [
        {"_id": "a", "text": PAGE, "links": ["b"]},
        {"_id": "b", "text": "Salt marshes are wet all year."},
    ]
    got = source(tmp_path, rows, kind=kind)
    assert got.example(0, RNG) is not None
    data = TrainingSet([got], [0], n_batches=3, batch_size=4, negatives=0, seed=1)
    assert all(data[i].query in PAGE for i in range(len(data)))


# ---- order ---------------------------------------------------------------------------------------


class Numbers:
    """A source whose examples say where they come from."""

    def __init__(self, name: str, n: int, negatives: int = 0) -> None:
        self.name, self.n, self.negatives = name, n, negatives

    def __len__(self) -> int:
        return self.n

    def example(self, i: int, rng: np.random.Generator) -> Example:
        texts = tuple(f"n{j}" for j in range(self.negatives))
        scores = tuple(float(j) for j in range(-1, self.negatives)) if texts else None
        return Example(f"{self.name}{i}", ("p",), texts, scores)

    def documents(self) -> Iterator[str]:
        return iter(())


def made(sources, weights, **options):
    defaults = {"n_batches": 50, "batch_size": 8, "negatives": 0, "seed": 7}
    return TrainingSet(sources, weights, **(defaults | options))


@pytest.mark.parametrize("n", [1, 2, 3, 10, 64, 1000])
def test_shuffled_is_a_permutation_that_depends_on_the_seed(n):
    order = [shuffled(i, n, 1) for i in range(n)]
    assert sorted(order) == list(range(n))
    if n >= 64:
        assert order != [shuffled(i, n, 2) for i in range(n)]
        assert np.abs(np.corrcoef(order, range(n))[0, 1]) < 0.4


def test_every_row_once_an_epoch_in_a_new_order():
    data = made([Numbers("a", 40)], [0], n_batches=10)
    first, second = ([data[i].query for i in r] for r in (range(40), range(40, 80)))
    assert sorted(first) == sorted(second) == sorted(f"a{i}" for i in range(40))
    assert first != second


def test_order_is_a_function_of_the_seed():
    one, two, other = (made([Numbers("a", 40, 5)], [0], negatives=2, seed=s) for s in (7, 7, 8))
    backwards = [two[i] for i in reversed(range(len(two)))]
    assert [one[i] for i in range(len(one))] == backwards[::-1]
    assert [one[i] for i in range(40)] != [other[i] for i in range(40)]


def test_weights_decide_the_mixture_and_batches_are_pure():
    sources = [Numbers("a", 10), Numbers("b", 1000)]
    data = made(sources, [3, 1], n_batches=400)
    counts = Counter(data[i].query[0] for i in range(len(data)))
    assert 0.68 < counts["a"] / len(data) < 0.82
    for batch in range(0, len(data), 8):
        assert len({data[i].query[0] for i in range(batch, batch + 8)}) == 1
    by_size = made(sources, [0, 0], n_batches=100)
    assert Counter(by_size[i].query[0] for i in range(800))["b"] > 700


def test_mixed_batches_hold_both_sources():
    data = made([Numbers("a", 50), Numbers("b", 50)], [1, 1], one_source_per_batch=False)
    kinds = [{data[i].query[0] for i in range(b, b + 8)} for b in range(0, 400, 8)]
    assert sum(kind == {"a", "b"} for kind in kinds) > 40
    assert len({data[i].query for i in range(400)}) == 100  # every row of both is reached


def test_held_out_rows_never_appear():
    data = made([Numbers("a", 40)], [0], held_out=10)
    held = {f"a{i}" for i in data.held_out_rows()}
    assert len(held) == 10
    assert {data[i].query for i in range(len(data))} == {f"a{i}" for i in range(40)} - held
    with pytest.raises(DatasetError, match="a: 5 rows, 5 of them held out: none left"):
        made([Numbers("a", 5)], [0], held_out=5)


def test_negatives_are_drawn_with_their_scores():
    data = made([Numbers("a", 40, 6)], [0], negatives=3)
    seen = set()
    for i in range(100):
        example = data[i]
        assert len(example.negatives) == 3 and example.scores[0] == -1.0
        assert [f"n{int(s)}" for s in example.scores[1:]] == list(example.negatives)
        seen.update(example.negatives)
    assert len(seen) == 6


def test_move_and_refresh_survive_a_restart():
    data = made([Numbers("a", 400, 2)], [0], negatives=1)
    plain = [data[i] for i in range(32)]
    order = np.random.default_rng(0).permutation(16)
    data.move(8, order)
    data.refresh({9: ("fresh",)})
    moved = [data[i].query for i in range(32)]
    assert moved == [plain[i].query for i in (*range(8), *(8 + order), *range(24, 32))]
    assert data[8 + int(np.flatnonzero(order == 1)[0])].negatives == ("fresh",)
    other = made([Numbers("a", 400, 2)], [0], negatives=1)
    other.load_state(json.loads(json.dumps(data.state())))
    assert [other[i] for i in range(32)] == [data[i] for i in range(32)]
    data.move(24, np.arange(8)[::-1], keep_from=16)  # places before 16 are over
    assert [data[i].query for i in range(16, 32)] == moved[16:24] + moved[24:][::-1]
    with pytest.raises(InvalidInputError, match="not a permutation"):
        data.move(0, np.array([0, 0]))


# ---- files ---------------------------------------------------------------------------------------


def test_line_file_finds_lines_across_buffers(tmp_path, monkeypatch):
    monkeypatch.setattr("splade_engine.training.line_file._SCAN", 7)
    lines = ['{"a": 1}', "", '{"b": "' + "x" * 50 + '"}', '{"c": 3}']
    (tmp_path / "f.jsonl").write_text("\n".join(lines))  # no final newline
    file = LineFile(tmp_path / "f.jsonl", tmp_path)
    assert [file[i].decode() for i in range(len(file))] == [line for line in lines if line]
    assert file.place(2) == f"{tmp_path / 'f.jsonl'}:4"


def test_compressed_files_are_unpacked_once(tmp_path):
    path = tmp_path / "f.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n\n{"a": 2}\n'))
    cache = tmp_path / "cache"
    assert [LineFile(path, cache).record(i)["a"] for i in range(2)] == [1, 2]
    (unpacked,) = cache.iterdir()
    stamp = unpacked.stat().st_mtime_ns
    LineFile(path, cache)
    assert unpacked.stat().st_mtime_ns == stamp
    with pytest.raises(DatasetError, match="no such file"):
        LineFile(tmp_path / "none.jsonl", cache)


def test_texts_by_id(tmp_path, monkeypatch):
    texts = TextsById(
        jsonl(tmp_path / "c.jsonl", [{"_id": f"d{i}", "text": f"t{i}"} for i in range(50)]), tmp_path
    )
    assert all(texts.text(texts.row(f"d{i}")) == f"t{i}" for i in range(50))
    assert texts.row("d50") is None
    monkeypatch.setattr("xxhash.xxh3_64_intdigest", lambda data: 5)  # every id collides
    same = TextsById(tmp_path / "c.jsonl", tmp_path)
    assert same.row("d33") == 33 and same.row("d99") is None
    with pytest.raises(DatasetError, match=r"e.jsonl:1: the field _id \(or id\) is missing"):
        TextsById(jsonl(tmp_path / "e.jsonl", [{"text": "x"}]), tmp_path)
