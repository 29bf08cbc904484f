"""A corpus meets its encoder: passages are cut by the tokens that it will read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from splade_engine.collections.passages import TokenMeter

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus


def measure(corpus: Corpus, encoder: object) -> None:
    """Cut the corpus by the tokens of this encoder; one that does not tell them leaves them guessed."""
    starts, room = getattr(encoder, "token_starts", None), getattr(encoder, "room", None)
    if corpus.is_cut and starts is not None and room is not None:
        corpus.measure(TokenMeter(starts, room))
