"""Which texts count as copies of a test collection's."""

from __future__ import annotations

import gzip
import json

import pytest

from scripts.train_default.copies import GRAM, Copies
from splade_engine.errors import DatasetError

WORDS = [f"word{i}" for i in range(30)]


@pytest.fixture
def collection(tmp_path):
    folder = tmp_path / "test"
    folder.mkdir()
    with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(
            json.dumps({"_id": "d", "title": " ".join(WORDS[:5]), "text": " ".join(WORDS[5:20])}) + "\n"
        )
    query = {"_id": "q", "text": "One, two; three four five six seven eight nine ten eleven twelve THIRTEEN?"}
    (folder / "queries.jsonl").write_text(json.dumps(query) + "\n")
    return folder


def test_thirteen_words_in_a_row_make_a_copy(collection):
    copies = Copies([collection])
    assert GRAM == 13
    assert copies.has("before " + " ".join(WORDS[3:16]) + " after")  # across title and text
    assert not copies.has(" ".join(WORDS[3:15]))  # twelve
    assert not copies.has(" ".join([*WORDS[3:9], "other", *WORDS[9:20]]))
    assert not copies.has(" ".join(WORDS[8:]))  # a dozen of the collection's, then others
    assert copies.has("one two three four five six seven eight nine ten eleven twelve thirteen")


def test_nothing_to_stay_apart_from(tmp_path, collection):
    assert not Copies([]).has(" ".join(WORDS))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"empty: no corpus.jsonl and no queries.jsonl"):
        Copies([collection, tmp_path / "empty"])
    (collection / "queries.jsonl").write_text('{"_id": "q", "text": "a"}\n{"_id": "r"}\n')
    with pytest.raises(DatasetError, match=r"queries.jsonl:2: not a JSON object with a text"):
        Copies([collection])
