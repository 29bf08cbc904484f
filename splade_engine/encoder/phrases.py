"""Terms of several tokens, behind the vocabulary: pairs of neighbours, and words of several pieces.

A hash gives every pair (or word) its term: `n_tokens + hash % buckets`. So nothing has to be counted or
listed before a collection is read, and a query stays a look-up. Two that share a bucket cannot be told
apart; each lends the other what it weighs, which is a part of a score.

    pairs   tokens that stand next to each other, beside the single ones. A pair weighs `phrase_factor` times
            the lighter of its two tokens in that text, so its weight is contextual where theirs are
            (after Sparc, arXiv 1911.02896, whose n-grams are hashed too).
    words   a word of several pieces is one term in their place, so that a word shares nothing with another
            one that has a piece in common (DeepImpact, arXiv 2104.12016, weighs words).

Tokens without a letter or a digit (punctuation) are left out, so that `AB-123` holds the pair `ab 123`.
Special tokens part what stands on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.settings import EncoderSettings
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder.tokens import TextTokenizer

Terms = NDArray[np.int64]
_SPLIT = -1  # of a token that parts its neighbours
_MARKS = "\u2581\u0120#"  # of the first or a further piece of a word, in the vocabularies that there are

# the finaliser of splitmix64 (Steele, Lea, Flood 2014), which spreads every bit over all others
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_STEP = np.uint64(0x9E3779B97F4A7C15)


class PhraseTerms:
    """The pairs of an encoder.

    Args:
        settings: `phrase_buckets` and `phrase_factor` are read.
        tokenizer: says which tokens are punctuation and which are special.
        n_tokens: size of the vocabulary; phrase terms begin there.
    """

    def __init__(self, settings: EncoderSettings, tokenizer: TextTokenizer, n_tokens: int) -> None:
        self.n_tokens = n_tokens
        self.buckets = settings.phrase_buckets
        self.factor = np.float32(settings.phrase_factor)
        self._role = _roles(tokenizer, n_tokens)

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary with the phrase terms behind it."""
        return self.n_tokens + self.buckets

    def neighbours(self, ids: NDArray[Any]) -> tuple[Terms, Terms]:
        """int64[P] positions in `ids` of the first and of the second token of every pair, in order."""
        roles = self._role[ids]
        at = np.flatnonzero(roles != 0)
        together = (roles[at[:-1]] > 0) & (roles[at[1:]] > 0)
        return at[:-1][together], at[1:][together]

    def terms(self, first: NDArray[Any], second: NDArray[Any]) -> Terms:
        """int64[P], the terms of pairs of tokens."""
        return self.n_tokens + hashed([first, second], self.buckets)

    def of_query(self, ids: Sequence[int], table: NDArray[np.float32]) -> dict[int, float]:
        """Terms and weights above 0 of one query whose tokens weigh what a table says.

        The same as `added` gives, without numpy: on the few tokens of a query it takes a fifth of the time.
        """
        found: dict[int, float] = {}
        roles = self._role
        before = -1
        for token in ids:
            role = roles[token]
            if not role:
                continue
            if role > 0 and before >= 0:
                bucket = _bucket(before, token, self.buckets)
                weight = float(self.factor * min(table[before], table[token]))
                if weight > found.get(bucket, 0.0):
                    found[bucket] = weight
            before = token if role > 0 else -1
        return {self.n_tokens + bucket: found[bucket] for bucket in sorted(found)}

    def added(
        self, vectors: SparseVectors, ids: Sequence[NDArray[Any]], owners: Sequence[int]
    ) -> SparseVectors:
        """The vectors with their texts' pairs as further terms.

        A pair of which a token has no weight in the vector has none either.

        Args:
            vectors: over the vocabulary, one row per text.
            ids: tokens of every text, or of every window of a text.
            owners: the row that each of them belongs to.
        """
        texts = [(owner, tokens, *self.neighbours(tokens)) for owner, tokens in zip(owners, ids, strict=True)]
        empty = [np.zeros(0, np.int64)]
        rows = np.concatenate([*empty, *(np.full(len(a), owner, np.int64) for owner, _, a, _ in texts)])
        first = np.concatenate([*empty, *(tokens[a] for _, tokens, a, _ in texts)])
        second = np.concatenate([*empty, *(tokens[b] for _, tokens, _, b in texts)])
        lighter = np.minimum(self._weight_of(vectors, rows, first), self._weight_of(vectors, rows, second))
        keys, weights = _heaviest(rows * self.n_terms + self.terms(first, second), self.factor * lighter)
        own_rows = np.repeat(np.arange(len(vectors), dtype=np.int64), np.diff(vectors.indptr))
        every = np.concatenate([own_rows * self.n_terms + vectors.terms, keys])
        order = np.argsort(every, kind="stable")
        every = every[order]
        counts = np.bincount(every // self.n_terms, minlength=len(vectors))
        indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
        values = np.concatenate([vectors.weights, weights])[order]
        return SparseVectors.adopt(indptr, (every % self.n_terms).astype(np.int32), values, self.n_terms)

    def spans(self, pieces: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """(term, start, end) of every pair of (token, start, end): from its first word to its second."""
        if len(pieces) < 2:
            return []
        ids = np.array([token for token, _, _ in pieces], np.int64)
        first, second = self.neighbours(ids)
        terms = self.terms(ids[first], ids[second])
        return [
            (term, pieces[a][1], max(pieces[a][2], pieces[b][2]))
            for term, a, b in zip(terms.tolist(), first.tolist(), second.tolist(), strict=True)
        ]

    def _weight_of(self, vectors: SparseVectors, rows: Terms, tokens: NDArray[Any]) -> NDArray[np.float32]:
        """float32[P], what tokens weigh in rows of vectors; 0 where a row lacks one."""
        own_rows = np.repeat(np.arange(len(vectors), dtype=np.int64), np.diff(vectors.indptr))
        own = own_rows * self.n_tokens + vectors.terms
        wanted = rows * self.n_tokens + tokens
        if not len(own):
            return np.zeros(len(wanted), np.float32)
        at = np.minimum(np.searchsorted(own, wanted), len(own) - 1)
        return np.where(own[at] == wanted, vectors.weights[at], np.float32(0)).astype(np.float32)


class WordTerms:
    """Words of several pieces as terms in place of these; a word of one piece keeps its own.

    Args:
        n_tokens: size of the vocabulary; the terms of longer words begin there.
        buckets: how many terms these share.
    """

    def __init__(self, n_tokens: int, buckets: int) -> None:
        self.n_tokens, self.buckets = n_tokens, buckets

    def of_tokens(self, ids: NDArray[Any], words: NDArray[Any]) -> tuple[Terms, Terms, Terms]:
        """The terms of a text's words in order, where each begins, and its pieces, int64[W] each.

        Args:
            ids: int[L], token ids.
            words: int[L], the number of each token's word, -1 for special tokens.
        """
        starts = np.flatnonzero(np.diff(words, prepend=-2))
        pieces = np.diff(np.append(starts, len(words)))
        kept = words[starts] >= 0
        starts, pieces = starts[kept], pieces[kept]
        terms = ids[starts].astype(np.int64)
        for count in np.unique(pieces[pieces > 1]).tolist():
            of = np.flatnonzero(pieces == count)
            columns = [ids[starts[of] + i] for i in range(count)]
            terms[of] = self.n_tokens + hashed(columns, self.buckets)
        return terms, starts, pieces

    def spans(self, pieces: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """(term, start, end) of every word of (token, start, end), the span being the word's."""
        if not pieces:
            return []
        bounds = np.array([(start, end) for _, start, end in pieces], np.int64)
        words = np.cumsum(np.r_[False, (bounds[1:] != bounds[:-1]).any(1)])
        terms, at, _ = self.of_tokens(np.array([token for token, _, _ in pieces], np.int64), words)
        return [(term, *pieces[a][1:]) for term, a in zip(terms.tolist(), at.tolist(), strict=True)]


def phrases_of(
    settings: EncoderSettings, tokenizer: TextTokenizer, n_tokens: int
) -> PhraseTerms | WordTerms | None:
    """The phrase terms that settings ask for; arguments as for `PhraseTerms`."""
    if settings.phrase_terms == "pairs":
        return PhraseTerms(settings, tokenizer, n_tokens)
    return WordTerms(n_tokens, settings.phrase_buckets) if settings.phrase_terms == "words" else None


class TermSpans:
    """Where the terms of a text stand, phrase terms after the tokens.

    Args:
        settings: of the encoder.
        tokenizer: of its queries.
        n_tokens: size of its vocabulary without phrase terms.
    """

    def __init__(self, settings: EncoderSettings, tokenizer: TextTokenizer, n_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._windows = settings.long_texts == "windows"
        self._phrases = phrases_of(settings, tokenizer, n_tokens)

    def __call__(self, text: str) -> list[tuple[int, int, int]]:
        """(term, start, end) of every term; start and end bound its words."""
        found = self._tokenizer.word_spans(text, windows=self._windows)
        if self._phrases is None:
            return found
        spans = self._phrases.spans(found)
        return spans if isinstance(self._phrases, WordTerms) else found + spans


def hashed(columns: Sequence[NDArray[Any]], buckets: int) -> Terms:
    """int64[n] in [0, buckets): a hash of the n rows of token ids, which depends on their order."""
    total = np.full(len(columns[0]), len(columns), np.uint64)
    for column in columns:
        total = (total ^ column.astype(np.uint64)) + _STEP
        for shift, factor in _MIX:
            total = (total ^ (total >> np.uint64(shift))) * np.uint64(factor)
        total ^= total >> np.uint64(31)
    return (total % np.uint64(buckets)).astype(np.int64)


@lru_cache(maxsize=1 << 16)
def _bucket(first: int, second: int, buckets: int) -> int:
    """What `hashed` gives for one pair."""
    return int(hashed([np.array([first]), np.array([second])], buckets)[0])


def phrase_names(n_tokens: int, buckets: int) -> list[str]:
    """What the terms behind a vocabulary are called where no text says which words they are."""
    return [f"[phrase-{i}]" for i in range(n_tokens, n_tokens + buckets)]


def _heaviest(keys: Terms, weights: NDArray[np.float32]) -> tuple[Terms, NDArray[np.float32]]:
    """Each key once with its largest weight, sorted; those of weight 0 left out."""
    kept = weights > 0
    keys, weights = keys[kept], weights[kept]
    order = np.lexsort((-weights, keys))
    keys, weights = keys[order], weights[order]
    new = np.ones(len(keys), bool)
    new[1:] = keys[1:] != keys[:-1]
    return keys[new], weights[new]


def _roles(tokenizer: TextTokenizer, n_tokens: int) -> NDArray[np.int8]:
    """Of each token 1, 0 if it is left out (punctuation), -1 if it parts its neighbours (special)."""
    names = tokenizer.vocabulary(n_tokens)
    roles = np.array([any(c.isalnum() for c in name.strip(_MARKS)) for name in names], np.int8)
    special = tokenizer.special_ids
    roles[special[special < n_tokens]] = _SPLIT
    return roles
