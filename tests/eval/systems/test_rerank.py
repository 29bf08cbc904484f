from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace as Invented

import numpy as np
import pytest

from splade_engine.encoder.cross import load_cross
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.eval import Settings, evaluate
from splade_engine.eval.systems.base import parse_system
from splade_engine.eval.systems.rerank import Rerank
from tests.tiny_bert import write_bert


def test_a_function_reranks(collection: Path):
    def by_length(query: str, texts: Sequence[str]) -> list[float]:
        return [-len(text) for text in texts]

    system = Rerank((parse_system("bm25"),), scorer=by_length, depth=2, name="short first")
    result = evaluate(system, collection)
    plain = evaluate("bm25", collection)
    assert result.system == "short first"
    assert result.spec == "rerank(bm25, model=by_length, depth=2)"
    assert result.mode == "exact, 2 reranked"
    assert result.run is not None
    assert plain.run is not None
    for query in plain.run:
        assert set(result.run[query].ids) == set(plain.run[query].ids[:2])
    assert result.run["q4"].ids == ("oven", "bread")


@pytest.mark.parametrize("scores", [[1.0], [float("inf")] * 2])
def test_bad_scores_are_named(collection: Path, scores: list[float]):
    system = Rerank((parse_system("bm25"),), scorer=lambda query, texts: scores, depth=2, name="bad")
    with pytest.raises(InvalidInputError, match="bad, query 'q"):
        evaluate(system, collection)


@pytest.fixture
def cross_encoder(invented: Invented, tmp_path: Path) -> Path:
    """A BERT with one output and random weights, as sentence-transformers loads it."""
    return write_bert(
        tmp_path / "cross-encoder",
        invented.vocabulary,
        "BertForSequenceClassification",
        seed=5,
        hidden_size=16,
        intermediate_size=32,
        initializer_range=0.5,
        num_labels=1,
    )


def test_a_cross_encoder_reranks(
    collection: Path, invented: Invented, cross_encoder: Path, capfd: pytest.CaptureFixture[str]
):
    """Its own scores of the same pairs give the same order."""
    from sentence_transformers import CrossEncoder

    result = evaluate(f'rerank(bm25, model="{cross_encoder}", depth=3)', collection)
    assert "Loading weights" not in capfd.readouterr().err
    plain = evaluate("bm25", collection)
    assert result.run is not None
    assert plain.run is not None
    model = CrossEncoder(str(cross_encoder), device="cpu")
    moved = 0
    for query, text in invented.queries.items():
        first = plain.run[query].ids[:3]
        if not first:
            assert not len(result.run[query])
            continue
        documents = [" ".join(invented.documents[i]).strip() for i in first]
        scores = np.array([float(s) for s in model.predict([(text, d) for d in documents])])
        assert result.run[query].ids == tuple(first[i] for i in np.argsort(-scores, kind="stable"))
        np.testing.assert_allclose(result.run[query].scores, np.sort(scores)[::-1], atol=1e-5)
        moved += result.run[query].ids != first
    assert moved  # else any order would pass


def test_a_model_without_the_layer_that_scores_is_refused(invented: Invented, tmp_path: Path):
    """Transformers gives it random weights, and says so in a report."""
    folder = write_bert(tmp_path / "bare", invented.vocabulary, "BertModel", hidden_size=16)
    with pytest.raises(CheckpointError, match=r"bare: no CrossEncoder .a BertModel has no layer that scores"):
        load_cross(folder)


def test_a_folder_that_is_no_cross_encoder_is_named(collection: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="nothing-here: no such folder"):
        evaluate(f'rerank(bm25, model="{tmp_path / "nothing-here"}")', collection)


def test_a_changed_model_folder_is_another_reranker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "model").mkdir()
    hashes = set()
    for name in ("model.safetensors", "pytorch_model.bin", "config.json", "vocab.txt"):
        for content in (b"1", b"2"):
            (tmp_path / "model" / name).write_bytes(content)
            system = parse_system(f"rerank(bm25, model={tmp_path / 'model'})")
            hashes.add(tuple(system.models(Settings()).values()))
    assert len(hashes) == 8
    (tmp_path / "model" / "README.md").write_text("words")
    assert tuple(system.models(Settings()).values()) in hashes
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="some/id: no such folder, and as a hub id: HF_HUB_OFFLINE"):
        parse_system("rerank(bm25, model=some/id)").models(Settings())
