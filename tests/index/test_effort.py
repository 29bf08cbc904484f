"""`Effort`: one value, whichever way it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index import Budget, Effort, Exact, Recall, SearchConfig
from splade_engine.index.effort import effort_of, settings_of, stored_work
from tests.index import made

pytestmark = pytest.mark.usefixtures("lists")

SHORTHANDS: list[tuple[dict[str, Any], Effort]] = [
    ({}, Recall(0.95)),
    ({"exact": True}, Exact()),
    ({"exact": False}, Recall()),
    ({"accuracy": 0.5}, Recall(0.5)),
    ({"accuracy": 1}, Recall(1)),
    ({"config": SearchConfig(exact=True, max_postings=7)}, Exact()),
    ({"config": SearchConfig()}, Budget(30_000, 150)),
    ({"config": SearchConfig(max_postings=7, n_candidates=9)}, Budget(7, 9)),
    ({"effort": Budget(7)}, Budget(7, 150)),
]


@pytest.mark.parametrize(("options", "effort"), SHORTHANDS)
def test_every_shorthand_is_one_effort(options: dict[str, Any], effort: Effort, tmp_path: Path) -> None:
    assert effort_of(**options) == effort
    ix, queries = made.changed_index(tmp_path / "ix"), made.vectors(9, 20)
    short, long = ix.search(queries, 5, **options), ix.search(queries, 5, effort=effort)
    assert np.array_equal(short.ordinals, long.ordinals)
    assert np.array_equal(short.docs_scored, long.docs_scored)
    assert short.exact == long.exact


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exact": True, "accuracy": 0.9}, "give one of accuracy, exact and config"),
        ({"effort": Exact(), "exact": True}, "give one of accuracy, exact and config, or an effort"),
        ({"exact": 1}, "exact must be True or False, got 1"),
        ({"exact": "yes"}, "exact must be True or False, got 'yes'"),
        ({"accuracy": "0.9"}, "accuracy must be above 0 and at most 1, got '0.9'"),
        ({"accuracy": True}, "accuracy must be above 0 and at most 1, got True"),
        ({"accuracy": float("nan")}, "accuracy must be above 0 and at most 1, got nan"),
        ({"config": {"exact": True}}, "config must be a SearchConfig, got {'exact': True}"),
        ({"effort": 0.9}, "effort must be Exact, Recall or Budget, got 0.9"),
    ],
)
def test_what_is_no_effort_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        effort_of(**options)


def test_a_budget_has_bounds() -> None:
    with pytest.raises(InvalidInputError, match=r"Budget\.max_postings must be an integer between 1 and"):
        Budget(0)
    with pytest.raises(InvalidInputError, match=r"Budget\.n_candidates must be an integer between 1 and"):
        Budget(n_candidates=1 << 31)


@pytest.mark.parametrize("work", [Exact(), Budget(), Budget(5, 6)])
def test_what_tuning_stores_comes_back(work: Exact | Budget) -> None:
    stored = settings_of(work)
    assert set(stored) == {"exact", "max_postings", "n_candidates"}, "the format of every version"
    assert stored_work(stored) == work


def test_damaged_settings_are_told() -> None:
    for settings in ({"exact": 1}, {"postings": 3}, {"max_postings": -1}):
        with pytest.raises(IndexCorruptError, match="stored search settings"):
            stored_work(settings)
