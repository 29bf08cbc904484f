"""Silence for transformers: its progress bars and load reports say nothing that our own checks do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No bars and no warnings of transformers in the block; afterwards as before."""
    from transformers.utils import logging

    hf_logging: Any = logging  # its functions carry no types
    verbosity = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    try:
        with without_bars():
            yield
    finally:
        hf_logging.set_verbosity(verbosity)


@contextmanager
def without_bars() -> Iterator[None]:
    """No bars of transformers in the block, but its warnings: for models that we do not check ourselves."""
    from transformers.utils import logging

    hf_logging: Any = logging
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            hf_logging.enable_progress_bar()
