"""Training pairs from plain documents: ICT, BFS and WLP (Chang et al., arXiv 2002.03932).

Each makes (query, passage) out of a document and a random generator; None where the document does not lend
itself. Weak next to real queries, but enough to adapt an encoder to a domain that has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")
_PARAGRAPH = re.compile(r"\n\s*\n")
KEEP_SENTENCE = 0.1  # share of ICT pairs whose passage keeps the sentence (arXiv 1906.00300: removed 90 %)
MIN_WORDS = 4  # shorter sentences say too little to be a query
PASSAGE_SENTENCES = 6  # of a document without paragraphs

Pair = tuple[str, str]


def sentences(text: str) -> list[str]:
    """Sentences by their final punctuation; good enough for queries."""
    return [s.strip() for s in _SENTENCE.split(text) if s.strip()]


def passages(text: str) -> list[str]:
    """Paragraphs, or runs of six sentences where a text has none."""
    paragraphs = [p.strip() for p in _PARAGRAPH.split(text) if p.strip()]
    if len(paragraphs) > 1:
        return paragraphs
    parts = sentences(text)
    return [" ".join(parts[i : i + PASSAGE_SENTENCES]) for i in range(0, len(parts), PASSAGE_SENTENCES)]


def ict(text: str, rng: np.random.Generator) -> Pair | None:
    """Inverse cloze task: a random sentence is the query, its passage without it the document."""
    candidates = [p for p in passages(text) if len(sentences(p)) >= 2]
    if not candidates:
        return None
    parts = sentences(candidates[rng.integers(len(candidates))])
    usable = [i for i, s in enumerate(parts) if len(s.split()) >= MIN_WORDS]
    if not usable:
        return None
    i = usable[rng.integers(len(usable))]
    kept = parts if rng.random() < KEEP_SENTENCE else parts[:i] + parts[i + 1 :]
    return parts[i], " ".join(kept)


def bfs(text: str, rng: np.random.Generator) -> Pair | None:
    """Body first selection: a sentence of the first section and a later passage of the same page.

    Both are drawn at random.
    """
    first, *rest = passages(text) or [""]
    query = _sentence(first, rng)
    if query is None or not rest:
        return None
    return query, rest[rng.integers(len(rest))]


def wlp(
    text: str, links: Sequence[str], page: Callable[[str], str | None], rng: np.random.Generator
) -> Pair | None:
    """Wiki link prediction: a sentence of the first section, a random passage of a page linked with it.

    Args:
        text: the page.
        links: ids of the pages it is linked with.
        page: the text of a page by id, None if it is not in the collection.
        rng: the only source of randomness.
    """
    query = _sentence((passages(text) or [""])[0], rng)
    if query is None or not links:
        return None
    for i in rng.permutation(len(links)):
        linked = page(links[i])
        if linked and (parts := passages(linked)):
            return query, parts[rng.integers(len(parts))]
    return None


def _sentence(section: str, rng: np.random.Generator) -> str | None:
    usable = [s for s in sentences(section) if len(s.split()) >= MIN_WORDS]
    return usable[rng.integers(len(usable))] if usable else None
