"""LangChain's own suite for retrievers, and what a hit becomes."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_core", reason="langchain-core is not installed: splade-engine[langchain]")
kit = pytest.importorskip("langchain_tests.integration_tests", reason="langchain-tests is not installed")

from pydantic import ValidationError

from splade_engine.integrations.langchain import SpladeEngineRetriever
from tests.integrations.conftest import QUERY


@pytest.mark.anyio  # one of the suite's tests is a coroutine
class TestRetriever(kit.RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _of_this_engine(self, engine):
        self.engine = engine

    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"

    @property
    def retriever_constructor(self):
        return SpladeEngineRetriever

    @property
    def retriever_constructor_params(self):
        return {"engine": self.engine}

    @property
    def retriever_query_example(self):
        return QUERY


def test_a_document_has_the_id_the_text_and_the_fields_of_the_hit(engine, ranking):
    found = SpladeEngineRetriever(engine=engine).invoke(QUERY)
    assert [(document.id, document.metadata["score"]) for document in found] == ranking
    storm = next(document for document in found if document.id == "storm")
    assert storm.page_content == "Wind and wave in a storm at sea."
    # the document came with a field of the name that LangChain's users expect the hit's score under
    assert storm.metadata == {"year": 2019, "document.score": 7, "score": dict(ranking)["storm"]}
    assert next(d for d in found if d.id == "tides").metadata["title"] == "Tides"


def test_filters_and_options_of_a_call_go_before_those_of_the_retriever(engine):
    retriever = SpladeEngineRetriever(engine=engine, where="year > 1995", search_options={"min_score": 0.1})
    assert {d.id for d in retriever.invoke(QUERY)} == {"tides", "storm"}
    assert [d.id for d in retriever.invoke(QUERY, where={"year": {"$lt": 1995}})] == ["ship"]
    assert retriever.invoke(QUERY, min_score=100.0) == []
    assert [d.id for d in (retriever | (lambda found: found[:1])).invoke(QUERY)] == ["storm"]


def test_a_number_of_documents_is_checked(engine):
    for odd in ({"k": 0}, {"k": True}, {"k": "5"}, {"top_k": 3}):  # the last was passed over, and 10 came
        with pytest.raises(ValidationError):
            SpladeEngineRetriever(engine=engine, **odd)
    with pytest.raises(ValidationError):
        SpladeEngineRetriever(engine=engine, k=0)
