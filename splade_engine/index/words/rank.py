"""BM25 over the word lists of all segments, over what the index holds at that moment.

    score(d) = sum over the query's words w of  idf(w) * n / (n + k1 * (1 - b + b * |d| / avg))
    idf(w) = ln(1 + (N - n_w + 0.5) / (n_w + 0.5))

n is how often d holds w, |d| its number of words, N the number of documents and n_w of those that hold w:
Lucene's variant, with Anserini's k1 = 0.9 and b = 0.4 (Kamphuis et al., ECIR 2020). Deleted documents count
for nothing. Words are compared as they are written; those of more than half of the documents are left out of
a query that has others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError

if TYPE_CHECKING:
    from splade_engine.index.segment.segment import Segment
    from splade_engine.index.snapshot import Snapshot

K1, B = 0.9, 0.4
ALIKE = 0.7  # of the pairs of letters: "neccesary" and "necessary" share .8, "monday" and "monkey" .57
_COMMON = 0.5  # share of the documents that hold a word which says nothing


@dataclass(frozen=True, slots=True)
class WordMatch:
    """A word of a query in a document."""

    word: str
    # how often the document holds it
    count: int
    # how many documents of the index hold it
    n_docs: int
    # its part of the score
    contribution: float


def has_words(snapshot: Snapshot) -> bool:
    """Whether every segment has word lists."""
    return all(segment.words is not None for segment in snapshot.segments)


def rank_by_words(
    snapshot: Snapshot, words: Sequence[str], k: int, allowed: Sequence[NDArray[np.bool_] | None]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ordinals and scores of the best `k` documents, ties in the order of ordinals; fewer where fewer match.

    Args:
        snapshot: of an index with word lists.
        words: of the query, each as often as it stands there.
        k: at least 1.
        allowed: per segment the documents that may be returned, None for all.
    """
    weights = _query_weights(snapshot, words)
    mean = snapshot.mean_words
    ordinals, scores = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for segment, base, may in zip(snapshot.segments, snapshot.bases.tolist(), allowed, strict=False):
        sums = np.zeros(len(segment), np.float64)
        for word, (idf, _) in weights.items():
            docs, parts = _parts(segment, word, mean)
            sums[docs] += idf * parts
        if may is not None:
            sums[~may] = 0.0
        found = np.flatnonzero(sums)
        values = sums[found].astype(np.float32)
        if len(found) > k:  # the best k, and all that are as good as the last of them
            last = np.partition(values, len(values) - k)[len(values) - k]
            good = values >= last
            found, values = found[good], values[good]
        ordinals.append(found + base)
        scores.append(values)
    together, values = np.concatenate(ordinals), np.concatenate(scores)
    order = np.argsort(-values, kind="stable")[:k]
    return together[order], values[order]


def score_words(snapshot: Snapshot, words: Sequence[str], ordinals: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64[len(ordinals)]: the scores of these documents, 0 for those without one of the words."""
    weights, mean = _query_weights(snapshot, words), snapshot.mean_words
    scores = np.zeros(len(ordinals))
    for number, places, local in snapshot.split(ordinals):
        for word, (idf, _) in weights.items():
            docs, parts = _parts(snapshot.segments[number], word, mean)
            if len(docs):
                at = np.minimum(np.searchsorted(docs, local), len(docs) - 1)
                scores[places] += np.where(docs[at] == local, idf * parts[at], 0.0)
    return scores


def explain_words(snapshot: Snapshot, words: Sequence[str], ordinal: int) -> list[WordMatch]:
    """The words of a query that a document holds, the largest contribution first."""
    ((number, _, local),) = snapshot.split(np.array([ordinal]))
    segment, mean = snapshot.segments[number], snapshot.mean_words
    matches = []
    for word, (idf, n_docs) in _query_weights(snapshot, words).items():
        docs, parts = _parts(segment, word, mean)
        place = int(np.searchsorted(docs, local[0]))
        if place < len(docs) and docs[place] == local[0]:
            lists = segment.words
            assert lists is not None
            count = int(lists.counts(lists.find(word))[place])
            matches.append(WordMatch(word, count, n_docs, float(idf * parts[place])))
    return sorted(matches, key=lambda match: -match.contribution)


def near_word(snapshot: Snapshot, word: str, alike: float = ALIKE) -> str | None:
    """The word of the documents that this one is a slip of; None where none is, or a document holds it.

    The most frequent word that is one slip away: a letter too many, too few, another one, or two that changed
    places (Damerau, CACM 1964). Where there is none, the word that shares most pairs of letters with it, if
    that is the share `alike` of them. The first letter is right in both.
    """
    if not word:
        return None
    slips: Counter[str] = Counter()
    shares: dict[str, float] = {}
    pairs = _pairs(word)
    for segment in snapshot.segments:
        lists = segment.words
        if lists is None:
            continue
        if lists.find(word) >= 0:
            return None
        for number in lists.starting_with(word[0]):
            other = lists.word(number)
            if abs(len(other) - len(word.encode())) <= 4:
                text = other.decode("utf-8", "replace")
                if _is_slip(word, text):
                    slips[text] += len(lists.documents(number))
                elif not slips and text.isalpha():
                    share = _shared(pairs, _pairs(text))
                    if share >= alike:
                        shares[text] = share
    if slips:
        return max(slips, key=lambda w: (slips[w], w))
    return max(shares, key=lambda w: (shares[w], w)) if shares else None


def _pairs(word: str) -> Counter[str]:
    """The pairs of neighbouring letters of a word, its beginning and its end included."""
    framed = f"^{word}$"
    return Counter(framed[i : i + 2] for i in range(len(framed) - 1))


def _shared(a: Counter[str], b: Counter[str]) -> float:
    """Dice's coefficient: twice the pairs that both have, over all of them."""
    return 2 * (a & b).total() / (a.total() + b.total())


def _is_slip(a: str, b: str) -> bool:
    """Whether one letter was added, left out or changed, or two neighbours changed places."""
    if abs(len(a) - len(b)) > 1 or a == b:
        return False
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[first:], b[first:]
    if len(a) == len(b):
        return a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
    return a[1:] == b if len(a) > len(b) else a == b[1:]


def _query_weights(snapshot: Snapshot, words: Sequence[str]) -> dict[str, tuple[float, int]]:
    """For each word that some live document holds: idf times how often the query has it, documents."""
    n = snapshot.manifest.live
    found: dict[str, tuple[float, int]] = {}
    for word, times in Counter(words).items():
        holding = sum(_frequency(segment, word) for segment in snapshot.segments)
        if holding:
            found[word] = (times * float(np.log(1 + (n - holding + 0.5) / (holding + 0.5))), holding)
    rare = {word: pair for word, pair in found.items() if pair[1] <= _COMMON * n}
    return rare or found


def _frequency(segment: Segment, word: str) -> int:
    docs = _documents(segment, word)
    return len(docs) if segment.live is None else int(np.count_nonzero(segment.live[docs]))


def _documents(segment: Segment, word: str) -> NDArray[np.uint32]:
    lists = segment.words
    if lists is None:
        raise InvalidInputError("the index has no word lists; build it with words")
    number = lists.find(word)
    return lists.documents(number) if number >= 0 else np.zeros(0, np.uint32)


def _parts(segment: Segment, word: str, mean: float) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """The documents of a segment that hold a word, and its part of the score of each, without the idf."""
    docs = _documents(segment, word)
    lists = segment.words
    if lists is None or not len(docs):
        return docs, np.zeros(0)
    counts = lists.counts(lists.find(word)).astype(np.float64)
    return docs, counts / (counts + K1 * (1 - B + B * lists.lengths[docs] / mean))
