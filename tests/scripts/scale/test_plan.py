"""Machines, memory and money by hand, and what gives way."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.scale.__main__ import FIGURES, _counts
from scripts.scale.figures import GIB, Figures, read_figures
from scripts.scale.plan import Wanted, first_to_break, planned
from splade_engine.errors import InvalidInputError


@pytest.fixture
def figures() -> Figures:
    return Figures(
        terms=100.0,
        bytes_per_posting=8.0,
        payload_bytes=200.0,
        passages_per_second_core=50.0,
        seconds_per_million_core=40.0,
        search={"0.95": ((1e5, 100.0), (1e6, 1000.0))},
        quantiles=(0.0, 0.5, 1.0),
        milliseconds=(1.0, 2.0, 3.0),
        network_ms=0.5,
        memory_gib=10.0,
        cores=4,
        price_per_hour=2.0,
        memory_share=0.5,
        hours_between_failures=99.0,
        hours_to_replace=1.0,
        shards=100,
    )


def test_the_figures_that_are_published_can_be_read() -> None:
    figures = read_figures(FIGURES)
    assert figures.search_ms("0.95", 300_000) == pytest.approx(0.109)
    assert figures.search_ms("0.95", 100_000) == pytest.approx(0.067)


def test_a_collection_by_hand(figures: Figures) -> None:
    assert figures.passage_bytes == 1000.0
    assert figures.documents_per_machine == 5 * GIB // 1000
    plan = planned(figures, Wanted(10 * figures.documents_per_machine, queries_per_second=0.01, replicas=2))
    assert (plan.shards, plan.machines, plan.price_per_hour) == (10, 20, 40.0)
    assert plan.index_gib == pytest.approx(50.0, rel=1e-6)
    assert plan.search_ms == pytest.approx(figures.documents_per_machine / 1e6, rel=1e-6)  # linear here
    assert plan.encode_core_hours == pytest.approx(10 * figures.documents_per_machine / 50 / 3600)
    assert plan.available == pytest.approx((1 - 0.01**2) ** 10)


def test_processors_ask_for_more_shards_than_memory_does(figures: Figures) -> None:
    quiet = planned(figures, Wanted(figures.documents_per_machine, queries_per_second=0.01))
    busy = planned(figures, Wanted(figures.documents_per_machine, queries_per_second=1000.0))
    assert quiet.shards == 1
    assert busy.shards > 1
    assert busy.load <= 0.5


def test_what_gives_way_is_told_with_its_knob(figures: Figures) -> None:
    small = planned(figures, Wanted(1000))
    assert first_to_break(figures, small, 5.0) == []
    large = planned(figures, Wanted(200 * figures.documents_per_machine, 0.01))
    told = dict(first_to_break(figures, large, 5000.0))
    assert any("200 shards" in what for what in told)
    assert any("p99 of 5000 ms" in what for what in told)
    assert any("of the time" in what for what in told)
    assert all(told.values())


def test_a_recall_that_was_not_measured_is_refused(figures: Figures) -> None:
    with pytest.raises(InvalidInputError, match=r"recall 0\.7: measured are 0\.95"):
        planned(figures, Wanted(10, recall="0.7"))


@pytest.mark.parametrize(
    ("line", "other", "message"),
    [
        ("cores = 16", "cores = 0", "cores: not a positive number"),
        ("cores = 16", "cores = nan", "cores: not a positive number"),
        ("memory_share = 0.8", "memory_share = 1.8", "memory_share: at most 1"),
        ("cores = 16", "", "missing 1 required"),
        ("quantiles = [0.0,", "quantiles = [0.7,", "quantiles must rise"),
        ("[limits]", "[limits", "scale.toml"),
    ],
)
def test_figures_that_cannot_be_are_refused(tmp_path: Path, line: str, other: str, message: str) -> None:
    file = tmp_path / "scale.toml"
    text = FIGURES.read_text()
    assert line in text
    file.write_text(text.replace(line, other))
    with pytest.raises(InvalidInputError, match=message):
        read_figures(file)


def test_numbers_are_read_with_their_units() -> None:
    assert _counts("250000,10M,1.5b") == [250_000, 10_000_000, 1_500_000_000]
