"""Vectors to other systems and back: `export_index`, `import_vectors`."""

from splade_engine.exchange.export import ExportRecord, Loss, export_index, target_named
from splade_engine.exchange.imports import import_vectors
from splade_engine.exchange.source import Imported
from splade_engine.exchange.sources import SOURCES
from splade_engine.exchange.targets import TARGETS

__all__ = [
    "SOURCES",
    "TARGETS",
    "ExportRecord",
    "Imported",
    "Loss",
    "export_index",
    "import_vectors",
    "target_named",
]
