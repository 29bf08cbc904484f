from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Invented

import numpy as np
import pytest

from splade_engine.eval.run.runner import evaluate
from splade_engine.eval.systems.bench import Settings
from splade_engine.eval.systems.feedback import rm3, rocchio
from splade_engine.vectors import SparseVectors


def _vectors(*rows: dict[int, float]) -> SparseVectors:
    return SparseVectors.from_dicts(rows, 8)


def test_rocchio_by_hand():
    """With q = 3 t0 (length 3); d = (3 t1 + 4 t2) / 5 and t1: mean (.8 t1 + .4 t2), one term kept: t1."""
    changed = rocchio(_vectors({0: 3.0}), _vectors({1: 3.0, 2: 4.0}, {1: 2.0}), 1, 1.0, 0.5)
    assert changed.to_dicts() == [pytest.approx({0: 3.0, 1: 3 * 0.5 * 0.8})]


def test_rm3_by_hand():
    """Scores 3 and 1: t1 gets .75 * .5, t2 .75 * .5 + .25; both are kept and sum to one already."""
    feedback = _vectors({1: 2.0, 2: 2.0}, {2: 5.0})
    changed = rm3(_vectors({0: 1.0, 1: 1.0}), feedback, np.array([3, 1], np.float32), 10, 0.5)
    wanted = {0: 0.25, 1: 0.25 + 0.5 * 0.375, 2: 0.5 * 0.625}
    assert changed.to_dicts() == [pytest.approx({t: 2 * w for t, w in wanted.items()})]


def test_rm3_keeps_the_heaviest_terms_and_renormalises():
    feedback = _vectors({1: 1.0, 2: 3.0, 3: 2.0})
    changed = rm3(_vectors({0: 1.0}), feedback, np.array([1], np.float32), 2, 0.0)
    assert changed.to_dicts() == [pytest.approx({2: 0.6, 3: 0.4})]


def test_without_weight_on_feedback_the_query_stays():
    query, feedback = _vectors({0: 1.0, 4: 2.0}), _vectors({1: 1.0})
    assert rocchio(query, feedback, 5, 1.0, 0.0).to_dicts() == [pytest.approx({0: 1.0, 4: 2.0})]
    assert rm3(query, feedback, np.array([1], np.float32), 5, 1.0).to_dicts() == [
        pytest.approx({0: 1.0, 4: 2.0})
    ]


@pytest.mark.parametrize("kind", ["rocchio", "rm3"])
def test_feedback_finds_what_the_query_does_not_say(collection: Path, invented: Invented, kind: str):
    """`roasted beans` has no word of the oven text; the coffee text (the best hit) shares `the` and more."""
    settings = Settings(encoder=invented.WordEncoder())
    plain = evaluate("sparse-exact", collection, settings=settings).run
    changed = evaluate(f"{kind}(sparse-exact, docs=1, terms=20)", collection, settings=settings).run
    assert plain is not None
    assert changed is not None
    assert set(plain["q6"].ids) < set(changed["q6"].ids)
    assert changed["q6"].ids[0] == "coffee"
    assert len(changed["q5"]) == 0  # no hits, no feedback


def test_interpolation_brings_in_the_other_system(collection: Path, invented: Invented):
    settings = Settings(encoder=invented.WordEncoder())
    for where in ("before", "after", "both"):
        result = evaluate(f"rm3(sparse-exact, bm25, interpolate={where})", collection, settings=settings)
        assert result.effectiveness.mean["nDCG@10"] > 0.5
