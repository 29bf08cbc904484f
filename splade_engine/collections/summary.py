"""`CorpusSummary`: what a first reading of all documents tells, and the digest that finds it."""

from __future__ import annotations

from dataclasses import dataclass, field

from splade_engine.collections.documents import Document
from splade_engine.collections.fields import FieldKinds, FieldSurvey
from splade_engine.collections.metadata import metadata_json
from splade_engine.files import Digest


@dataclass(frozen=True)
class CorpusSummary:
    """What reading a whole corpus tells."""

    # number of documents
    n_docs: int
    # of which have neither title nor text
    n_empty: int
    # xxh3 of every id, title, text and metadata in order: two corpora with one digest are one
    digest: str
    # the kind of each metadata field (see `fields.py`)
    fields: FieldKinds = field(default_factory=dict)
    # every value that decided about it
    survey: FieldSurvey = field(default_factory=FieldSurvey, repr=False, compare=False)


class CorpusDigest:
    """Count and hash of the documents given to it, in order."""

    def __init__(self) -> None:
        self._hash = Digest()
        self._n_docs = 0
        self._n_empty = 0
        self._fields = FieldSurvey()

    def update(self, document: Document) -> None:
        """Take one document in."""
        # with the lengths before the fields, so that none can flow into the next
        metadata = metadata_json(document.metadata)
        parts = [part.encode() for part in (document.id, document.title, document.text, metadata)]
        self._hash.update(b"%d %d %d %d;" % tuple(map(len, parts)))
        self._hash.update(b"".join(parts))
        self._n_docs += 1
        self._n_empty += not document.indexed_text
        self._fields.note(document.id, document.metadata)

    def summary(self) -> CorpusSummary:
        """Of everything taken in so far."""
        return CorpusSummary(
            self._n_docs, self._n_empty, self._hash.text(), self._fields.kinds(), self._fields
        )
