"""Indexes written by released versions open, and answer what their documents say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from splade_engine.errors import IndexVersionError
from splade_engine.index import SearchConfig, SparseIndex
from splade_engine.index.disk.manifest import FORMAT_VERSION
from splade_engine.vectors import SparseVectors
from tests import oracle
from tests.attacks.hostile import read_body, write_body
from tests.attacks.victim import copy

HERE = Path(__file__).parent
N_TERMS = 60


def rows(dicts: list[dict[str, float]]) -> SparseVectors:
    return SparseVectors.from_dicts([{int(t): w for t, w in row.items()} for row in dicts], N_TERMS)


FOLDERS = sorted(path.name for path in HERE.glob("format-*"))


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> Path:
    return HERE / str(request.param)


def test_no_version_and_no_kind_of_rows_is_missing() -> None:
    assert FOLDERS == [
        "format-1",
        "format-1-uint8-split",
        "format-2",
        "format-3",
        "format-3-uint8-split-pruned",
    ]
    assert {name.split("-")[1] for name in FOLDERS} == {str(v) for v in range(1, FORMAT_VERSION + 1)}


def test_every_released_format_is_read(folder: Path, tmp_path: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    given, queries = rows(expected["vectors"]), rows(expected["queries"])
    ix = SparseIndex.open(copy(folder / "index", tmp_path / "ix"))
    ix.check(deep=True)
    assert ix.info().format_version == int(folder.name.split("-")[1])
    documents = oracle.stored(given, "uint8") if "uint8" in folder.name else given
    live = np.array([name not in expected["deleted"] for name in expected["ids"]])
    assert len(ix) == live.sum()
    assert ix.encoder == expected["encoder"]
    assert ix.ids(range(len(live))) == expected["ids"]
    assert ix.payload(range(len(live))) == expected["payload"]
    assert ix.vectors(range(len(live))) == documents
    ordinals, scores = oracle.exact(documents, queries, 9, live)
    for options in ({"exact": True}, {"config": SearchConfig(n_candidates=1 << 30)}):
        found = ix.search(queries, 9, **options)
        assert np.array_equal(found.ordinals, ordinals)
        assert np.array_equal(found.scores, scores)
    assert [(t.k, t.target) for t in ix.info().tuned] == [(3, 0.9)]
    found = ix.search(queries, 9, where="year >= 1990 and tags = 'odd'", exact=True)
    assert {o for o in found.ordinals.ravel().tolist() if o >= 0} <= set(range(11, 31, 2))
    assert ix.info().lists.kind == ("blocks" if "format-3" in folder.name else "impact")
    assert bool(ix.info().n_pruned) == ("pruned" in folder.name)
    if ix.reader.has_words:
        titles = [row["title"] for row in expected["payload"]]
        held = [i for i, title in enumerate(titles) if title and "3" in title.split() and live[i]]
        assert sorted(ix.reader.search_words(["3"], 40)[0].tolist()) == held != []


def test_a_golden_index_can_be_changed(folder: Path, tmp_path: Path) -> None:
    ix = SparseIndex.open(copy(folder / "index", tmp_path / "ix"))
    before = ix.ids()
    ix.delete(["日本"])
    ix.add(rows([{"3": 1.0}]), ["new"])
    ix.compact()
    assert ix.ids() == [name for name in before if name != "日本"] + ["new"]


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, 1 << 56])
def test_other_versions_are_refused_by_name(version: int, tmp_path: Path) -> None:
    folder = copy(HERE / "format-1" / "index", tmp_path / "ix")
    body = read_body(folder)
    write_body(folder, body | {"format_version": version, "a key of another version": 1})
    with pytest.raises(
        IndexVersionError, match=f"index format {version}, this release reads {FORMAT_VERSION}"
    ):
        SparseIndex.open(folder)
