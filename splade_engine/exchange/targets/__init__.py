"""The systems that vectors are exported to: one file each, and a row of this table."""

from __future__ import annotations

from splade_engine.exchange.target import Target
from splade_engine.exchange.targets.anserini import ANSERINI
from splade_engine.exchange.targets.ciff import CIFF
from splade_engine.exchange.targets.elasticsearch import ELASTICSEARCH
from splade_engine.exchange.targets.lsr_benchmark import LSR_BENCHMARK
from splade_engine.exchange.targets.milvus import MILVUS
from splade_engine.exchange.targets.opensearch import OPENSEARCH
from splade_engine.exchange.targets.opensearch_ann import OPENSEARCH_ANN
from splade_engine.exchange.targets.pgvector import PGVECTOR
from splade_engine.exchange.targets.pinecone import PINECONE
from splade_engine.exchange.targets.qdrant import QDRANT
from splade_engine.exchange.targets.seismic import SEISMIC
from splade_engine.exchange.targets.turbopuffer import TURBOPUFFER
from splade_engine.exchange.targets.vespa import VESPA
from splade_engine.exchange.targets.zvec import ZVEC

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        OPENSEARCH,
        OPENSEARCH_ANN,
        ELASTICSEARCH,
        VESPA,
        QDRANT,
        MILVUS,
        PGVECTOR,
        PINECONE,
        TURBOPUFFER,
        ZVEC,
        CIFF,
        ANSERINI,
        SEISMIC,
        LSR_BENCHMARK,
    )
}
