"""What is measured: effectiveness and its significance, recall of approximate search, sparsity, memory."""

from __future__ import annotations

from splade_engine.eval.measures.effectiveness import (
    DEFAULT_MEASURES,
    Effectiveness,
    check_computable,
    largest_cutoff,
    measure,
    parse_measures,
)

__all__ = [
    "DEFAULT_MEASURES",
    "Effectiveness",
    "check_computable",
    "largest_cutoff",
    "measure",
    "parse_measures",
]
