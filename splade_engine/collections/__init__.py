"""Collections in: documents, queries and judgments from every common layout, each problem with its place.

Shared by the engine, by training and by evaluation.
"""

from __future__ import annotations

from splade_engine.collections.reading import BEIR_CORPUS, Document, document_from_record, read_documents

__all__ = ["BEIR_CORPUS", "Document", "document_from_record", "read_documents"]
