"""A Haystack component that searches an index.

    pipeline = Pipeline()
    pipeline.add_component("retriever", SpladeEngineRetriever("my-index", top_k=5))
    pipeline.run({"retriever": {"query": "how do tides work"}})

A pipeline that holds it can be saved: the component is written down by the folder of its index.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splade_engine.arguments import whole
from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError
from splade_engine.extras import needed
from splade_engine.integrations.found import fields_of, opened

with needed("splade_engine.integrations.haystack"):
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.types import FilterPolicy, apply_filter_policy

__all__ = ["SpladeEngineRetriever"]


@component
class SpladeEngineRetriever:
    """The best documents of an index as Haystack documents: id, content, meta and the score of the hit."""

    def __init__(
        self,
        index: SearchEngine | str | Path,
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: FilterPolicy | str = FilterPolicy.REPLACE,
        search_options: dict[str, Any] | None = None,
    ) -> None:
        """A component; a folder is opened by `warm_up`, or when it is first run.

        Args:
            index: an engine, or what `SearchEngine.open` takes.
            filters: a filter in Haystack's form, or in another of docs/searching.md.
            top_k: number of documents, at least 1.
            filter_policy: whether filters given to `run` replace these or are joined to them.
            search_options: of `SearchEngine.search`: `hybrid`, `group_by`, `min_score`, ...

        Raises:
            InvalidInputError: `top_k` is no number of documents.
        """
        self.index = index
        self.filters = filters
        self.top_k = whole("top_k", top_k, 1)
        self.filter_policy = (
            filter_policy if isinstance(filter_policy, FilterPolicy) else FilterPolicy.from_str(filter_policy)
        )
        self.search_options = search_options or {}
        self._engine: SearchEngine | None = None

    def warm_up(self) -> None:
        """Open the index."""
        if self._engine is None:
            self._engine = opened(self.index)

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """The best documents for a query.

        Args:
            query: any text.
            filters: instead of the component's own or beside them, as its policy says.
            top_k: instead of the component's own.

        Returns:
            `{"documents": [...]}`, best first.
        """
        self.warm_up()
        assert self._engine is not None
        hits = self._engine.search(
            query,
            self.top_k if top_k is None else top_k,
            where=apply_filter_policy(self.filter_policy, self.filters, filters) or None,
            **self.search_options,
        )
        return {
            "documents": [
                Document(id=hit.id, content=hit.text, meta=fields_of(hit), score=hit.score) for hit in hits
            ]
        }

    def to_dict(self) -> dict[str, Any]:
        """The component as Haystack writes it down; an engine by the folder of its index.

        Raises:
            InvalidInputError: an option of the search is a function, which cannot be written down.
        """
        for name, value in self.search_options.items():
            if callable(value):
                raise InvalidInputError(f"search_options: {name} is a function, which cannot be written down")
        place = self.index.path if isinstance(self.index, SearchEngine) else self.index
        return default_to_dict(
            self,
            index=str(place),
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
            search_options=self.search_options,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SpladeEngineRetriever:
        """The component of what `to_dict` wrote."""
        return default_from_dict(cls, data)
