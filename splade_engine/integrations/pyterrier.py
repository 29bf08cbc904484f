"""PyTerrier: an index as an artifact, searching it as a transformer.

    index = SpladeEngineIndex("my-index")
    index.indexer().index(pt.get_dataset("irds:vaswani").get_corpus_iter())
    pt.Experiment([index.retriever(), bm25], topics, qrels, ["ndcg_cut_10"])

No Java is needed. `pt.Artifact.load("my-index")` finds the class by itself, and `to_hf` and `from_hf` of
PyTerrier's artifacts share an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splade_engine.arguments import check_many, path_of, shown, whole
from splade_engine.engine import Hit, SearchEngine
from splade_engine.errors import DatasetError, SpladeEngineError
from splade_engine.extras import needed
from splade_engine.index.disk.publish import MANIFEST, read_manifest
from splade_engine.integrations.found import fields_of, opened

with needed("splade_engine.integrations.pyterrier"):
    import pandas as pd
    import pyterrier as pt

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder

__all__ = ["SpladeEngineIndex", "SpladeEngineIndexer", "SpladeEngineRetriever", "artifact_metadata"]

ARTIFACT = {"type": "sparse_index", "format": "splade_engine", "package_hint": "splade-engine[pyterrier]"}


class SpladeEngineRetriever(pt.Transformer):
    """Queries in, ranked documents out: `docno`, `score` and `rank` (from 0) for each query."""

    def __init__(
        self,
        index: SearchEngine | str | Path,
        *,
        num_results: int = 1000,
        fields: Sequence[str] = (),
        **search_options: Any,
    ) -> None:
        """A transformer.

        Args:
            index: an engine, or what `SearchEngine.open` takes.
            num_results: documents for each query, at least 1.
            fields: columns to add, out of `title`, `text` and the metadata fields of the documents. One with
                the name of a column that is there, such as `score`, becomes `document.score`.
            search_options: of `SearchEngine.search`: `exact`, `hybrid`, `where`, ... Signs in a query
                (`+word`, `-word`, quotes) are plain text unless `operators=True`.

        Raises:
            InvalidInputError: `num_results` is no number, `fields` is one string, or there is no such index.
        """
        super().__init__()
        self.engine = opened(index)
        self.num_results = whole("num_results", num_results, 1)
        check_many("fields", fields, "names of fields")
        self.fields = tuple(fields)
        self.search_options = {"operators": False, **search_options}

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """The documents of each query, best first; columns of the queries are kept."""
        pt.validate.query_frame(inp, extra_columns=["query"])
        found = self.engine.search_many(inp["query"].tolist(), self.num_results, **self.search_options)
        rows = np.repeat(np.arange(len(inp)), [len(hits) for hits in found])
        hits = [hit for ranking in found for hit in ranking]
        result = inp[pt.model.query_columns(inp)].iloc[rows].reset_index(drop=True)
        result["docno"] = pd.Series([hit.id for hit in hits], dtype=object)
        result["score"] = pd.Series([hit.score for hit in hits], dtype=float)
        result["rank"] = pd.Series([hit.rank - 1 for hit in hits], dtype=int)
        for field in self.fields:
            name = f"document.{field}" if field in result else field
            result[name] = pd.Series([_field(hit, field) for hit in hits], dtype=object)
        return result

    def fuse_rank_cutoff(self, k: int) -> SpladeEngineRetriever | None:
        """`retriever % k` as a search for k documents, where that is fewer; PyTerrier asks."""
        if k >= self.num_results:
            return None
        return SpladeEngineRetriever(self.engine, num_results=k, fields=self.fields, **self.search_options)

    def __repr__(self) -> str:
        return f"SpladeEngineRetriever({str(self.engine.path)!r}, num_results={self.num_results})"


def _field(hit: Hit, name: str) -> Any:
    if name == "text":
        return hit.text
    return hit.title if name == "title" else fields_of(hit).get(name)


class SpladeEngineIndexer(pt.Indexer):
    """Documents in, an index folder out."""

    def __init__(
        self, path: str | Path, encoder: SparseEncoder | str | Path | None = None, **build: Any
    ) -> None:
        """An indexer.

        Args:
            path: the folder to make.
            encoder: None: the bundled one; otherwise what `SearchEngine.build` takes.
            build: further arguments of `SearchEngine.build`: `overwrite`, `passages`, `progress`, ...
        """
        super().__init__()
        self.path, self.encoder, self.build = path_of("path", path), encoder, build

    def index(self, iter: Iterable[dict[str, Any]], **_: Any) -> SpladeEngineIndex:
        """Encode and index documents: dictionaries with `docno`, `text`, perhaps `title`, and metadata.

        Raises:
            InvalidInputError: a table, a mapping or a text in the place of the documents.
            IndexExistsError: something is at the folder, and not `overwrite`.
            DatasetError: a document that cannot be read, naming it.
        """
        check_many("iter", iter, "documents")
        records = (_record(row, number) for number, row in enumerate(iter))
        engine = SearchEngine.build(self.path, records, self.encoder, **self.build)
        return SpladeEngineIndex(self.path, engine)


def _record(row: Any, number: int) -> dict[str, Any]:
    """A document as we read it: its `docno` is the id, whatever else is called so.

    Raises:
        DatasetError: it is no mapping, or has an `_id` too.
    """
    if not isinstance(row, Mapping):
        raise DatasetError(f"document {number}: a mapping with docno and text is needed, got {shown(row)}")
    if "docno" in row and "_id" in row:
        raise DatasetError(f"document {number}: has both docno and _id, {shown(row['docno'])}")
    return {("_id" if name == "docno" else name): row[name] for name in row}


class SpladeEngineIndex(pt.Artifact):
    """An index folder of splade-engine as a PyTerrier artifact."""

    ARTIFACT_TYPE = ARTIFACT["type"]
    ARTIFACT_FORMAT = ARTIFACT["format"]
    ARTIFACT_PACKAGE_HINT = ARTIFACT["package_hint"]

    def __init__(self, path: str | Path, engine: SearchEngine | None = None) -> None:
        super().__init__(path_of("path", path))
        self._engine = engine

    @property
    def engine(self) -> SearchEngine:
        """The index, opened when it is first needed.

        Raises:
            IndexNotFoundError: it was not built yet.
        """
        if self._engine is None:
            self._engine = SearchEngine.open(self.path)
        return self._engine

    def built(self) -> bool:
        """Whether the folder holds an index."""
        return (self.path / MANIFEST).is_file()

    def retriever(self, num_results: int = 1000, **options: Any) -> SpladeEngineRetriever:
        """A transformer that searches the index; options as of `SpladeEngineRetriever`."""
        return SpladeEngineRetriever(self.engine, num_results=num_results, **options)

    def indexer(self, encoder: SparseEncoder | str | Path | None = None, **build: Any) -> SpladeEngineIndexer:
        """What makes the index; arguments as of `SpladeEngineIndexer`."""
        return SpladeEngineIndexer(self.path, encoder, **build)


def artifact_metadata(path: str, names: Sequence[str]) -> dict[str, str] | None:
    """What PyTerrier wants to know of a folder: the kind of an index of ours, None for other folders.

    Args:
        path: of the folder.
        names: of what is in it.
    """
    if MANIFEST not in names:
        return None
    try:
        read_manifest(Path(path))
    except SpladeEngineError:  # of something else
        return None
    return dict(ARTIFACT)
