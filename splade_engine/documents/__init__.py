"""Corpora in: documents read from every common layout, one at a time, each problem with its file and line."""

from __future__ import annotations

from splade_engine.documents.reading import BEIR_CORPUS, Document, document_from_record, read_documents

__all__ = ["BEIR_CORPUS", "Document", "document_from_record", "read_documents"]
