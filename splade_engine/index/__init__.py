"""Sparse vectors on disk, searched: `SparseIndex`. Imports neither torch nor transformers."""

from splade_engine.index.config import BuildConfig, SearchConfig
from splade_engine.index.effort import Budget, Effort, Exact, Recall
from splade_engine.index.explain import Placement
from splade_engine.index.index import SparseIndex
from splade_engine.index.info import IndexInfo, TunedSetting
from splade_engine.index.list_choice import MeasuredLists, faster_lists, measure_lists
from splade_engine.index.lists import AutoLists, BlockLists, ImpactLists
from splade_engine.index.reader import IndexReader
from splade_engine.index.search import SearchResult
from splade_engine.index.segment.miss import Miss
from splade_engine.index.sharded import ShardedIndex
from splade_engine.index.stream import IndexBatch

__all__ = [
    "AutoLists",
    "BlockLists",
    "Budget",
    "BuildConfig",
    "Effort",
    "Exact",
    "ImpactLists",
    "IndexBatch",
    "IndexInfo",
    "IndexReader",
    "MeasuredLists",
    "Miss",
    "Placement",
    "Recall",
    "SearchConfig",
    "SearchResult",
    "ShardedIndex",
    "SparseIndex",
    "TunedSetting",
    "faster_lists",
    "measure_lists",
]
