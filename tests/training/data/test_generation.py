"""Pairs made of documents alone: a sentence and its passage, first and later passages, linked pages."""

from __future__ import annotations

import numpy as np
import pytest

from splade_engine.errors import DatasetError
from splade_engine.training.data import generation
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.data.sources import GeneratedSource, open_source
from splade_engine.training.recipe.sections import SourceConfig
from tests.training.made import write_jsonl

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
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    got = open_source(SourceConfig(path=str(path), kind=kind), tmp_path / "cache")
    assert got.example(0, np.random.default_rng(0)) is not None
    data = TrainingSet([got], [0], n_batches=3, batch_size=4, negatives=0, seed=1)
    assert all(data[i].query in PAGE for i in range(len(data)))


TIDES = """# Tides

Tides are made by the moon. They rise twice a day in most places.

See [marshes](wet/marsh.html#grass), [[Moon|the moon]], [no](gone.md),
[out](https://example.org/wet/marsh.html) and `[code](deep/README.md)`.
"""
MARSH = """<title>Marsh</title><p>Marsh grass grows in salt.</p>
<p>Back to <a href='../tides.md'>the tides</a>, <a href='/deep/'>deep water</a>,
or <a href='marsh.html'>here</a>.</p>
"""
DEEP = "# Deep water\n\nNo light reaches the deep sea at all.\n\n[up]: ../tides"


def folder_of_pages(root):
    files = {"tides.md": TIDES, "wet/marsh.html": MARSH, "deep/README.md": DEEP, "sky/moon.txt": "It pulls."}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_links_of_a_folder_are_those_of_its_pages(tmp_path):
    source = GeneratedSource(folder_of_pages(tmp_path / "notes"), tmp_path / "cache", "wlp")
    rows = {record["_id"]: record["links"] for record in map(source.lines.record, range(len(source)))}
    assert rows == {
        "tides.md": ["wet/marsh.html", "sky/moon.txt"],
        "wet/marsh.html": ["tides.md", "deep/README.md"],
        "deep/README.md": ["tides.md"],
        "sky/moon.txt": [],
    }
    row = list(rows).index("deep/README.md")
    pairs = {source.example(row, np.random.default_rng(seed)) for seed in range(30)}
    assert {pair.query for pair in pairs} == {"No light reaches the deep sea at all."}
    first, second = "Tides are made by the moon. They rise twice a day in most places.", "See [marshes]"
    texts = sorted(pair.positives[0] for pair in pairs)
    assert texts[0].startswith(second) and texts[1] == f"Tides.\n{first}" and len(texts) == 2
    assert source.example(list(rows).index("sky/moon.txt"), np.random.default_rng(0)) is None
    again = GeneratedSource(tmp_path / "notes", tmp_path / "cache", "ict")
    assert again.digests() == source.digests()


def test_links_that_cannot_be_followed_are_told(tmp_path):
    rows = [{"_id": "a", "text": PAGE, "see": ["b"]}, {"_id": "b", "text": "Salt marshes are wet."}]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    assert GeneratedSource(path, tmp_path, "wlp", "see").example(0, np.random.default_rng(0)) is not None
    with pytest.raises(DatasetError, match=r"rows.jsonl: no page has a link to another in the field links"):
        GeneratedSource(path, tmp_path, "wlp")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("[out](https://example.org) and [gone](gone.md), nothing else.")
    with pytest.raises(DatasetError, match=r"notes: no page has a link to another in Markdown or HTML"):
        GeneratedSource(tmp_path / "notes", tmp_path, "wlp")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"empty: neither a collection .* nor a folder of files with text"):
        GeneratedSource(tmp_path / "empty", tmp_path, "ict")
    write_jsonl(path, [{"_id": "a", "text": PAGE, "links": "b"}])
    with pytest.raises(DatasetError, match=r"rows.jsonl:1: the field links is not a list of ids"):
        GeneratedSource(path, tmp_path, "wlp")
    write_jsonl(path, [{"_id": "a", "text": PAGE, "links": ["b"]}, {"_id": "b", "contents": "x"}])
    with pytest.raises(DatasetError, match=r"rows.jsonl:2: the field text is missing"):
        GeneratedSource(path, tmp_path, "wlp").example(0, np.random.default_rng(0))
