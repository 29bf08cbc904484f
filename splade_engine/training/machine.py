"""The machine that training runs on: device, processes, and memory that is freed but still held."""

from __future__ import annotations

import ctypes
import os
import sys

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError


def world_size() -> int:
    """Processes of this run, as torchrun sets them.

    Raises:
        InvalidInputError: the variable is no number of at least 1.
    """
    return _number(os.environ.get("WORLD_SIZE", ""), "WORLD_SIZE", 1)


def rank() -> int:
    """This process among them, from 0.

    Raises:
        InvalidInputError: the variable is no number.
    """
    return _number(os.environ.get("RANK", ""), "RANK", 0)


def _number(text: str, variable: str, least: int) -> int:
    text = text.strip() or str(least)
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= least):
        raise InvalidInputError(
            f"{variable}: a whole number of at least {least} is expected, got {shown(text)}; torchrun sets it"
        )
    return int(text)


def choose_device(name: str) -> str:
    """`cpu` or `cuda`.

    Raises:
        InvalidInputError: if cuda is asked for and absent.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError("train.device = cuda: this torch sees no CUDA device")
    return name


def trim_heap() -> bool:
    """Give freed memory back to the system, where the C library can (glibc); returns whether it did.

    Batches of all lengths leave holes between live blocks that glibc keeps: a process of 5 GB after 100 steps
    and 10 GB after 1,700. Of 2.9 GB after six steps 1.1 are live (45 ms to trim). Small blocks that stay are
    cut from large ones that were freed, which then are too small for the next batch: 116,630 queries, encoded
    32 at a time to some 10 terms each, took 13 GB without.
    """
    if sys.platform != "linux":
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))
