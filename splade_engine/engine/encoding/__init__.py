"""Encoding a corpus in shards, so that an interruption costs one shard and not the night."""

from splade_engine.engine.encoding.folder import unfinished
from splade_engine.engine.encoding.part import EncodedPart, Part, encode_part
from splade_engine.engine.encoding.plan import MAX_SHARD_DOCS, EncodingPlan, check_options
from splade_engine.engine.encoding.run import EncodedCorpus, encode_corpus

__all__ = [
    "MAX_SHARD_DOCS",
    "EncodedCorpus",
    "EncodedPart",
    "EncodingPlan",
    "Part",
    "check_options",
    "encode_corpus",
    "encode_part",
    "unfinished",
]
