"""Collections in: documents, queries and judgments from every common layout, each problem with its place.

Shared by the engine, by training and by evaluation.
"""

from __future__ import annotations

from splade_engine.collections.beir import BEIR_CORPUS
from splade_engine.collections.documents import Document, document_from_record
from splade_engine.collections.reading import read_documents

__all__ = ["BEIR_CORPUS", "Document", "document_from_record", "read_documents"]
