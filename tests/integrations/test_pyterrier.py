"""PyTerrier: transformers as PyTerrier inspects them, experiments, artifacts."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

pt = pytest.importorskip("pyterrier", reason="pyterrier is not installed: splade-engine[pyterrier]")

import pandas as pd

from splade_engine.errors import InvalidInputError, SpladeEngineError
from splade_engine.integrations import pyterrier as adapter
from splade_engine.integrations.pyterrier import SpladeEngineIndex, SpladeEngineRetriever, artifact_metadata
from tests.fake_encoder import FakeEncoder
from tests.integrations.conftest import QUERY, RECORDS

TOPICS = pd.DataFrame([["q1", QUERY], ["q2", "xyzzy"], ["q3", "bread -salt"]], columns=["qid", "query"])
ROOT = Path(__file__).parents[2]


def test_results_are_those_of_the_engine_for_each_query(engine, ranking):
    found = SpladeEngineRetriever(engine)(TOPICS)
    assert list(found.columns) == ["qid", "query", "docno", "score", "rank"]
    first = found[found.qid == "q1"]
    assert list(zip(first.docno, first.score, strict=True)) == ranking
    assert first["rank"].tolist() == [0, 1, 2]
    assert "q2" not in set(found.qid)
    # a minus is plain text in topics, unless the signs are asked for
    assert found[found.qid == "q3"].docno.tolist() == ["loaf"]
    assert SpladeEngineRetriever(engine, operators=True)(TOPICS[2:]).empty


def test_fields_filters_and_cutoffs(engine):
    retriever = SpladeEngineRetriever(engine, fields=["title", "text", "year"], where="year < 2000")
    found = retriever(TOPICS[:1]).set_index("docno")
    assert found.loc["tides", ["title", "year"]].tolist() == ["Tides", 1998]
    assert found.loc["ship", "text"].startswith("A ship needs")
    best = (retriever % 1).compile()
    assert isinstance(best, SpladeEngineRetriever) and best.num_results == 1
    assert best(TOPICS[:1]).docno.tolist() == retriever(TOPICS[:1]).docno.tolist()[:1]


def test_a_field_that_is_called_score_does_not_rank(engine, ranking):
    found = SpladeEngineRetriever(engine, fields=["score"])(TOPICS[:1]).set_index("docno")
    assert list(found.score.items()) == ranking
    assert found.loc["storm", "document.score"] == 7


def test_what_pyterrier_finds_out_about_a_transformer(engine):
    retriever = SpladeEngineRetriever(engine, fields=["text"])
    assert pt.inspect.transformer_inputs(retriever) == [["qid", "query"]]
    columns = ["qid", "query", "docno", "score", "rank", "text"]
    assert pt.inspect.transformer_outputs(retriever, ["qid", "query"]) == columns
    with pytest.raises(pt.validate.InputValidationError):
        retriever(TOPICS[["qid"]])


def test_an_experiment(engine, ranking):
    qrels = pd.DataFrame([["q1", ranking[0][0], 1]], columns=["qid", "docno", "label"])
    table = pt.Experiment([SpladeEngineRetriever(engine)], TOPICS[:1], qrels, ["recip_rank"], names=["ours"])
    assert table.loc[0, "recip_rank"] == 1.0


def test_an_artifact_is_indexed_and_searched(tmp_path, ranking):
    index = SpladeEngineIndex(tmp_path / "ix")
    assert not index.built()
    records = [{"docno": r["id"], **{name: r[name] for name in r if name != "id"}} for r in RECORDS]
    made = index.indexer(FakeEncoder()).index(records)
    assert made.path == index.path and index.built()
    found = made.retriever(2)(TOPICS[:1])
    assert list(zip(found.docno, found.score, strict=True)) == ranking[:2]
    assert pt.inspect.artifact_type_format(made) == ("sparse_index", "splade_engine")


def test_a_folder_is_known_as_an_artifact(engine, tmp_path, monkeypatch):
    (tmp_path / "manifest.json").write_text("{}")
    assert artifact_metadata(str(tmp_path), ["manifest.json"]) is None  # of something else
    assert artifact_metadata(str(tmp_path), []) is None
    names = [path.name for path in engine.path.iterdir()]
    assert artifact_metadata(str(engine.path), names)["format"] == "splade_engine"

    # as installed: by the entry points that the package declares
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    points = {group: [_Point(name, value) for name, value in declared[group].items()] for group in declared}
    monkeypatch.setattr(pt.utils, "entry_points", lambda group: points.get(group, []))
    artifact = pt.Artifact.load(str(engine.path))
    assert isinstance(artifact, SpladeEngineIndex) and artifact.built()


class _Point:
    def __init__(self, name, value):
        self.name, self.value = name, value

    def load(self):
        module, _, attribute = self.value.partition(":")
        return getattr(importlib.import_module(module), attribute)


def test_an_artifact_is_packed_and_unpacked(engine, tmp_path, ranking, monkeypatch):
    package = SpladeEngineIndex(engine.path).build_package(str(tmp_path / "ix.tar.lz4"), verbose=False)
    monkeypatch.setattr(pt.io, "pyterrier_home", lambda: str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    again = SpladeEngineIndex.from_url(package)
    monkeypatch.setattr(
        adapter.SearchEngine, "open", lambda path: engine.__class__(path, engine.index, engine.encoder)
    )
    found = again.retriever()(TOPICS[:1])
    assert list(zip(found.docno, found.score, strict=True)) == ranking


def test_many_are_many_and_a_docno_is_the_id(engine, tmp_path):
    """`fields="text"` gave four columns of nothing; of `docno` and `id` the later one was taken."""
    with pytest.raises(
        InvalidInputError, match="fields: a list of names of fields is expected, got one string"
    ):
        SpladeEngineRetriever(engine, fields="text")
    made = (
        SpladeEngineIndex(tmp_path / "ix")
        .indexer(FakeEncoder())
        .index([{"docno": "a", "text": "moon", "id": "7"}])
    )
    assert [(hit.id, hit.metadata) for hit in made.engine.search("moon")] == [("a", {"id": "7"})]
    for rows, told in (
        (pd.DataFrame([["a", "moon"]], columns=["docno", "text"]), "iter: a list of documents .* a table"),
        ({"docno": "a", "text": "moon"}, "iter: a list of documents is expected, got a mapping"),
        (["moon"], "document 0: a mapping with docno and text is needed, got 'moon'"),
        ([{"docno": "a", "_id": "b", "text": "moon"}], "document 0: has both docno and _id"),
    ):
        with pytest.raises(SpladeEngineError, match=told):
            SpladeEngineIndex(tmp_path / "other").indexer(FakeEncoder()).index(rows)
