"""How long a text is: where each token of the encoder begins, or a cautious guess without an encoder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Starts = NDArray[np.int64]
# the character at which each token of a text begins, in order; nothing is cut and no special token is added
TokenStarts = Callable[[str], Starts]

_WORD = re.compile(r"\w+|[^\w\s]")
_LETTERS = 4  # of a token, where no tokenizer is there to ask: English words have 4.7 letters, and 1.3 tokens


def estimated_starts(text: str) -> Starts:
    """Guessed token starts: a token for every four letters of a word and for every other character.

    It guesses too many for English and for code (by a third), so that what is cut by it fits.
    """
    starts = [at for word in _WORD.finditer(text) for at in range(word.start(), word.end(), _LETTERS)]
    return np.array(starts, dtype=np.int64)


@dataclass(frozen=True)
class TokenMeter:
    """The encoder, as far as cutting needs to know it."""

    # where the tokens of a text begin
    starts: TokenStarts = estimated_starts
    # tokens of a title and a text that the encoder reads, without its special tokens and prompt
    room: int = 510
