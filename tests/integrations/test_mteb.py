"""MTEB: a task of our own, evaluated by MTEB itself."""

from __future__ import annotations

import warnings

import pytest

mteb = pytest.importorskip("mteb", reason="mteb is not installed: splade-engine[mteb]")

from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.models_protocols import SearchProtocol

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.integrations.mteb import SpladeEngineSearch
from tests.fake_encoder import FakeEncoder
from tests.integrations.conftest import RECORDS

QUERIES = {"q1": "bread yeast", "q2": "night star", "q3": "the moon"}
QRELS = {"q1": {"loaf": 1}, "q2": {"stars": 1}, "q3": {"tides": 1}}


class Invented(AbsTaskRetrieval):
    metadata = TaskMetadata(
        name="InventedRetrieval",
        dataset={"path": "invented", "revision": "1"},
        description="five documents",
        reference=None,
        type="Retrieval",
        category="t2t",
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
    )

    def load_data(self, *_args, **_options):
        if self.data_loaded:
            return
        corpus = [{"id": r["id"], "title": r.get("title", ""), "text": r["text"]} for r in RECORDS]
        queries = [{"id": id, "text": text} for id, text in QUERIES.items()]
        split = {"corpus": Dataset.from_list(corpus), "queries": Dataset.from_list(queries)}
        self.dataset = {"default": {"test": {**split, "relevant_docs": QRELS, "top_ranked": None}}}
        self.data_loaded = True


@pytest.fixture
def model(tmp_path):
    model = SpladeEngineSearch(FakeEncoder(name="fake"), folder=tmp_path / "mteb")
    corpus = [{"id": r["id"], "title": r.get("title"), "text": r["text"]} for r in RECORDS]
    model.index(corpus, hf_split="test", hf_subset="default")
    return model


def test_it_is_a_search_model(model):
    assert isinstance(model, SearchProtocol)
    meta = model.mteb_model_meta
    assert (meta.name, meta.revision, meta.model_type) == ("splade-engine/fake", "0" * 32, ["sparse"])


def test_mteb_evaluates_it(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MTEB's own, of its dependencies
        result = mteb.evaluate(
            SpladeEngineSearch(FakeEncoder()), tasks=[Invented()], cache=None, show_progress_bar=False
        )
    assert result.task_results[0].get_score() == 1.0
    assert result.model_name == "splade-engine/fake"


def test_scores_are_those_of_the_engine(model):
    rows = [{"id": id, "text": text} for id, text in QUERIES.items()]
    found = model.search(rows, top_k=2)
    expected = model._engine.search_many(list(QUERIES.values()), 2, exact=True)
    assert found == {
        id: {hit.id: hit.score for hit in hits} for id, hits in zip(QUERIES, expected, strict=True)
    }
    # a reranking task names the documents of each query: the same scores, and 0 without a shared term
    ranked = model.search(rows[:1], top_k=2, top_ranked={"q1": ["stars", "loaf"]})
    assert ranked == {"q1": {"stars": 0.0, "loaf": pytest.approx(found["q1"]["loaf"], rel=1e-6)}}
    told = model.search([{"id": "q", "text": "star", "instruction": "night"}], top_k=2)
    assert told["q"] == found["q2"]


def test_what_is_no_text_is_refused(model):
    with pytest.raises(DatasetError, match="d1: text is not text but list"):
        model.index([{"id": "d1", "text": ["a", "b"]}], hf_split="test", hf_subset="default")
    with pytest.raises(InvalidInputError, match="no corpus"):
        SpladeEngineSearch(FakeEncoder()).search([], top_k=1)
