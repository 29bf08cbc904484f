"""Encoding on several devices: one process each, fed with chunks of texts as it becomes free.

A process has its own interpreter and its own copy of the model, so that tokenizing for one device does not
wait for another. Processes are spawned (a model does not survive a fork): a script that calls this has its
own code under `if __name__ == "__main__":`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from copy import copy
from functools import partial
from queue import Empty, SimpleQueue

import numpy as np

from splade_engine.encoder.side import EncodedTexts, NeuralSide
from splade_engine.errors import SpladeEngineError
from splade_engine.parents import end_with_parent
from splade_engine.progress import Progress, ProgressBar
from splade_engine.vectors import SparseVectors

_SHARES = 8  # chunks for every process: the slower one then holds up the others by a small part
_MOST = 2048  # texts of a chunk: what is in flight is bounded

_side: NeuralSide | None = None  # of a process that this module has started


def encode_on(
    side: NeuralSide,
    devices: Sequence[str],
    texts: Sequence[str],
    *,
    batch_tokens: int,
    top_k: int | None,
    progress: Progress,
) -> EncodedTexts:
    """What `side.encode` gives, made on all devices; one row per text, in order.

    Args:
        side: of the encoder; it is not used itself, each process loads its own.
        devices: as `choose_place` takes them; one that stands twice has two processes.
        texts: texts.
        batch_tokens: tokens per batch.
        top_k: terms kept per row, None for all.
        progress: see `Progress`.

    Raises:
        SpladeEngineError: if a process ends before its texts are encoded; and what encoding raises.
    """
    size = max(1, min(_MOST, -(-len(texts) // (_SHARES * len(devices)))))
    starts = range(0, len(texts), size)
    waiting: SimpleQueue[int] = SimpleQueue()
    for number in range(len(starts)):
        waiting.put(number)
    found: list[EncodedTexts | None] = [None] * len(starts)
    bar = ProgressBar(progress, len(texts), label="encode", unit=" texts")

    def drive(pool: ProcessPoolExecutor, device: str) -> None:
        while True:
            try:
                number = waiting.get_nowait()
            except Empty:
                return
            chunk = list(texts[starts[number] : starts[number] + size])
            try:
                found[number] = pool.submit(_encode, chunk, batch_tokens, top_k).result()
            except BrokenProcessPool as error:
                raise SpladeEngineError(
                    f"device {device}: its process ended while it was encoding (out of memory, or a script "
                    'without `if __name__ == "__main__":`)'
                ) from error
            bar.advance(len(chunk))

    pools = [_pool(side, device, len(devices)) for device in devices]
    try:
        with bar, ThreadPoolExecutor(len(devices), "device") as drivers:
            running = [drivers.submit(drive, pool, d) for pool, d in zip(pools, devices, strict=True)]
            _first_error(running, waiting)
    finally:
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)
    parts = [part for part in found if part is not None]
    vectors = SparseVectors.concat([p.vectors for p in parts]) if parts else SparseVectors.empty(side.n_terms)
    unknown = [part.unknown + start for part, start in zip(parts, starts, strict=True)]
    return EncodedTexts(
        vectors, sum(p.truncated for p in parts), np.concatenate([np.zeros(0, np.int64), *unknown])
    )


def _first_error(running: Sequence[Future[None]], waiting: SimpleQueue[int]) -> None:
    """Wait for all; when one fails, or the caller is interrupted, nobody takes another chunk."""
    try:
        for driver in running:
            driver.result()
    except BaseException:
        while not waiting.empty():
            waiting.get_nowait()
        raise


def _pool(side: NeuralSide, device: str, count: int) -> ProcessPoolExecutor:
    own = copy(side)
    own.device = device
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_start, initargs=(own, count))


def _start(side: NeuralSide, count: int) -> None:
    """In a new process: its side, and its share of the cores."""
    global _side
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's, who ends this process
    end_with_parent(partial(os._exit, 1))
    if side.device in ("auto", "cpu"):
        torch.set_num_threads(max(1, torch.get_num_threads() // count))
    _side = side


def _encode(texts: list[str], batch_tokens: int, top_k: int | None) -> EncodedTexts:
    assert _side is not None
    return _side.encode(texts, batch_tokens=batch_tokens, top_k=top_k, progress=False)
