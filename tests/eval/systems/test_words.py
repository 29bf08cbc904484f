"""The system `words`: BM25 over words as they are written, alone and fused."""

from __future__ import annotations

from pathlib import Path

from splade_engine.eval.run.runner import evaluate
from splade_engine.index.words.text import words_of
from tests.small_collection import DOCUMENTS, QUERIES


def test_it_ranks_by_the_words_of_title_and_text(collection: Path) -> None:
    result = evaluate("words", str(collection))
    held = {id: set(words_of(f"{title} {text}")) for id, (title, text) in DOCUMENTS.items()}
    common = {w for w in set().union(*held.values()) if sum(w in h for h in held.values()) > len(held) / 2}
    for query_id, text in QUERIES.items():
        wanted = set(words_of(text)) & set().union(*held.values())
        wanted = wanted - common or wanted
        found = result.run[query_id].ids
        assert set(found) == {id for id, words in held.items() if words & wanted}
    assert result.run["q4"].ids == ("bread", "oven")
    assert result.cost.index_bytes > 0


def test_it_can_be_fused(collection: Path) -> None:
    fused = evaluate("sum(words, bm25, norm=minmax, weight=1)", str(collection))
    alone = evaluate("words", str(collection))
    for query_id in QUERIES:
        n = len(alone.run[query_id])
        assert fused.run[query_id].ids[:n] == alone.run[query_id].ids
