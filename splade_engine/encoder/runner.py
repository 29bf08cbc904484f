"""`Runner`: batches of token ids through a checkpoint's model, out come sparse rows. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import torch

from splade_engine.encoder.tokens import Ids, TextTokenizer

if TYPE_CHECKING:
    from splade_engine.encoder.rows import Row


class Runner(Protocol):
    """What `SparseEncoder` drives: one implementation per checkpoint kind.

    Attributes:
        workers: batches that may run at the same time, one thread each.
    """

    workers: int

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids per text (empty for a text without tokens), and how many texts were cut."""

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """Sorted terms and positive weights per text; every text has at least one token."""


@contextmanager
def single_threaded(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads each compute on their own, without torch's threads below them."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "encode", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        # a worker's setting is also what threads made later would start with
        torch.set_num_threads(before)
