"""Haystack: a component in a pipeline, written down and read again."""

from __future__ import annotations

import pytest

haystack = pytest.importorskip("haystack", reason="haystack-ai is not installed: splade-engine[haystack]")

from haystack import Pipeline, component
from haystack.document_stores.types import FilterPolicy

from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError
from splade_engine.integrations import haystack as adapter
from splade_engine.integrations.haystack import SpladeEngineRetriever
from tests.integrations.conftest import QUERY

LATE = {"field": "meta.year", "operator": ">", "value": 1995}
OTHER = {"field": "meta.title", "operator": "!=", "value": "Tides"}


def found(retriever, **inputs):
    return [document.id for document in retriever.run(QUERY, **inputs)["documents"]]


def test_documents_are_those_of_the_hits(engine, ranking):
    documents = SpladeEngineRetriever(engine).run(QUERY)["documents"]
    assert [(document.id, document.score) for document in documents] == ranking
    tides = next(document for document in documents if document.id == "tides")
    assert tides.content == "The moon and the sea: a tide is a pull."
    assert tides.meta == {"title": "Tides", "year": 1998}


def test_filters_replace_or_join(engine):
    replacing = SpladeEngineRetriever(engine, filters=LATE)
    joining = SpladeEngineRetriever(engine, filters=LATE, filter_policy="merge")
    assert set(found(replacing)) == set(found(joining)) == {"tides", "storm"}
    assert set(found(replacing, filters=OTHER)) == {"storm", "ship"}
    assert found(joining, filters=OTHER) == ["storm"]
    assert len(found(replacing, top_k=1)) == 1


def test_a_filter_of_the_component_is_never_lost_in_joining(engine):
    """Haystack's function knows its own form alone: of two filters of ours it kept the one of the call."""
    for own in (LATE, "year > 1995", {"year": {">": 1995}}):
        joining = SpladeEngineRetriever(engine, filters=own, filter_policy="merge")
        for given in ("title != 'Tides'", {"title": {"!=": "Tides"}}):
            assert found(joining, filters=given) == ["storm"], (own, given)
        assert set(found(joining, filters={})) == {"tides", "storm"}
        for odd in ("", b"x", 5, {"operator": "AND", "conditions": LATE}):
            with pytest.raises(InvalidInputError, match="where: "):
                joining.run(QUERY, filters=odd)
    for odd in ("", "year >", ["year"]):
        with pytest.raises(InvalidInputError, match="where: "):
            SpladeEngineRetriever(engine, filters=odd)
    for odd in ("", "exact", ["exact"]):
        with pytest.raises(InvalidInputError, match="search_options: a dictionary is expected"):
            SpladeEngineRetriever(engine, search_options=odd)


def test_a_pipeline_is_written_down_and_read_again(engine, ranking, monkeypatch):
    # the invented encoder of these tests cannot be found by the name that the index remembers
    monkeypatch.setattr(adapter, "opened", lambda place: SearchEngine.open(place, engine.encoder))
    pipeline = Pipeline()
    retriever = SpladeEngineRetriever(
        engine, filters=LATE, top_k=7, filter_policy=FilterPolicy.MERGE, search_options={"min_score": 0.5}
    )
    pipeline.add_component("retriever", retriever)
    # since 3.0 Haystack asks before it imports what a file names
    trusted = {"allowed_modules": ["splade_engine.integrations.haystack"]} if _asks() else {}
    again = Pipeline.loads(pipeline.dumps(), **trusted)
    assert again.get_component("retriever").to_dict() == retriever.to_dict()
    answer = again.run({"retriever": {"query": QUERY}})["retriever"]["documents"]
    assert {document.id for document in answer} == {"tides", "storm"}
    assert [(d.id, d.score) for d in answer] == [hit for hit in ranking if hit[0] != "ship"]


def _asks() -> bool:
    import inspect

    return "allowed_modules" in inspect.signature(Pipeline.loads).parameters


def test_a_function_cannot_be_written_down(engine):
    retriever = SpladeEngineRetriever(
        engine, search_options={"rerank": lambda query, texts: [0.0] * len(texts)}
    )
    with pytest.raises(InvalidInputError, match="rerank is a function"):
        retriever.to_dict()


def test_it_is_a_component_with_typed_sockets(engine):
    retriever = SpladeEngineRetriever(engine)
    assert component.registry[f"{adapter.__name__}.SpladeEngineRetriever"] is SpladeEngineRetriever
    assert set(retriever.__haystack_output__._sockets_dict) == {"documents"}
    with pytest.raises(InvalidInputError, match="top_k"):
        SpladeEngineRetriever(engine, top_k=0)
