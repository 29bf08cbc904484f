"""Encoding a corpus in shards, so that an interruption costs one shard and not the night."""

from splade_engine.engine.encoding.run import MAX_SHARD_DOCS, EncodedCorpus, encode_corpus

__all__ = ["MAX_SHARD_DOCS", "EncodedCorpus", "encode_corpus"]
