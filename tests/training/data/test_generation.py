"""Pairs made of documents alone: a sentence and its passage, first and later passages, linked pages."""

from __future__ import annotations

import numpy as np
import pytest

from splade_engine.training.data import generation
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.data.sources import open_source
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
