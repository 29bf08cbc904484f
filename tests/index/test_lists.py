"""Kinds of posting lists: what may be chosen, and that no index changes its kind unless told."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splade_engine import SearchEngine
from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index import (
    AutoLists,
    BlockLists,
    BuildConfig,
    ImpactLists,
    ShardedIndex,
    SparseIndex,
    auto_lists,
)
from splade_engine.index.auto_lists import chosen_lists
from splade_engine.index.config import stored_build_config
from splade_engine.index.lists import lists_of, written
from splade_engine.index.segment.segment import write_segment
from splade_engine.vectors import SparseVectors
from tests.attacks.hostile import read_body, write_body
from tests.fake_encoder import FakeEncoder
from tests.index import made

PRUNED = BlockLists(cap=5, rounds=1)


def test_a_name_is_the_value_with_its_defaults() -> None:
    assert BuildConfig() == BuildConfig(lists="impact") == BuildConfig(lists=ImpactLists())
    assert BuildConfig(lists="blocks") == BuildConfig(lists=BlockLists())
    assert BuildConfig(lists="blocks") != BuildConfig(lists=PRUNED)
    assert BuildConfig(lists="auto") == BuildConfig(lists=AutoLists())


def test_a_name_takes_parameters_in_brackets() -> None:
    assert BuildConfig(lists="blocks(energy=0.9)") == BuildConfig(lists=BlockLists(energy=0.9))
    assert lists_of(" blocks ( cap = 20000 , order=given ) ") == BlockLists(cap=20_000, order="given")
    assert lists_of("auto(query_terms=6.5)") == AutoLists(query_terms=6.5)
    assert lists_of("blocks()") == BlockLists()


@pytest.mark.parametrize(
    "lists", [ImpactLists(), BlockLists(), PRUNED, BlockLists(energy=0.85, order="given")]
)
def test_what_is_written_is_read_again(lists: Any) -> None:
    assert lists_of(written(lists)) == lists
    assert written(BlockLists(energy=0.9, cap=7)) == "blocks(energy=0.9, cap=7)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blocks(energy=2)", r"BlockLists\.energy must be above 0 and at most 1, got 2"),
        ("blocks(energy=nan)", r"BlockLists\.energy must be above 0 and at most 1, got nan"),
        ("blocks(cap=0)", r"BlockLists\.cap must be an integer between 1"),
        ("blocks(cap=half)", r"BlockLists\.cap must be an integer between 1 and \d+, got 'half'"),
        ("blocks(share=0.9)", r"lists: blocks takes order, .* each once as name=value, got 'share=0\.9'"),
        ("blocks(energy)", r"lists: blocks takes order, .* got 'energy'"),
        ("blocks(cap=5, cap=6)", r"lists: blocks takes order, .* got 'cap=6'"),
        ("impact(cap=5)", r"lists: impact takes no parameters, got 'cap=5'"),
        ("blocks(cap=5", r"lists must be one of auto, impact, blocks"),
        ("(cap=5)", r"lists must be one of auto, impact, blocks"),
    ],
)
def test_parameters_in_brackets_are_checked(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        BuildConfig(lists=text)


@pytest.mark.parametrize("lists", ["impact", "blocks", PRUNED, BlockLists(energy=0.5, order="given")])
def test_what_is_stored_comes_back(lists: Any) -> None:
    config = BuildConfig("uint8", "split", lists, True)
    assert stored_build_config(config.to_record()) == config


def test_the_record_of_lists_in_order_of_impact_is_that_of_format_1() -> None:
    assert BuildConfig().to_record() == {"weights": "auto", "terms": "auto"}
    record = BuildConfig(lists="blocks").to_record()["lists"]
    assert record == {
        "kind": "blocks",
        "order": "alike",
        "dimensions": 256,
        "clusters": 128,
        "rounds": 5,
        "energy": 1.0,
        "mean_postings": None,
        "cap": None,
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BuildConfig(lists="windows"), "lists must be one of auto, impact, blocks, .* got 'windows'"),
        (lambda: BuildConfig(lists=None), "lists must be one of"),
        (lambda: BuildConfig(lists=["blocks"]), "lists must be one of"),
        (lambda: AutoLists(query_terms=0), r"AutoLists\.query_terms must be above 0, got 0"),
        (lambda: AutoLists(query_terms=float("nan")), r"AutoLists\.query_terms must be above 0, got nan"),
        (lambda: AutoLists(k=0), r"AutoLists\.k must be an integer between 1 and \d+, got 0"),
        (lambda: BlockLists(cap=0), r"BlockLists\.cap must be an integer between 1 and \d+, got 0"),
        (lambda: BlockLists(cap=1.5), r"BlockLists\.cap must be an integer"),
        (lambda: BlockLists(mean_postings=-1), r"BlockLists\.mean_postings must be an integer between 1"),
        (lambda: BlockLists(energy=1.01), r"BlockLists\.energy must be above 0 and at most 1, got 1\.01"),
        (lambda: BlockLists(energy=0), r"BlockLists\.energy must be above 0 and at most 1, got 0"),
        (lambda: BlockLists(energy=float("nan")), r"BlockLists\.energy must be above 0"),
        (lambda: BlockLists(energy=True), r"BlockLists\.energy must be above 0"),
        (lambda: BlockLists(order="random"), r"BlockLists\.order must be one of alike, given, got 'random'"),
        (lambda: BlockLists(dimensions=100), r"BlockLists\.dimensions must be a multiple of 64, got 100"),
        (lambda: BlockLists(dimensions=4096), r"BlockLists\.dimensions must be an integer between 64"),
        (lambda: BlockLists(clusters=1), r"BlockLists\.clusters must be an integer between 2 and 4096"),
        (lambda: BlockLists(rounds=-1), r"BlockLists\.rounds must be an integer between 0"),
    ],
)
def test_parameters_that_cannot_work_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize(
    "stored",
    [
        {"kind": "blocks", "cap": 0},
        "auto",
        {"kind": "auto"},
        {"kind": "x"},
        {"kind": ["blocks"]},
        {},
        5,
        {"kind": "blocks", "y": 1},
    ],
)
def test_stored_parameters_are_checked(stored: Any, tmp_path: Path) -> None:
    SparseIndex.build(tmp_path / "ix", made.vectors(1, 9), config=BuildConfig(lists="blocks"))
    body = read_body(tmp_path / "ix")
    body["config"]["lists"] = stored
    write_body(tmp_path / "ix", body)
    with pytest.raises(IndexCorruptError, match=r"manifest\.json: stored build settings"):
        SparseIndex.open(tmp_path / "ix")


def test_segments_of_another_kind_than_the_index_says_are_refused(tmp_path: Path) -> None:
    SparseIndex.build(tmp_path / "ix", made.vectors(1, 9), config=BuildConfig(lists="blocks"))
    body = read_body(tmp_path / "ix")
    del body["config"]["lists"]
    write_body(tmp_path / "ix", body | {"format_version": 1})
    with pytest.raises(IndexCorruptError, match="segment 0 has lists of the kind blocks, not as config says"):
        SparseIndex.open(tmp_path / "ix")


# ---- one kind for life, unless told -------------------------------------------------------------


@pytest.mark.parametrize("lists", [BlockLists(), PRUNED])
def test_changes_keep_the_kind_and_its_parameters(lists: BlockLists, tmp_path: Path) -> None:
    config = BuildConfig(lists=lists)
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 60), config=config, threads=1)
    assert (ix.info().format_version, ix.info().lists) == (3, lists)
    ix.add(made.vectors(2, 40), [f"a{i}" for i in range(40)], threads=1)
    ix.update(made.vectors(3, 5), [str(i) for i in range(5)], threads=1)
    ix.delete(["7"])
    ix.compact(threads=1)
    assert ix.info().lists == lists
    whole = SparseIndex.build(tmp_path / "w", ix.vectors(), ix.ids(), config=config, threads=1)
    (a,), (b,) = ix.reader.snapshot.segments, whole.reader.snapshot.segments
    assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in b.arrays)
    assert bool(ix.info().n_pruned) == (lists is PRUNED)
    ix.check()


def test_a_change_of_kind_is_asked_for_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    documents, queries = made.vectors(1, 300), made.vectors(9, 20)
    ix = SparseIndex.build(tmp_path / "ix", documents, threads=1)
    ix.tune(queries, k=3, targets=(0.9,))
    before = made.answers(ix, queries)
    with caplog.at_level(logging.INFO, "splade_engine"):
        ix.compact(lists=PRUNED, threads=1)
    assert ix.info().lists == PRUNED
    assert ix.info().tuned == ()  # it was measured on other lists
    assert "posting lists were ImpactLists() and are BlockLists(" in caplog.text
    assert "tune it again" in caplog.text
    assert made.answers(ix, queries) == before
    ix.check()
    generation = ix.generation
    ix.compact(lists=PRUNED, threads=1)
    assert ix.generation == generation  # nothing to do
    ix.compact(lists="impact", threads=1)
    whole = SparseIndex.build(tmp_path / "w", documents, threads=1)
    assert ix.info().format_version == 1
    assert [s.record.postings.sections for s in ix.reader.snapshot.segments] == [
        s.record.postings.sections for s in whole.reader.snapshot.segments
    ]
    with pytest.raises(InvalidInputError, match="lists must be one of"):
        ix.compact(lists="windows")


def test_indexes_of_two_kinds_are_merged_only_when_one_is_named(tmp_path: Path) -> None:
    a = SparseIndex.build(tmp_path / "a", made.vectors(1, 30), threads=1)
    config = BuildConfig(lists="blocks")
    b = SparseIndex.build(tmp_path / "b", made.vectors(2, 20), [f"b{i}" for i in range(20)], config=config)
    with pytest.raises(InvalidInputError, match=r"b: was built with lists BlockLists.* with ImpactLists\(\)"):
        SparseIndex.merge(tmp_path / "m", [a, b])
    for lists in ("impact", "blocks", PRUNED):
        one = SparseIndex.merge(tmp_path / "m", [a, b], config=BuildConfig(lists=lists), overwrite=True)
        assert one.info().lists == BuildConfig(lists=lists).lists
        one.check()
    queries = made.vectors(9, 20)
    both = ShardedIndex.collect(tmp_path / "c", [a.path, b.path])
    assert made.answers(both, queries) == made.answers(one, queries)
    both.compact(lists="blocks")
    assert [shard.info().lists.kind for shard in both.shards] == ["blocks", "blocks"]
    assert made.answers(both, queries) == made.answers(one, queries)


# ---- auto --------------------------------------------------------------------------------------


def test_auto_is_what_the_table_says() -> None:
    for row in auto_lists.TABLE:
        assert chosen_lists(AutoLists(query_terms=row.most), row.least) == BlockLists()
        assert chosen_lists(AutoLists(query_terms=row.most), row.least - 1) == ImpactLists()
    assert chosen_lists(AutoLists(query_terms=7), 399_999) == BlockLists()
    assert chosen_lists(AutoLists(query_terms=7), 400_000) == ImpactLists()
    assert chosen_lists(AutoLists(query_terms=11), 400_000) == BlockLists()
    assert chosen_lists(AutoLists(query_terms=45), 10**9) == ImpactLists()
    assert chosen_lists("auto", 10**9) == ImpactLists()  # nothing is known of the queries
    assert chosen_lists(AutoLists(query_terms=7, k=50), 200_000) == BlockLists()
    assert chosen_lists(AutoLists(query_terms=7, k=51), 200_000) == ImpactLists()
    assert chosen_lists("blocks", 1) == BlockLists()
    assert chosen_lists(PRUNED, 10**9) == PRUNED


def test_an_index_remembers_what_auto_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_lists, "TABLE", (auto_lists.Measured(50, math.inf, 0, 20),))
    config = BuildConfig(lists=AutoLists(query_terms=7))
    small = SparseIndex.build(tmp_path / "small", made.vectors(1, 49), config=config)
    large = SparseIndex.build(tmp_path / "large", made.vectors(1, 50), config=config)
    assert (small.info().lists.kind, large.info().lists.kind) == ("impact", "blocks")
    assert small.info().config == {"weights": "auto", "terms": "auto"}
    small.add(made.vectors(2, 40), [f"a{i}" for i in range(40)])
    small.compact()
    assert small.info().lists.kind == "impact"  # no change makes it another one
    small.compact(lists=AutoLists(query_terms=7))
    assert small.info().lists.kind == "blocks"


def test_a_build_in_parts_gets_the_lists_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_lists, "TABLE", (auto_lists.Measured(250, math.inf, 0, 20),))
    monkeypatch.setattr("splade_engine.index.stream.segment_cost", lambda nnz, n_docs, payload: n_docs << 20)
    batches = [made.vectors(i, 100) for i in range(4)]
    config = BuildConfig(lists=AutoLists(query_terms=7))
    ix = SparseIndex.build(tmp_path / "ix", iter(batches), config=config, memory=100, threads=1)
    assert (ix.info().n_segments, ix.info().lists) == (1, BlockLists())
    ix.check()


def test_parts_of_a_build_have_lists_that_cost_little_and_the_whole_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def kept(
        writer: Any, vectors: SparseVectors, ids: Any, table: Any, config: BuildConfig, *more: Any
    ) -> Any:
        written.append((len(vectors), config.lists))
        return write_segment(writer, vectors, ids, table, config, *more)

    for module in ("stream", "merge"):
        monkeypatch.setattr(f"splade_engine.index.{module}.write_segment", kept)
    monkeypatch.setattr("splade_engine.index.stream.segment_cost", lambda nnz, n_docs, payload: n_docs << 20)
    batches = [made.vectors(i, 100) for i in range(3)]
    config = BuildConfig(lists=PRUNED)
    parted = SparseIndex.build(tmp_path / "parted", iter(batches), config=config, memory=250, threads=1)
    assert written == [(200, ImpactLists()), (100, ImpactLists()), (300, PRUNED)]
    whole = SparseIndex.build(tmp_path / "whole", SparseVectors.concat(batches), config=config, threads=1)
    one, other = (ix.reader.snapshot.segments[0].record.postings.sections for ix in (parted, whole))
    assert one == other  # array by array, by their checksums
    written.clear()
    SparseIndex.build(tmp_path / "small", iter(batches), config=config, memory=1000, threads=1)
    assert written == [(300, PRUNED)]  # the budget cuts nothing, and nothing is built twice


def test_an_engine_knows_whether_its_queries_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_lists, "TABLE", (auto_lists.Measured(1, math.inf, 0, 20),))
    corpus = [{"id": "moon", "text": "the moon"}, {"id": "sun", "text": "the sun"}]
    config = BuildConfig(lists="auto")
    for free, kind in ((True, "blocks"), (False, "impact")):
        encoder = FakeEncoder()
        monkeypatch.setattr(type(encoder), "inference_free", free, raising=False)
        engine = SearchEngine.build(tmp_path / kind, corpus, encoder, config=config)
        assert engine.index.info().lists.kind == kind
