"""A LangChain retriever over an index.

    retriever = SpladeEngineRetriever.open("my-index", k=5)
    retriever.invoke("how do tides work")
    retriever.invoke("how do tides work", k=3, where={"year": {"$gte": 1990}})

It is a `Runnable` like every retriever, and so a part of chains: `retriever | format | model`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict, Field

from splade_engine.engine import SearchEngine
from splade_engine.extras import needed
from splade_engine.index.filter.nodes import Where
from splade_engine.integrations.found import fields_of

with needed("splade_engine.integrations.langchain"):
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever

__all__ = ["SpladeEngineRetriever"]


class SpladeEngineRetriever(BaseRetriever):
    """The best documents of an index as LangChain documents.

    `page_content` is the text; the metadata are the fields of the document, its `title`, and the `score` of
    the hit. `id` is the document's own.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    # where documents are searched
    engine: SearchEngine
    # number of documents
    k: int = Field(default=10, ge=1, strict=True)
    # a filter on metadata: an expression, or a dictionary in LangChain's form or ours (docs/searching.md)
    where: Any = None
    # further options of `SearchEngine.search`: hybrid, rerank, group_by, min_score, ...
    search_options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def open(cls, index: str | Path, **fields: Any) -> Self:
        """A retriever over an index folder, or `hf://owner/name`.

        Args:
            index: what `SearchEngine.open` takes.
            fields: `k`, `where`, `search_options`.
        """
        return cls(engine=SearchEngine.open(index), **fields)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        where: Where | None = None,
        **options: Any,
    ) -> list[Document]:
        """What `invoke(query, k=..., where=..., ...)` returns; what is not given is the retriever's own."""
        hits = self.engine.search(
            query,
            self.k if k is None else k,
            where=self.where if where is None else where,
            **{**self.search_options, **options},
        )
        return [
            Document(id=hit.id, page_content=hit.text, metadata=fields_of(hit, score=hit.score))
            for hit in hits
        ]
