"""Exports: what each target's files hold, what is cut and counted, and what that costs."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pyarrow as pa
import pytest

from splade_engine.collections.trec_ids import unescape_id
from splade_engine.errors import IndexExistsError, InvalidInputError, StorageError
from splade_engine.exchange import TARGETS, export_index, import_vectors
from splade_engine.exchange import rounding as kept
from splade_engine.exchange.target import safe_names
from splade_engine.exchange.targets.opensearch_ann import ceiling
from splade_engine.index import BuildConfig, ShardedIndex, SparseIndex
from splade_engine.vectors import SparseVectors

TOKENS = ["[PAD]", "tide", "##s", ".", "a.b", "", "é", "two words", "_3", "x"]
ROWS = [
    {1: 1.7, 3: 0.004, 9: 2.25},
    {2: 0.5, 4: 1.0, 5: 0.75},
    {1: 0.3, 6: 3.5, 7: 1.25, 8: 0.6},
    {},
    {9: 1.0},
]
IDS = ["a", 'é "2"', "c\\d", "nothing", "e"]
PAYLOAD = pa.table(
    {
        "title": ["A", None, "C\tc", "", "E"],
        "text": ["first\nline", "second", "", "nothing", "fifth"],
        "year": [1990, None, 2001, 2, 3],
        "tags": [["x", "y"], None, [], None, ["z"]],
    }
)
QUERIES = SparseVectors.from_dicts([{1: 2.0, 9: 0.5}, {6: 1.0, 7: 0.25}, {}], len(TOKENS))
QUERY_IDS = ["q1", "q é", "empty"]


@pytest.fixture
def index(tmp_path: Path) -> SparseIndex:
    vectors = SparseVectors.from_dicts(ROWS, len(TOKENS))
    config = BuildConfig("float32")
    return SparseIndex.build(tmp_path / "My Index", vectors, IDS, payload=PAYLOAD, config=config)


def export(index: SparseIndex, target: str, folder: Path, **options: object) -> dict:
    given = {"queries": QUERIES, "query_ids": QUERY_IDS, "vocabulary": TOKENS} | options
    record = export_index(index, target, folder, **given)  # type: ignore[arg-type]
    written = json.loads((folder / "record.json").read_text())
    assert written["target"] == record.target == target
    assert written["lost"] == record.lost
    return written


def lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_readme_of_commands_and_a_record(
    index: SparseIndex, tmp_path: Path, target: str
) -> None:
    record = export(index, target, tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert readme.count("```") == 2
    assert len([line for line in readme.split("```")[1].splitlines() if line.strip()]) >= 5
    assert "<NAME>" not in readme
    assert "<TOP_K>" not in readme
    assert "idf" in readme
    assert record["index"] == index.info().fingerprint
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file()) > 0
    without = export_index(index, target, tmp_path / "plain")
    assert without.queries == 0
    assert not list((tmp_path / "plain").glob("queries*"))
    plain = (tmp_path / "plain" / "README.md").read_text()
    assert ("There is no `queries.jsonl` here" in plain) == ("queries.jsonl" in readme)
    assert "There is no `queries.jsonl` here" not in readme


def test_qdrant(index: SparseIndex, tmp_path: Path) -> None:
    record = export(index, "qdrant", tmp_path / "out")
    assert record["loss"] is None
    assert json.loads((tmp_path / "out" / "collection.json").read_text()) == {"sparse_vectors": {"text": {}}}
    points = lines(tmp_path / "out" / "points.jsonl")
    assert points[0] == {
        "id": str(uuid5(NAMESPACE_URL, "a")),
        "vector": {"text": {"indices": [1, 3, 9], "values": [1.7, 0.004, 2.25]}},
        "payload": {
            "doc_id": "a",
            "title": "A",
            "text": "first\nline",
            "metadata": {"year": 1990, "tags": ["x", "y"]},
        },
    }
    assert [p["payload"]["doc_id"] for p in points] == IDS
    assert lines(tmp_path / "out" / "queries.jsonl")[1] == {
        "id": "q é",
        "body": {
            "query": {"indices": [6, 7], "values": [1.0, 0.25]},
            "using": "text",
            "limit": 10,
            "with_payload": ["doc_id"],
        },
    }


@pytest.mark.parametrize("target", ["elasticsearch", "opensearch"])
def test_lucene_keeps_nine_bits_and_names_without_dots(
    index: SparseIndex, tmp_path: Path, target: str
) -> None:
    record = export(index, target, tmp_path / "out")
    assert record["document_weights"] == "9 significant bits (Lucene)"
    assert record["loss"]["recall"] == 1.0
    bulk = lines(tmp_path / "out" / "bulk.ndjson")
    assert bulk[0] == {"index": {"_id": "a"}}
    # a name with a dot, an empty one and one that is taken give way to the number of the term
    assert bulk[1]["tokens"] == {"tide": 1.7, "__3": 0.004, "x": 2.25}
    assert bulk[3]["tokens"] == {"##s": 0.5, "_4": 1.0, "_5": 0.75}
    assert bulk[5]["metadata"] == {"year": 2001, "tags": []}
    properties = json.loads((tmp_path / "out" / "index.json").read_text())["mappings"]["properties"]
    body = lines(tmp_path / "out" / "queries.jsonl")[0]["body"]
    if target == "opensearch":
        assert properties["tokens"] == {"type": "rank_features"}
        assert body["query"] == {"neural_sparse": {"tokens": {"query_tokens": {"tide": 2.0, "x": 0.5}}}}
    else:
        assert properties["tokens"] == {"type": "sparse_vector", "index_options": {"prune": False}}
        asked = {"field": "tokens", "query_vector": {"tide": 2.0, "x": 0.5}, "prune": False}
        assert body["query"] == {"sparse_vector": asked}


def test_nine_bits_are_what_lucene_keeps() -> None:
    """FeatureField keeps sign, exponent and 8 bits of the fraction: 1.7 becomes 1.69921875."""
    given = np.array([1.7, 1.0, 0.003, 255.9, *np.random.default_rng(1).random(200)], np.float32)
    found = kept.LUCENE.kept(given)
    assert found[[0, 1, 3]].tolist() == [1.69921875, 1.0, 255.5]
    fractions = np.frexp(found)[0] * 512
    assert (fractions == np.rint(fractions)).all()
    assert (found <= given).all()
    assert (given - found < given / 256).all()


def test_opensearch_ann_has_bytes_below_the_largest_weight(index: SparseIndex, tmp_path: Path) -> None:
    export(index, "opensearch-ann", tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "index.json").read_text())
    assert stored["settings"] == {"index": {"sparse": True}}
    parameters = stored["mappings"]["properties"]["tokens"]["method"]["parameters"]
    assert parameters["quantization_ceiling_ingest"] == 3.5
    assert parameters["quantization_ceiling_search"] == 2.0
    assert lines(tmp_path / "out" / "bulk.ndjson")[1]["tokens"] == {"1": 1.7, "3": 0.004, "9": 2.25}
    assert ceiling(3.501) == 3.51
    rounded = kept.bytes_below(3.5).kept(np.array([3.5, 4.0, 1.0, 0.004], np.float32))
    assert rounded.tolist() == pytest.approx([3.5, 3.5, 73 * 3.5 / 255, 0.0])


def test_opensearch_ann_folds_no_two_terms_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token numbers are taken modulo 32,768 there; here modulo 4, with 6 terms that occur."""
    monkeypatch.setattr("splade_engine.exchange.targets.opensearch_ann.MOST_TERMS", 4)
    limited = TARGETS["opensearch-ann"]
    object.__setattr__(limited, "limits", type(limited.limits)(vocabulary=4))
    try:
        rows = [{t: 1.0 for t in (100, 200, 300)}, {200: 1.0, 400: 2.0}, {200: 1.0, 300: 1.0, 500: 1.0}]
        rows += [{600: 5.0, 100: 1.0, 400: 1.0}]
        index = SparseIndex.build(tmp_path / "ix", SparseVectors.from_dicts(rows, 700))
        record = export_index(index, "opensearch-ann", tmp_path / "out")
    finally:
        object.__setattr__(limited, "limits", type(limited.limits)(vocabulary=32_768))
    numbers = json.loads((tmp_path / "out" / "terms.json").read_text())
    assert numbers == {"100": 0, "200": 1, "300": 2, "400": 3}  # the others are in one document each
    assert record.lost["entries of terms beyond the limit"] == 2
    assert record.entries == 9
    assert record.loss is not None
    assert lines(tmp_path / "out" / "bulk.ndjson")[5]["tokens"] == {"1": 1.0, "2": 1.0}


def test_vespa_has_whole_numbers_and_a_package(index: SparseIndex, tmp_path: Path) -> None:
    record = export(index, "vespa", tmp_path / "out")
    assert (record["document_scale"], record["query_scale"]) == (100.0, 100.0)
    assert record["lost"] == {"entries rounded to nothing": 1}
    feed = lines(tmp_path / "out" / "feed.jsonl")
    assert feed[0]["put"] == "id:splade:doc::a"
    assert feed[0]["fields"]["terms"] == {"tide": 170, "x": 225}
    assert json.loads(feed[2]["fields"]["metadata"]) == {"year": 2001, "tags": []}
    body = lines(tmp_path / "out" / "queries.jsonl")[0]["body"]
    assert body["q"] == {"tide": 200, "x": 50}
    assert body["yql"] == "select doc_id from doc where {targetHits:10}wand(terms, @q)"
    assert (tmp_path / "out" / "application" / "schemas" / "doc.sd").is_file()


def test_pgvector_counts_dimensions_from_one_and_escapes(index: SparseIndex, tmp_path: Path) -> None:
    export(index, "pgvector", tmp_path / "out")
    rows = [line.split("\t") for line in (tmp_path / "out" / "documents.tsv").read_text().splitlines()]
    assert rows[0][0] == "a"
    assert rows[0][2] == "first\\nline"
    assert rows[0][4] == "{2:1.7,4:0.004,10:2.25}/10"
    assert rows[2][:2] == ["c\\\\d", "C\\tc"]
    assert rows[3][1] == "\\N"
    assert rows[3][4] == "{}/10"
    sql = (tmp_path / "out" / "queries.sql").read_text().splitlines()
    assert sql[0] == '-- "q1"'
    assert sql[1].endswith("ORDER BY v <#> '{2:2.0,10:0.5}/10' LIMIT 10;")
    assert "sparsevec(10)" in (tmp_path / "out" / "schema.sql").read_text()


def test_a_zero_byte_in_a_text_is_removed_and_counted(tmp_path: Path) -> None:
    vectors = SparseVectors.from_dicts([{0: 1.0}], 1)
    table = pa.table({"text": ["a\0b"], "note": ["c\0"]})
    index = SparseIndex.build(tmp_path / "ix", vectors, ["a"], payload=table)
    record = export_index(index, "pgvector", tmp_path / "out")
    assert list(record.lost.values()) == [2]
    assert "\0" not in (tmp_path / "out" / "documents.tsv").read_text()
    assert '"note": "c"' in (tmp_path / "out" / "documents.tsv").read_text()


def test_six_characters_that_look_like_a_zero_byte_stay(tmp_path: Path) -> None:
    """They were taken out of JSON behind their backslash, so that no database read the rest."""
    literal = "the escape \\u0000"
    table = pa.table({"text": [literal], "note": [literal], "_json": [json.dumps({"of": {"a\0": ["b\0"]}})]})
    vectors = SparseVectors.from_dicts([{0: 1.0}], 1)
    index = SparseIndex.build(tmp_path / "ix", vectors, ["a"], payload=table)
    record = export_index(index, "pgvector", tmp_path / "out")
    assert list(record.lost.values()) == [2]
    row = (tmp_path / "out" / "documents.tsv").read_text().rstrip("\n").split("\t")
    text, metadata = (cell.replace("\\\\", "\\") for cell in row[2:4])
    assert text == literal
    assert json.loads(metadata) == {"note": literal, "of": {"a": ["b"]}}


@pytest.mark.parametrize("target", TARGETS)
def test_half_a_surrogate_pair_is_replaced_and_counted(tmp_path: Path, target: str) -> None:
    """JSON can hold one, and ten of the targets ended in an error of the codec."""
    table = pa.table(
        {"text": ["moon"], "_json": [json.dumps({"n": "x\ud800", "o": {"\udc00": ["\U0001f600"]}})]}
    )
    vectors = SparseVectors.from_dicts([{1: 1.0}], len(TOKENS))
    index = SparseIndex.build(tmp_path / "ix", vectors, ["a"], payload=table)
    record = export_index(
        index, target, tmp_path / "out", vocabulary=TOKENS, queries=QUERIES, query_ids=QUERY_IDS
    )
    assert [n for what, n in record.lost.items() if what.startswith("halves")] == [1]
    written = "".join(
        path.read_text(errors="replace") for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert "\\ud800" not in written


@pytest.mark.parametrize(("target", "file"), [("pinecone", "vectors.jsonl"), ("turbopuffer", "rows.jsonl")])
def test_fields_that_a_flat_record_has_no_place_for_are_counted(
    tmp_path: Path, target: str, file: str
) -> None:
    table = pa.table({"title": ["T"], "text": ["x"], "_json": ['{"title":"other"}'], "year": [1999]})
    vectors = SparseVectors.from_dicts([{0: 1.0}], 1)
    index = SparseIndex.build(tmp_path / "ix", vectors, ["a"], payload=table)
    record = export_index(index, target, tmp_path / "out")
    assert [n for what, n in record.lost.items() if what.startswith("metadata values that are called")] == [1]
    row = json.loads((tmp_path / "out" / file).read_text().splitlines()[0])
    flat = row.get("metadata", row)
    assert (flat["title"], flat["year"]) == ("T", 1999)


@pytest.mark.parametrize(("target", "most"), [("pgvector", 1000), ("pinecone", 1000), ("turbopuffer", 1024)])
def test_vectors_beyond_the_limit_are_cut_counted_and_measured(
    tmp_path: Path, target: str, most: int
) -> None:
    rng = np.random.default_rng(1)
    long = {t: float(w) for t, w in zip(range(1500), rng.random(1500) + 0.5, strict=True)}
    rows = [long, {1: 1.0, 2: 2.0}, {t: 1.0 for t in range(1000)}]
    index = SparseIndex.build(tmp_path / "ix", SparseVectors.from_dicts(rows, 1500), ["a", "b", "c"])
    record = export_index(index, target, tmp_path / "out", k=2)
    assert record.lost["documents with too many terms"] == 1
    assert record.lost["entries beyond the limit"] == 1500 - most
    assert record.entries == 1500 + 2 + 1000 - (1500 - most)
    assert record.loss is not None
    assert record.loss.made
    assert 0 < record.loss.recall <= 1
    if target == "pgvector":
        first = (tmp_path / "out" / "documents.tsv").read_text().splitlines()[0].split("\t")[4]
        kept_terms = {int(pair.split(":")[0]) - 1 for pair in first[1 : first.index("}")].split(",")}
        assert kept_terms == set(sorted(long, key=lambda t: -long[t])[:1000])


def test_recall_is_that_of_a_search_over_what_is_kept(tmp_path: Path) -> None:
    """Weights that whole numbers cannot tell apart: two of three hits are found."""
    rows = [{0: 1.0}, {0: 0.4}, {0: 0.3}, {0: 0.2}]
    index = SparseIndex.build(
        tmp_path / "ix", SparseVectors.from_dicts(rows, 1), config=BuildConfig("float32")
    )
    query = SparseVectors.from_dicts([{0: 1.0}], 1)
    record = export_index(index, "anserini", tmp_path / "out", queries=query, k=3, scale=1.0)
    assert record.lost == {"entries rounded to nothing": 3}
    assert record.loss is not None
    assert record.loss.recall == pytest.approx(1 / 3)
    assert (record.loss.queries, record.loss.same, record.loss.made) == (1, 0, False)
    again = export_index(index, "anserini", tmp_path / "fine", queries=query, k=3, scale=10.0)
    assert again.loss is not None
    assert (again.loss.recall, again.loss.same) == (1.0, 1)
    assert export_index(index, "anserini", tmp_path / "no", measure=False).loss is None


def test_documents_and_queries_without_terms_are_left_out_where_they_are_not_taken(
    index: SparseIndex, tmp_path: Path
) -> None:
    record = export(index, "milvus", tmp_path / "out")
    assert record["documents"] == 4
    assert record["lost"] == {"documents without terms": 1, "queries without terms": 1}
    assert record["loss"] is None
    rows = lines(tmp_path / "out" / "documents.jsonl")
    assert [row["id"] for row in rows] == ["a", 'é "2"', "c\\d", "e"]
    assert rows[0]["v"] == {"1": 1.7, "3": 0.004, "9": 2.25}
    assert [q["id"] for q in lines(tmp_path / "out" / "queries.jsonl")] == ["q1", "q é"]


def test_texts_beyond_the_limit_are_cut_between_characters(tmp_path: Path) -> None:
    table = pa.table({"text": ["é" * 40_000]})
    index = SparseIndex.build(tmp_path / "ix", SparseVectors.from_dicts([{0: 1.0}], 1), ["a"], payload=table)
    record = export_index(index, "milvus", tmp_path / "out")
    assert record.lost == {"texts cut": 1}
    assert lines(tmp_path / "out" / "documents.jsonl")[0]["text"] == "é" * 32_767


def test_anserini_repeats_tokens_and_drops_what_rounds_to_nothing(index: SparseIndex, tmp_path: Path) -> None:
    export(index, "anserini", tmp_path / "out", scale=10.0)
    docs = lines(tmp_path / "out" / "collection" / "documents.jsonl")
    assert docs[0] == {"id": "a", "contents": "first\nline", "vector": {"tide": 17, "x": 22}}
    topics = (tmp_path / "out" / "topics.tsv").read_text().splitlines()
    assert topics[0] == "q1\t" + " ".join(["tide"] * 20 + ["x"] * 5)


def test_queries_of_anserini_keep_their_ids_apart(index: SparseIndex, tmp_path: Path) -> None:
    """Spaces were made one, so that three queries had one id, which no column of a run can hold."""
    asked = ["a b", "a  b", "a\tb"]
    record = export(index, "anserini", tmp_path / "out", query_ids=asked)
    topics = (tmp_path / "out" / "topics.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in topics] == ["a%20b", "a%20%20b", "a%09b"]
    assert list(map(unescape_id, ("a%20b", "a%20%20b", "a%09b"))) == asked
    assert record["lost"]["ids that are no column of a run"] == 1


def test_lsr_benchmark_is_a_matrix_and_ids(index: SparseIndex, tmp_path: Path) -> None:
    export(index, "lsr-benchmark", tmp_path / "out")
    with np.load(tmp_path / "out" / "doc" / "doc-embeddings.npz") as stored:
        assert stored["indptr"].tolist() == [0, 3, 6, 10, 10, 11]
        assert stored["indices"][:3].tolist() == [1, 3, 9]
        assert stored["data"].dtype == np.float32
    assert (tmp_path / "out" / "query" / "query-ids.txt").read_text() == "q1\nq é\nempty\n"


def test_a_collection_is_exported_whole(index: SparseIndex, tmp_path: Path) -> None:
    a = SparseIndex.build(tmp_path / "a", SparseVectors.from_dicts([{1: 1.0}], 10), ["x"])
    b = SparseIndex.build(tmp_path / "b", SparseVectors.from_dicts([{2: 1.0}], 10), ["y"])
    export_index(ShardedIndex.open([a.path, b.path]), "qdrant", tmp_path / "out")
    points = lines(tmp_path / "out" / "points.jsonl")
    assert [p["payload"]["doc_id"] for p in points] == ["x", "y"]


def test_deleted_documents_are_not_exported(index: SparseIndex, tmp_path: Path) -> None:
    index.delete(["a", "e"])
    assert export(index, "seismic", tmp_path / "out")["documents"] == 3
    assert [row["id"] for row in lines(tmp_path / "out" / "documents.jsonl")] == ['é "2"', "c\\d", "nothing"]


def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    index: SparseIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInputError, match="no target 'faiss'; there are opensearch"):
        export_index(index, "faiss", tmp_path / "out")
    with pytest.raises(InvalidInputError, match="over the 10 terms"):
        export_index(index, "qdrant", tmp_path / "out", queries=SparseVectors.empty(9, 1))
    with pytest.raises(InvalidInputError, match="1 different ids for 3 queries"):
        export_index(index, "qdrant", tmp_path / "out", queries=QUERIES, query_ids=["a", "a", "a"])
    with pytest.raises(InvalidInputError, match="9 tokens, but the index has 10 terms"):
        export_index(index, "seismic", tmp_path / "out", vocabulary=TOKENS[:9])
    with pytest.raises(InvalidInputError, match="scale: a number above 0"):
        export_index(index, "ciff", tmp_path / "out", scale=0.0)
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    with pytest.raises(IndexExistsError):
        export_index(index, "qdrant", tmp_path / "full")
    assert (tmp_path / "full" / "letter").exists()

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("splade_engine.exchange.target.Export.json", no_room)
    with pytest.raises(StorageError):
        export_index(index, "qdrant", tmp_path / "out")
    monkeypatch.undo()
    assert not (tmp_path / "out").exists()
    index.delete(IDS)
    with pytest.raises(InvalidInputError, match="no documents to export"):
        export_index(index, "qdrant", tmp_path / "out")


@pytest.mark.parametrize("target", ["qdrant", "seismic", "ciff", "lsr-benchmark"])
def test_what_is_exported_comes_back(index: SparseIndex, tmp_path: Path, target: str) -> None:
    export(index, target, tmp_path / "out", scale=1000.0)
    files = {
        "qdrant": ("points.jsonl", "qdrant"),
        "seismic": ("documents.jsonl", "seismic"),
        "ciff": ("index.ciff", "ciff"),
        "lsr-benchmark": ("", "npz"),
    }
    name, format = files[target]
    given = {} if target in ("qdrant", "lsr-benchmark") else {"vocabulary": safe_names(TOKENS, 10)}
    found = import_vectors(tmp_path / "out" / name, n_terms=10, **given)  # type: ignore[arg-type]
    assert found.ids == IDS
    assert found.vectors.terms.tolist() == index.vectors().terms.tolist()
    np.testing.assert_allclose(
        found.vectors.weights, index.vectors().weights, atol=5e-4 if format == "ciff" else 0
    )
    if target == "qdrant":
        assert found.payload is not None
        again = SparseIndex.build(tmp_path / "again", found.vectors, found.ids, payload=found.payload)
        assert again.payload([0, 2])[0]["year"] == 1990
        assert again.payload([0])[0]["text"] == "first\nline"
        assert again.payload([0])[0]["tags"] == ["x", "y"]


@pytest.mark.parametrize("target", ["ciff", "anserini", "seismic"])
def test_documents_without_any_term_are_exported(tmp_path: Path, target: str) -> None:
    index = SparseIndex.build(tmp_path / "ix", SparseVectors.from_dicts([{}, {}], len(TOKENS)), ["a", "b"])
    export(index, target, tmp_path / "out")
    (file,) = (f for f in (tmp_path / "out").rglob("*") if f.name in ("index.ciff", "documents.jsonl"))
    found = import_vectors(file, format=target, vocabulary=TOKENS)
    assert (found.ids, found.vectors.nnz) == (["a", "b"], 0)
