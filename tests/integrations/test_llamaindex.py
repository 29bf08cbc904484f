"""LlamaIndex: nodes, its filters, and the retriever inside a query engine."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("llama_index.core", reason="llama-index-core is not installed: splade-engine[llamaindex]")

from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from splade_engine.errors import InvalidInputError
from splade_engine.integrations.llamaindex import SpladeEngineRetriever
from tests.integrations.conftest import QUERY


def test_nodes_are_the_documents_with_the_scores_of_the_hits(engine, ranking):
    nodes = SpladeEngineRetriever(engine).retrieve(QUERY)
    assert [(node.node_id, node.score) for node in nodes] == ranking
    assert nodes[0].text == engine.get([nodes[0].node_id])[0].text
    assert next(node for node in nodes if node.node_id == "tides").metadata == {
        "title": "Tides",
        "year": 1998,
    }
    assert asyncio.run(SpladeEngineRetriever(engine, similarity_top_k=1).aretrieve(QUERY)) == nodes[:1]


def test_its_filters(engine):
    late = MetadataFilter(key="year", value=1995, operator=FilterOperator.GT)
    food = MetadataFilter(key="tags", value="food", operator=FilterOperator.CONTAINS)
    for condition, expected in (
        (FilterCondition.AND, set()),
        (FilterCondition.OR, {"tides", "storm", "ship"}),
    ):
        filters = MetadataFilters(filters=[late, food], condition=condition)
        assert {n.node_id for n in SpladeEngineRetriever(engine, filters=filters).retrieve(QUERY)} == expected
    assert [n.node_id for n in SpladeEngineRetriever(engine, filters="year = 1998").retrieve(QUERY)] == [
        "tides"
    ]


def test_options_of_the_search(engine):
    assert SpladeEngineRetriever(engine, min_score=100.0).retrieve(QUERY) == []
    with pytest.raises(InvalidInputError, match="similarity_top_k"):
        SpladeEngineRetriever(engine, similarity_top_k=0)


def test_a_query_engine_reads_the_texts(engine, ranking):
    answer = RetrieverQueryEngine.from_args(SpladeEngineRetriever(engine), llm=MockLLM()).query(QUERY)
    assert [node.node_id for node in answer.source_nodes] == [id for id, _ in ranking]
    assert "Wind and wave in a storm at sea." in str(answer)  # the mock repeats what it was asked
