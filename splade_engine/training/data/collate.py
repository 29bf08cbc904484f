"""`Collator`: examples to one padded micro-batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from splade_engine.encoder.kinds.echo import DEFAULT_TEMPLATE
from splade_engine.encoder.kinds.scalar import word_terms
from splade_engine.encoder.phrases import WordTerms
from splade_engine.encoder.tokens import Ids, TextTokenizer
from splade_engine.training.data.examples import Example

TermTargets = Callable[[Sequence[Ids], Sequence[str]], NDArray[np.float32]]
"""float32[M, V] targets of the documents' token ids and texts."""


class Collator:
    """Tokenises and pads.

    Args:
        queries, documents: the tokenizers, each with its own maximum length.
        group: documents per query, G: the positive and the hard negatives.
        query_special_tokens: False for a query table, which looks at the words alone.
        echo: documents and queries are read twice, pooled over the second copy (causal models).
        words: documents are weighed word by word (DeepImpact): their pooling mask is int64[M, L, 3], what
            `word_terms` says of each token.
        whole: the terms of whole words, in documents and in queries, whose ids are terms then; None: a word
            is its pieces.
        term_targets: targets of the term loss.
        near_duplicates: share of tokens in common (Jaccard) from which on a document counts as the positive
            itself; 1: equal texts only.
        texts: keep the texts in the batch, for teachers that score on the fly.
        prompts: what is put before every query, and before every document.
    """

    def __init__(
        self,
        queries: TextTokenizer,
        documents: TextTokenizer,
        *,
        group: int,
        query_special_tokens: bool = True,
        echo: bool = False,
        words: bool = False,
        whole: WordTerms | None = None,
        texts: bool = False,
        term_targets: TermTargets | None = None,
        near_duplicates: float = 1.0,
        prompts: tuple[str, str] = ("", ""),
    ) -> None:
        self.queries, self.documents = queries, documents
        self.group = group
        self.query_special_tokens = query_special_tokens
        self.echo = echo
        self.words = words
        self.whole = whole
        self.texts = texts
        self.term_targets = term_targets
        self.near_duplicates = near_duplicates
        self.prompts = dict(zip(("query", "document"), prompts, strict=True))

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """A batch of N queries and M <= N * G documents.

        Returns:
            `query_ids`, `query_mask` [N, Lq], `document_ids`, `document_mask` [M, L] (right-padded), `*_pool`
            masks of the positions that are pooled; `slots` int64[M], where a document stands in the (N, G)
            grid: query * G + place; `scores` float[N, G], NaN where the data gives none; `same` bool[N, N *
            G]: another document of the batch that must not count as a negative, because it is nearly the
            query's own positive, or the positive of the same query in another row; `group`.
        """
        group = self.group
        texts, slots = [], []
        scores = np.full((len(examples), group), np.nan, np.float32)
        grid = np.full(len(examples) * group, -1, np.int64)
        number: dict[str, int] = {}
        for n, example in enumerate(examples):
            for g, text in enumerate((example.positives[0], *example.negatives)[:group]):
                texts.append(text)
                slots.append(n * group + g)
                grid[slots[-1]] = number.setdefault(text, len(number))
            if example.scores is not None:
                kept = example.scores[:group]
                scores[n, : len(kept)] = kept
        own = np.arange(len(examples)) * group
        same = grid[None, :] == grid[own][:, None]
        queries = [e.query for e in examples]
        for n, query in enumerate(queries):
            same[n, [own[k] for k, other in enumerate(queries) if other == query]] = True
        batch: dict[str, Any] = {
            **_named("query", *self.encoded("query", queries)),
            **_named("document", *self.encoded("document", texts)),
            "slots": torch.tensor(slots, dtype=torch.int64),
            "scores": torch.from_numpy(scores),
            "group": group,
        }
        if self.near_duplicates < 1:
            same[:, slots] |= near_duplicates(batch["document_ids"].numpy(), slots, own, self.near_duplicates)
        same[np.arange(len(examples)), own] = False
        batch["same"] = torch.from_numpy(same)
        if self.term_targets is not None:
            lengths = batch["document_mask"].sum(1).tolist()
            ids = batch["document_ids"].numpy().astype(np.int32)
            targets = self.term_targets([row[:n] for row, n in zip(ids, lengths, strict=True)], texts)
            batch["targets"] = torch.from_numpy(targets)
        if self.texts:
            batch["query_texts"], batch["document_texts"] = queries, texts
        return batch

    def encoded(self, side: str, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Padded ids, attention mask and pooling mask of one side (`query` or `document`)."""
        tokenizer = self.queries if side == "query" else self.documents
        if prompt := self.prompts[side]:
            texts = [prompt + text for text in texts]
        if self.echo:
            return echo_batch(tokenizer, texts)
        if side == "query" and self.whole is not None:
            padded, mask = pad([self._terms(self.whole, text) for text in texts])
            return padded, mask, mask
        ids, _ = tokenizer.encode(texts, special_tokens=side == "document" or self.query_special_tokens)
        padded, mask = pad(ids)
        return padded, mask, self._by_word(ids, texts) if self.words and side == "document" else mask

    def _by_word(self, ids: Sequence[Ids], texts: Sequence[str]) -> Tensor:
        numbers = self.documents.word_numbers(texts)
        parts = [word_terms(row, words, self.whole) for words, row in zip(numbers, ids, strict=True)]
        return torch.stack([pad(column)[0] for column in zip(*parts, strict=True)], -1)

    def _terms(self, whole: WordTerms, query: str) -> NDArray[np.int64]:
        """The terms of a query's words."""
        ids, words, _ = self.queries.encode_words(query)
        return whole.of_tokens(np.array(ids, np.int64), np.array(words, np.int64))[0]


def _named(side: str, ids: Tensor, mask: Tensor, pool: Tensor) -> dict[str, Tensor]:
    return {f"{side}_ids": ids, f"{side}_mask": mask, f"{side}_pool": pool}


def near_duplicates(
    ids: NDArray[np.int64], slots: Sequence[int], own: NDArray[np.int64], least: float
) -> NDArray[np.bool_]:
    """Which of M documents share at least `least` of their tokens with each query's positive (Jaccard).

    Args:
        ids: int64[M, L], padded with 0, which counts for nobody.
        slots: M places in the (N, G) grid.
        own: int64[N] places of the positives.
        least: share of the tokens that either has.

    Returns:
        bool[N, M].
    """
    sets = [np.unique(row[row > 0]) for row in ids]
    starts = np.cumsum([0, *map(len, sets)])
    terms = np.unique(np.concatenate(sets), return_inverse=True)[1]
    shape = (len(sets), int(terms.max(initial=0)) + 1)
    table = sp.csr_array((np.ones(len(terms), np.float32), terms, starts), shape=shape)
    positives = table[np.searchsorted(np.asarray(slots), own)]
    common = (positives @ table.T).toarray()
    sizes = np.diff(starts)
    either = np.diff(positives.indptr)[:, None] + sizes[None, :] - common
    return np.asarray(common >= least * np.maximum(either, 1))


def pad(rows: Sequence[NDArray[Any]]) -> tuple[Tensor, Tensor]:
    """Token ids int64[N, L] padded on the right with 0 and their mask bool[N, L]; L is at least 1."""
    lengths = np.array([len(r) for r in rows], np.int64)
    width = max(1, int(lengths.max(initial=1)))
    mask = np.arange(width)[None, :] < lengths[:, None]
    ids = np.zeros((len(rows), width), np.int64)
    if len(rows):
        ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def echo_batch(
    tokenizer: TextTokenizer, texts: Sequence[str], template: str = DEFAULT_TEMPLATE
) -> tuple[Tensor, Tensor, Tensor]:
    """Every text twice (echo embeddings, arXiv 2402.15449): ids, mask, and the positions of the second copy.

    The layout is the encoder's (`EchoModel`): beginning-of-text tokens, then the template with the text's ids
    in both places; the tokenizer's maximum length counts one copy.
    """
    (start,), _ = tokenizer.encode([""])
    (before, between, after), _ = tokenizer.encode(template.split("{text}"), special_tokens=False)
    ids, _ = tokenizer.encode(texts, special_tokens=False)
    padded, mask = pad([np.concatenate((start, before, row, between, row, after)) for row in ids])
    pool = torch.zeros_like(mask)
    for n, row in enumerate(ids):
        second = len(start) + len(before) + len(row) + len(between)
        pool[n, second : second + len(row)] = True
    return padded, mask, pool
