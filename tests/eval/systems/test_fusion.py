from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Invented

import numpy as np
import pytest

from splade_engine.collections.dataset import Split
from splade_engine.collections.loading import load_dataset
from splade_engine.eval.run.runner import evaluate
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.run.workbench import Workbench
from splade_engine.eval.systems.bench import Settings
from splade_engine.eval.systems.fusion import choose, normalise, reciprocal_rank, weighted_sum


def _ranking(**scores: float) -> Ranking:
    return Ranking.in_order(list(scores), list(scores.values()))


def test_reciprocal_rank_by_hand():
    fused = reciprocal_rank([_ranking(a=9, b=8), _ranking(b=5, c=4)], 10, 60)
    assert fused.ids == ("b", "a", "c")
    assert fused.scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_ties_stay_in_the_order_of_the_first_system():
    fused = reciprocal_rank([_ranking(z=2), _ranking(a=2)], 10)
    assert fused.ids == ("z", "a")


def test_k_limits_the_fused_ranking():
    assert reciprocal_rank([_ranking(a=3, b=2, c=1)], 2).ids == ("a", "b")


def test_normalisation():
    assert normalise(np.array([4, 2, 0], np.float32), "minmax").tolist() == [1.0, 0.5, 0.0]
    z = normalise(np.array([4, 2, 0], np.float32), "zscore")
    assert z == pytest.approx([1.2247449, 0, -1.2247449])
    assert normalise(np.array([3], np.float32), "minmax").tolist() == [1.0]
    assert normalise(np.array([3, 3], np.float32), "zscore").tolist() == [0.0, 0.0]
    assert normalise(np.zeros(0, np.float32), "minmax").tolist() == []


def test_weighted_sum_by_hand():
    """a: .7 * 1 + .3 * 0; b: .7 * .5 + .3 * 1; c: 0 + .3 * 0 (lowest of the second)."""
    fused = weighted_sum([_ranking(a=4, b=3, d=2), _ranking(b=10, c=5)], (0.7, 0.3), 10, "minmax")
    assert fused.ids[:2] == ("a", "b")
    assert fused.scores[:2] == pytest.approx([0.7, 0.65])
    assert set(fused.ids) == {"a", "b", "c", "d"}


def test_a_missing_document_gets_the_lowest_zscore_not_the_mean():
    fused = weighted_sum([_ranking(a=4, b=2, c=0), _ranking(c=1, b=0)], (0.5, 0.5), 10, "zscore")
    scores = dict(fused)
    assert scores["a"] == pytest.approx(0.5 * 1.2247449 + 0.5 * -1.0, abs=1e-6)


def test_a_system_without_hits_does_not_matter():
    assert weighted_sum([Ranking.in_order((), ()), _ranking(a=1, b=0)], (0.9, 0.1), 5, "minmax").ids == (
        "a",
        "b",
    )


def test_the_weight_is_chosen_on_the_dev_split():
    """The second run alone is right, so all weight goes to it."""
    dev = Split("dev", {"q": "text"}, {"q": {"good": 1}})
    wrong = Run("w", {"q": _ranking(bad=2.0, worse=1.5, good=1.0)})
    right = Run("r", {"q": _ranking(good=2.0, bad=1.0)})
    (norm, weight), value = choose([wrong, right], dev, ("minmax", "zscore"), (0.0, 0.5, 1.0), 10)
    assert value == 1.0
    assert weight < 1.0
    assert norm == "minmax"


def test_an_open_weight_is_said_in_the_notes(invented: Invented, tmp_path: Path):
    folder = invented.write(tmp_path / "c", qrels={"test": invented.qrels, "dev": {"q6": {"coffee": 1}}})
    settings = Settings(encoder=invented.WordEncoder())
    result = evaluate("sum(bm25, sparse)", folder, settings=settings)
    assert "on split dev" in result.notes[0]
    (folder / "qrels" / "dev.tsv").unlink()
    result = evaluate("sum(bm25, sparse)", folder, settings=settings)
    assert result.notes == ("norm minmax, weight 0.5: not chosen, there is no dev split",)
    assert evaluate("sum(bm25, sparse, norm=zscore, weight=0.3)", folder, settings=settings).notes == ()


def test_a_hybrid_takes_the_time_of_its_parts(collection: Path, invented: Invented):
    with Workbench(load_dataset(collection), Settings(encoder=invented.WordEncoder())) as bench:
        parts = [evaluate(s, "", workbench=bench).cost.latency for s in ("bm25", "sparse")]
        fused = evaluate("rrf(bm25, sparse)", "", workbench=bench).cost.latency
    assert fused is not None
    assert all(part is not None for part in parts)
    assert fused.mean >= sum(part.mean for part in parts if part is not None)
