"""`IndexReader`: one generation, kept whatever happens to the folder."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from splade_engine.errors import IndexNotFoundError, InvalidInputError
from splade_engine.index import Exact, SparseIndex
from tests.index import made

pytestmark = pytest.mark.usefixtures("lists")


def test_a_reader_keeps_its_generation(tmp_path: Path) -> None:
    ix, queries = made.changed_index(tmp_path / "ix"), made.vectors(9, 20)
    reader = ix.reader
    before, ids, vectors = reader.search(queries, 5, effort=Exact()), reader.ids(), reader.vectors()
    frequencies, info = reader.document_frequencies(), reader.info()
    ix.add(made.vectors(3, 40), [f"new {i}" for i in range(40)])
    ix.delete(ids[:30])
    ix.compact()
    assert ix.reader is not reader
    assert ix.generation == reader.generation + 3
    after = reader.search(queries, 5, effort=Exact())
    assert np.array_equal(after.ordinals, before.ordinals)
    assert np.array_equal(after.scores, before.scores)
    assert (reader.ids(), reader.vectors(), reader.info(), len(reader)) == (ids, vectors, info, len(ids))
    assert np.array_equal(reader.document_frequencies(), frequencies)
    assert ids[0] in reader
    assert ids[0] not in ix


def test_documents_are_scored_as_a_search_scores_them(tmp_path: Path) -> None:
    ix, queries = made.changed_index(tmp_path / "ix"), made.vectors(9, 20)
    reader = ix.reader
    found = reader.search(queries, 7, effort=Exact())
    for row in range(len(queries)):
        hits = found.ordinals[row] >= 0
        scores = reader.score_terms(queries[[row]], found.ordinals[row][hits])
        np.testing.assert_allclose(scores, found.scores[row][hits], rtol=1e-5)
    assert reader.score_terms(queries[[0]], []).tolist() == []
    with pytest.raises(InvalidInputError, match="query: one row is expected, got 20"):
        reader.score_terms(queries, [0])


def test_a_refresh_without_a_change_keeps_the_reader(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    reader = ix.reader
    assert ix.refresh().reader is reader
    SparseIndex.open(tmp_path / "ix").delete(reader.ids()[:1])
    assert ix.reader is reader
    assert ix.refresh().reader is not reader


def test_another_process_reads_the_same_generation_or_none(tmp_path: Path) -> None:
    """Ordinals of one generation are other documents in the next: a reader is never quietly a newer one."""
    ix = made.index(tmp_path / "ix")
    reader = ix.reader
    assert copy.copy(reader).ids() == ix.ids()  # by the way that another process gets it
    ix.delete(ix.ids()[:1])
    with pytest.raises(IndexNotFoundError, match="has been replaced; open it anew"):
        copy.copy(reader)
    assert copy.copy(ix).ids() == ix.ids()


def test_what_the_index_remembers_of_its_encoder_cannot_be_changed_by_who_asks(tmp_path: Path) -> None:
    record = {"name": "m", "hash": "1"}
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 3), encoder=record)
    for given in (record, ix.encoder, ix.reader.encoder, ix.info().encoder, ix.info().config):
        given["hash"] = "2"
    assert ix.encoder == ix.info().encoder == {"name": "m", "hash": "1"}
    assert "hash" not in ix.info().config
