"""The formats that vectors are imported from: a row of this table each."""

from __future__ import annotations

from splade_engine.exchange.source import Source
from splade_engine.exchange.sources.ciff import CIFF
from splade_engine.exchange.sources.npz import NPZ
from splade_engine.exchange.sources.qdrant import QDRANT
from splade_engine.exchange.sources.vector_files import ANSERINI, ARROW, CSR, PARQUET, SEISMIC

SOURCES: dict[str, Source] = {
    source.name: source for source in (ARROW, PARQUET, CSR, SEISMIC, ANSERINI, NPZ, CIFF, QDRANT)
}
