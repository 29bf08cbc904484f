"""Mined rows are compared with the texts that their ids stand for now."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

from splade_engine.errors import DatasetError
from splade_engine.training.data.sources import open_source
from splade_engine.training.mining.config import MiningConfig
from splade_engine.training.mining.negatives import mine
from splade_engine.training.recipe.sections import SourceConfig
from tests.training import made

RNG = np.random.default_rng(0)
WORDS = ("moon tide ship", "tide ship harbour", "ship tea moon", "tea coffee tide", "salt ship tea")


@pytest.fixture
def folder(tmp_path):
    """A BEIR folder whose document i answers query i."""
    out = tmp_path / "set"
    (out / "qrels").mkdir(parents=True)
    made.write_jsonl(out / "queries.jsonl", [{"_id": f"q{i}", "text": t[:9]} for i, t in enumerate(WORDS)])
    made.write_jsonl(out / "corpus.jsonl", [{"_id": f"d{i}", "text": t} for i, t in enumerate(WORDS)])
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(len(WORDS)))
    (out / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return out


@pytest.fixture(params=[True, False], ids=["with texts", "ids alone"])
def mined(request, tmp_path, folder):
    out = tmp_path / "mined.jsonl"
    mine(folder, out, MiningConfig(retriever="bm25", negatives=3, texts=request.param), device="cpu")
    return out


def by_ids(tmp_path, folder, mined):
    return open_source(SourceConfig(path=str(folder), negatives=str(mined)), tmp_path / "cache")


def looked_up(tmp_path, folder, mined):
    corpus, queries = str(folder / "corpus.jsonl"), str(folder / "queries.jsonl")
    return open_source(SourceConfig(path=str(mined), corpus=corpus, queries=queries), tmp_path / "cache")


def examples(source):
    return [source.example(i, RNG) for i in range(len(source))]


def reword(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize("opened", [by_ids, looked_up])
def test_what_is_unchanged_is_read(tmp_path, folder, mined, opened):
    before = examples(opened(tmp_path, folder, mined))
    assert all(example.negatives for example in before)
    corpus = folder / "corpus.jsonl"  # another order and a document more: ids mean what they meant
    lines = [*reversed(corpus.read_text().splitlines()), '{"_id": "d9", "text": "new"}']
    corpus.write_text("\n".join(lines))
    assert examples(opened(tmp_path, folder, mined)) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("corpus.jsonl", "tea coffee tide", "something else"),
        ("corpus.jsonl", '"d1"', '"d01"'),
        ("queries.jsonl", "moon tide", "full moon"),
    ],
)
def test_other_texts_are_refused(tmp_path, folder, mined, file, old, new):
    reword(folder / file, old, new)
    if "d01" in new:  # the ids of two documents in place of one another
        reword(folder / file, '"d0"', '"d1"')
        reword(folder / file, '"d01"', '"d0"')
    with pytest.raises(DatasetError, match=rf"{re.escape(str(mined))}:\d: was mined from other texts than"):
        examples(by_ids(tmp_path, folder, mined))
    if "query" in json.loads(mined.read_text().splitlines()[0]):  # it trains on its own texts
        assert examples(looked_up(tmp_path, folder, mined))
    else:
        with pytest.raises(DatasetError, match="was mined from other texts than its ids stand for now"):
            examples(looked_up(tmp_path, folder, mined))


def test_numbers_of_pairs_are_no_ids_of_a_collection(tmp_path, folder):
    rows = [{"query": t[:9], "positive": t} for t in reversed(WORDS)]
    pairs = made.write_jsonl(tmp_path / "pairs.jsonl", rows)
    mine(pairs, tmp_path / "mined.jsonl", MiningConfig(retriever="bm25", negatives=3), device="cpu")
    numbered = shutil.copytree(folder, tmp_path / "numbered")
    for file in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv"):
        text = (numbered / file).read_text()
        (numbered / file).write_text(re.sub(r"\b[qd](\d)\b", r"\1", text))
    with pytest.raises(DatasetError, match="was mined from other texts"):
        examples(by_ids(tmp_path, numbered, tmp_path / "mined.jsonl"))


def test_rows_of_others_are_taken_as_they_are_and_told(tmp_path, folder, mined, caplog):
    for opened in (by_ids, looked_up):
        examples(opened(tmp_path, folder, mined))
    assert not caplog.text
    rows = [json.loads(line) for line in mined.read_text().splitlines()]
    for row in rows:
        del row["mined_from"]
    made.write_jsonl(mined, rows)
    reword(folder / "corpus.jsonl", "tea coffee tide", "something else")
    assert any("something else" in e.negatives for e in examples(by_ids(tmp_path, folder, mined)))
    told = f"{mined}: its rows do not say what they were mined from"
    assert caplog.text.count(told) == 1
    examples(looked_up(tmp_path, folder, mined))
    assert caplog.text.count(told) == (1 if "query" in rows[0] else 2)  # texts of its own need no ids
