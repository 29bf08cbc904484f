"""Long documents cut into passages that an encoder reads to their end."""

from __future__ import annotations

from splade_engine.collections.passages.blocks import Block, markdown_blocks, plain_blocks, text_blocks
from splade_engine.collections.passages.cut import DEFAULT_TOKENS, PARENT, Passages, Span, cut
from splade_engine.collections.passages.tokens import TokenMeter, TokenStarts, estimated_starts

__all__ = [
    "DEFAULT_TOKENS",
    "PARENT",
    "Block",
    "Passages",
    "Span",
    "TokenMeter",
    "TokenStarts",
    "cut",
    "estimated_starts",
    "markdown_blocks",
    "plain_blocks",
    "text_blocks",
]
