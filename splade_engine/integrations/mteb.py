"""MTEB's search protocol: `mteb.evaluate(SpladeEngineSearch("owner/encoder"), tasks=[...])`.

The corpus of each task is encoded and indexed in a folder of its own, titles joined to texts as everywhere in
splade-engine, and searched exactly. Queries are plain text: signs in them are not read, and words as they are
written do not count besides the encoder's terms, unless the options say so.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splade_engine.arguments import check_many, path_of
from splade_engine.collections.documents import Document
from splade_engine.engine import SearchEngine
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.extras import needed

with needed("splade_engine.integrations.mteb"):
    from mteb.models.model_meta import ModelMeta

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder

__all__ = ["SpladeEngineSearch"]

_PLAIN = {"exact": True, "hybrid": False, "operators": False, "related": False}


class SpladeEngineSearch:
    """An encoder with our index, as a model of MTEB's `SearchProtocol`."""

    def __init__(
        self,
        encoder: SparseEncoder | str | Path | None = None,
        *,
        folder: str | Path | None = None,
        collection_idf: bool = True,
        **search_options: Any,
    ) -> None:
        """A model for `mteb.evaluate`.

        Args:
            encoder: a `SparseEncoder`, a folder or hub id to load one from, or None for the bundled one.
            folder: where the index of each corpus is made; None: in a temporary folder.
            collection_idf: as in `SearchEngine.open`.
            search_options: of `SearchEngine.search`, in place of an exact search by terms alone.
        """
        self._encoder = encoder
        self._collection_idf = collection_idf
        self._options = {**_PLAIN, **search_options}
        self._folder = None if folder is None else path_of("folder", folder)
        self._engine: SearchEngine | None = None

    @property
    def encoder(self) -> SparseEncoder:
        """The encoder, loaded when it is first needed."""
        if self._encoder is None or isinstance(self._encoder, str | Path):
            from splade_engine.encoder import SparseEncoder

            self._encoder = SparseEncoder.load(self._encoder)
        return self._encoder

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What MTEB writes down of the model: its name, and the fingerprint's hash as the revision."""
        name = self.encoder.name
        return ModelMeta.create_empty(
            overwrites={
                "name": name if "/" in name else f"splade-engine/{name}",
                "revision": str(self.encoder.fingerprint()["hash"]),
                "model_type": ["sparse"],
                "max_tokens": self.encoder.max_length,
                "similarity_fn_name": "dot",
            }
        )

    def index(self, corpus: Iterable[Mapping[str, Any]], *, hf_split: str, hf_subset: str, **_: Any) -> None:
        """Encode and index a corpus: rows with `id`, `text` and perhaps `title`.

        Raises:
            DatasetError: a row whose text is no text, naming it.
        """
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="splade-engine-mteb-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._engine = SearchEngine.build(
            self._folder / "index",
            (Document(str(row["id"]), _text(row, "title"), _text(row, "text")) for row in corpus),
            self.encoder,
            overwrite=True,
            words=bool(self._options.get("hybrid")),
            collection_idf=self._collection_idf,
        )

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        top_k: int,
        top_ranked: Mapping[str, list[str]] | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """The best documents of each query, or with `top_ranked` the scores of those that it names.

        Args:
            queries: rows with `id` and `text`, perhaps with an `instruction`, which is put behind the text.
            top_k: documents for each query.
            top_ranked: documents to rank for each query, of a reranking task.

        Returns:
            query id -> document id -> score.

        Raises:
            InvalidInputError: before `index`, or one text in the place of a query's `top_ranked`.
        """
        if self._engine is None:
            raise InvalidInputError("search: no corpus was indexed yet")
        asked = {
            str(row["id"]): f"{_text(row, 'text')} {_text(row, 'instruction')}".strip() for row in queries
        }
        if top_ranked is not None:
            for id in asked:
                check_many(f"top_ranked: {id}", top_ranked.get(id, []), "ids of documents", ordered=False)
            return {id: self._scored(text, top_ranked.get(id, [])) for id, text in asked.items()}
        found = self._engine.search_many(list(asked.values()), top_k, **self._options)
        return {id: {hit.id: hit.score for hit in hits} for id, hits in zip(asked, found, strict=True)}

    def _scored(self, query: str, ids: list[str]) -> dict[str, float]:
        """The score by terms of some documents, 0 for those that share no term with the query."""
        assert self._engine is not None
        reader = self._engine.index.reader
        ordinals = np.array([reader.ordinal(id) for id in ids], np.int64)
        scores = reader.score_terms(self._engine.encode_queries([query]), ordinals)
        return dict(zip(ids, scores.tolist(), strict=True))


def _text(row: Mapping[str, Any], field: str) -> str:
    """A field of a row, "" where there is none.

    Raises:
        DatasetError: it is not text; MTEB has tasks of images, sounds and conversations too.
    """
    value = row.get(field)
    if value is not None and not isinstance(value, str):
        raise DatasetError(f"{row.get('id')!s:.60}: {field} is not text but {type(value).__name__}")
    return value or ""
