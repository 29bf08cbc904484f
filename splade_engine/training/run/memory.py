"""What to do when memory is short."""

from __future__ import annotations

from typing import Any

import torch

from splade_engine.training.recipe.recipe import Recipe


def first_queries(batch: dict[str, Any], n: int) -> dict[str, Any]:
    """The first n queries of a batch with their documents."""
    group = batch["group"]
    rows = int((batch["slots"] < n * group).sum())
    out = dict(batch)
    for name, value in batch.items():
        if name.startswith("query_") or name == "scores":
            out[name] = value[:n]
        elif name.startswith("document_") or name == "slots":
            out[name] = value[:rows]
    out["same"] = batch["same"][:n, : n * group]
    return out


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says so."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def memory_advice(shape: tuple[int, ...], fits: int, recipe: Recipe) -> str:
    """One line: what did not fit (queries, documents, tokens), and the number of queries that does."""
    queries, documents, tokens = shape
    place = f"out of memory at {queries} queries with {documents} documents of {tokens} tokens"
    if not fits:
        return (
            f"{place}: not even one query fits; shorten model.document_length "
            f"(now {recipe.model.document_length}) or lower data.negatives (now {recipe.data.negatives})"
        )
    accumulation = recipe.train.accumulation * max(1, recipe.train.batch_size // fits)
    return (
        f"{place}: train.batch_size = {fits} fits (tried); with train.accumulation = {accumulation} "
        "a step sees as many queries as before"
    )
