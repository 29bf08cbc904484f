"""Texts to sparse vectors with a student's weights as they are now: for the probe and for mining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from splade_engine.training.data.collate import Collator
from splade_engine.training.machine import trim_heap
from splade_engine.training.student.student import Student

BATCH = 32
_TRIM = 64  # batches


@torch.no_grad()
def encode(student: Student, collator: Collator, texts: Sequence[str], side: str) -> Any:
    """csr_array float32[len(texts), V] of one side (`query` or `document`), with the weights as they are now.

    Leaves the random state alone (no dropout in evaluation mode, which the caller has set).
    """
    device = next(student.parameters()).device
    vectors = student.query_vectors if side == "query" else student.document_vectors
    order = np.argsort([len(t) for t in texts], kind="stable")
    rows, columns, weights = [], [], []
    for first in range(0, len(texts), BATCH):
        chosen = order[first : first + BATCH]
        ids, mask, pool = collator.encoded(side, [texts[i] for i in chosen])
        out = vectors(ids.to(device), mask.to(device), pool.to(device))
        row, column = out.nonzero(as_tuple=True)
        weights.append(out[row, column].float().cpu().numpy())
        rows.append(chosen[row.cpu().numpy()])
        columns.append(column.cpu().numpy())
        if len(rows) % _TRIM == 0:
            trim_heap()
    none = [np.zeros(0, np.int64)]
    places: Any = (np.concatenate(rows or none), np.concatenate(columns or none))
    values: Any = np.concatenate(weights or none).astype(np.float32)
    shape: Any = (len(texts), student.n_terms)
    return csr_array((values, places), shape=shape)
