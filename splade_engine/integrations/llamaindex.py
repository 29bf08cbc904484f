"""A LlamaIndex retriever over an index.

    retriever = SpladeEngineRetriever("my-index", similarity_top_k=5)
    nodes = retriever.retrieve("how do tides work")

It goes wherever LlamaIndex takes a retriever, `RetrieverQueryEngine.from_args(retriever)` for example.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splade_engine.arguments import whole
from splade_engine.engine import SearchEngine
from splade_engine.extras import needed
from splade_engine.index.filter.nodes import Where
from splade_engine.integrations.found import fields_of, opened

with needed("splade_engine.integrations.llamaindex"):
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.callbacks.base import CallbackManager
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
    from llama_index.core.vector_stores import MetadataFilters

__all__ = ["SpladeEngineRetriever"]


class SpladeEngineRetriever(BaseRetriever):
    """The best documents of an index as nodes: id, text and metadata of the document, score of the hit."""

    def __init__(
        self,
        index: SearchEngine | str | Path,
        *,
        similarity_top_k: int = 10,
        filters: MetadataFilters | Where | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
        **search_options: Any,
    ) -> None:
        """A retriever.

        Args:
            index: an engine, or what `SearchEngine.open` takes.
            similarity_top_k: number of nodes, at least 1.
            filters: LlamaIndex's own, or a filter in one of the forms of docs/searching.md.
            callback_manager: as of every LlamaIndex retriever.
            verbose: as of every LlamaIndex retriever.
            search_options: of `SearchEngine.search`: `hybrid`, `rerank`, `group_by`, `min_score`, ...

        Raises:
            InvalidInputError: `similarity_top_k` is no number, or there is no such index.
        """
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        self.engine = opened(index)
        self.similarity_top_k = whole("similarity_top_k", similarity_top_k, 1)
        self.filters = filters
        self.search_options = search_options

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """The nodes for a query; LlamaIndex calls it."""
        hits = self.engine.search(
            query_bundle.query_str, self.similarity_top_k, where=_where(self.filters), **self.search_options
        )
        return [
            NodeWithScore(node=TextNode(id_=hit.id, text=hit.text, metadata=fields_of(hit)), score=hit.score)
            for hit in hits
        ]


def _where(filters: MetadataFilters | Where | None) -> Where | None:
    """Filters in the dictionary form, which `where` understands."""
    return filters.model_dump(mode="json") if isinstance(filters, MetadataFilters) else filters
