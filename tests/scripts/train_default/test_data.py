"""Training pairs of the bundled encoder, on an invented folder of the expected layout."""

from __future__ import annotations

import gzip
import json
import random
import re

import pyarrow as pa
import pytest

from scripts.train_default import data as default_data
from scripts.train_default.data import (
    SOURCES,
    default_pairs,
    documents_for_idf,
    keyword_query,
    sentence_query,
    write_sources,
)
from splade_engine.errors import DatasetError

PASSAGE = " ".join(
    f"Sentence number {i} tells the reader about lantern{i}, harbour{i} and several other invented things."
    for i in range(6)
)


@pytest.fixture(autouse=True)
def few_distractors(monkeypatch):
    """Four of the twenty invented Wikipedia passages, in place of the first 100,000."""
    monkeypatch.setattr(default_data, "DISTRACTORS", 4)


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)


def collection(folder, ids, **extra):
    write(
        folder / "corpus.jsonl.gz", [{"_id": i, "title": "", "text": f"{i} {PASSAGE}", **extra} for i in ids]
    )
    write(folder / "queries.jsonl.gz", [{"_id": f"q{i}", "text": f"question about {i}"} for i in ids])
    write(
        folder / "qrels" / "train.tsv.gz", ["query-id\tcorpus-id\tscore\n", *(f"q{i}\t{i}\t1\n" for i in ids)]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name in SOURCES:
        ids = [f"{name}-{i}" for i in range(310)]
        if name == "acl-anthology":
            ids = [*(f"2017.acl-{i}" for i in range(305)), "P15-1001", "2014.x-1", "Q19-1"]
        collection(root / "train" / name, ids)
    collection(root / "train" / "openstax", ["nc"], src="astronomy|by-nc-sa")
    free = [{"_id": "free", "title": "Unit", "text": PASSAGE, "src": "physics|by"}]
    nc = [{"_id": "nc", "title": "", "text": f"forbidden {PASSAGE}", "src": "astronomy|by-nc-sa"}]
    write(root / "train" / "openstax" / "corpus.jsonl.gz", free + nc)
    wiki = [{"_id": str(i), "title": "Lamp", "text": f"Wiki{i}. {PASSAGE}"} for i in range(20)]
    (root / "passages").mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in wiki).encode()
    compressed = pa.Codec("zstd").compress(lines, asbytes=True)
    (root / "passages" / "wikipedia-en.jsonl.zst").write_bytes(compressed)
    return root


def test_pairs_are_licensed_held_out_and_repeatable(folder):
    pairs, held = default_pairs(folder)
    text = " ".join(pair.document for pair in pairs)
    assert "forbidden" not in text
    assert "P15-1001" not in text
    assert "2014.x-1" not in text
    assert {pair.source for pair in pairs} == {*SOURCES, "openstax", "wikipedia", "wikipedia-sentences"}
    assert len(held) == 4 * 300
    documents = {pair.document for pair in pairs}
    assert not documents & {pair.document for pair in held}
    assert default_pairs(folder)[0] == pairs
    assert default_pairs(folder, seed=2)[0] != pairs


def test_no_article_fills_the_mixture(folder):
    pairs, _ = default_pairs(folder)
    assert 0 < sum(pair.source == "wikipedia" for pair in pairs) <= 6


def test_evaluation_keeps_the_first_passages(folder):
    pairs, _ = default_pairs(folder)
    seen = {n for pair in pairs for n in re.findall(r"Wiki(\d+)\.", pair.document)}
    assert seen and not seen & {"0", "1", "2", "3"}


def test_some_documents_are_passages_in_a_row(folder, monkeypatch):
    monkeypatch.setattr(default_data, "LONG", 1.0)
    monkeypatch.setattr(default_data, "PER_ARTICLE", 100)
    documents = [pair.document for pair in default_pairs(folder)[0] if pair.source == "wikipedia"]
    numbers = [[int(n) for n in re.findall(r"Wiki(\d+)\.", d)] for d in documents]
    assert max(map(len, numbers)) == 4
    assert all(row == list(range(row[0], row[0] + len(row))) for row in numbers if len(row) > 1)
    monkeypatch.setattr(default_data, "LONG", 0.0)
    documents = [pair.document for pair in default_pairs(folder)[0] if pair.source == "wikipedia"]
    assert max(len(re.findall("Wiki", d)) for d in documents) == 1


def test_idf_documents(folder):
    documents = list(documents_for_idf(folder))
    assert sum(d.startswith("Lamp Wiki") for d in documents) == 4  # each fourth of 20, without the first
    assert not any("forbidden" in d for d in documents)


def test_a_sentence_query_comes_from_the_passage():
    for seed in range(40):
        query, passage = sentence_query(PASSAGE, random.Random(seed), keep=0.0)
        assert query in PASSAGE
        assert query not in passage
        assert 5 <= len(query.split()) <= 40
        kept = sentence_query(PASSAGE, random.Random(seed), keep=1.0)
        assert kept[1] == PASSAGE
    assert sentence_query("Too short. To use.", random.Random(0), keep=0.0) is None


def test_keyword_queries():
    for seed in range(20):
        words = keyword_query(PASSAGE, random.Random(seed)).split()
        assert 1 <= len(words) <= 4
        assert set(words) <= set(PASSAGE.lower().replace(",", " ").replace(".", " ").split()) | {
            "lantern",
            "harbour",
        }
        assert "about" not in words
    assert keyword_query("few words", random.Random(0)) is None


def test_a_missing_or_broken_source_is_named(folder, tmp_path):
    with pytest.raises(DatasetError, match=r"arxiv-abstracts.corpus.jsonl.gz: no such file"):
        default_pairs(tmp_path)
    broken = tmp_path / "train" / "arxiv-abstracts"
    collection(broken, ["a"])
    whole = (broken / "corpus.jsonl.gz").read_bytes()
    (broken / "corpus.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"corpus.jsonl.gz:\d+: the compressed file ends too early"):
        default_pairs(tmp_path)
    write(broken / "corpus.jsonl.gz", ["{\n"])
    with pytest.raises(DatasetError, match=r"corpus.jsonl.gz:1: not JSON"):
        default_pairs(tmp_path)


def test_single_sentences_are_documents_too(folder):
    pairs = [pair for pair in default_pairs(folder)[0] if pair.source == "wikipedia-sentences"]
    assert pairs
    for pair in pairs:
        assert pair.document.count(".") == 1 and 10 <= len(pair.document.split()) <= 45
        assert all(word in pair.document.lower() for word in pair.query.lower().split())


def test_copies_of_test_texts_are_not_written(folder, tmp_path):
    everything = write_sources(folder, tmp_path / "all")
    assert [path.stem for path in everything] == [*SOURCES, "openstax", "wikipedia", "wikipedia-sentences"]
    rows = [json.loads(line) for path in everything for line in path.read_text().splitlines()]
    assert [(r["query"], r["positive"]) for r in rows] == [
        (p.query, p.document) for p in default_pairs(folder)[0]
    ]
    collection(tmp_path / "test", ["t"])  # its document holds PASSAGE, as all the others do
    assert write_sources(folder, tmp_path / "none", [tmp_path / "test"]) == []
    quoted = "x 227 Sentence number 0 tells the reader about lantern0, harbour0 and several other"
    write(tmp_path / "test" / "corpus.jsonl.gz", [{"_id": "t", "text": quoted}])
    apart = write_sources(folder, tmp_path / "apart", [tmp_path / "test"])
    kept = [json.loads(line) for path in apart for line in path.read_text().splitlines()]
    assert kept == [row for row in rows if "-227 Sentence" not in row["positive"]]
    assert 0 < len(rows) - len(kept) < 10
