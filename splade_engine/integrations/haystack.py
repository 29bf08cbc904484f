"""A Haystack component that searches an index.

    pipeline = Pipeline()
    pipeline.add_component("retriever", SpladeEngineRetriever("my-index", top_k=5))
    pipeline.run({"retriever": {"query": "how do tides work"}})

A pipeline that holds it can be saved: the component is written down by the folder of its index. Haystack
wants to be told that it may be made again:
`Pipeline.loads(text, allowed_modules=["splade_engine.integrations.haystack"])`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splade_engine.arguments import shown, whole
from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError
from splade_engine.extras import needed
from splade_engine.index.filter.nodes import Every
from splade_engine.index.filter.parse import parse_where
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
            InvalidInputError: `top_k` is no number of documents, `filters` no filter, `search_options` no
                dictionary.
        """
        self.index = index
        if filters is not None and not _is_none(filters):
            parse_where(filters)
        self.filters = filters
        self.top_k = whole("top_k", top_k, 1)
        self.filter_policy = (
            filter_policy if isinstance(filter_policy, FilterPolicy) else FilterPolicy.from_str(filter_policy)
        )
        if search_options is not None and not isinstance(search_options, dict):
            raise InvalidInputError(f"search_options: a dictionary is expected, got {shown(search_options)}")
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
            where=self._where(filters),
            **self.search_options,
        )
        return {
            "documents": [
                Document(id=hit.id, content=hit.text, meta=fields_of(hit), score=hit.score) for hit in hits
            ]
        }

    def _where(self, given: Any) -> Any:
        """The component's filter, that of a call, or both, as the policy says.

        Haystack's own function joins filters of its own form, and drops the component's where it meets
        another.
        """
        own: Any = self.filters
        if _is_none(given) or _is_none(own):
            return own if _is_none(given) else given
        parts = parse_where(own), parse_where(given)
        if self.filter_policy is FilterPolicy.MERGE and not (_is_haystack(own) and _is_haystack(given)):
            return Every(parts)
        return apply_filter_policy(self.filter_policy, own, given)

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


def _is_none(filters: Any) -> bool:
    """Haystack writes no filter as None or {}."""
    return filters is None or filters == {}


def _is_haystack(filters: Any) -> bool:
    return isinstance(filters, Mapping) and "operator" in filters
