"""Between numpy and torch: padded batches in, sparse rows out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Row = tuple[NDArray[np.int32], NDArray[np.float32]]


def padded(batch: Sequence[NDArray[Any]], device: torch.device) -> tuple[Tensor, Tensor]:
    """int64[B, L] ids and mask, padded with 0 on the right (masked, so the id does not matter)."""
    longest = max(len(ids) for ids in batch)
    out = np.zeros((len(batch), longest), dtype=np.int64)
    mask = np.zeros_like(out)
    for row, ids in enumerate(batch):
        out[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    return torch.from_numpy(out).to(device), torch.from_numpy(mask).to(device)


def sparse_rows(weights: Tensor, top_k: int | None) -> list[Row]:
    """Positive entries of float32[B, V] per row; with `top_k` the lighter ones never leave the device."""
    if top_k is not None and top_k < weights.shape[1]:
        # everything below the k-th weight goes; terms that tie with it stay until the caller breaks the tie
        # by term id (bfloat16 has many ties, and topk picks among them by chance)
        least = weights.topk(top_k, dim=1).values[:, -1:]
        weights = torch.where(weights < least, 0, weights)  # NaN stays, to be refused
    if weights.device.type == "cpu":
        rows = []
        for row in float32(weights):
            terms_of_row = np.flatnonzero(row)
            rows.append((terms_of_row.astype(np.int32), row[terms_of_row]))
        return rows
    places = weights.nonzero()
    counts = torch.bincount(places[:, 0], minlength=len(weights)).cpu().numpy()
    cuts = np.cumsum(counts)[:-1]
    flat_terms, flat_weights = int32(places[:, 1]), float32(weights[places[:, 0], places[:, 1]])
    return list(zip(np.split(flat_terms, cuts), np.split(flat_weights, cuts), strict=True))


def float32(tensor: Tensor) -> NDArray[np.float32]:
    """To a numpy array on this side."""
    array: NDArray[np.float32] = tensor.cpu().numpy()
    return array


def int32(tensor: Tensor) -> NDArray[np.int32]:
    """To a numpy array on this side."""
    array: NDArray[np.int32] = tensor.to(torch.int32).cpu().numpy()
    return array
