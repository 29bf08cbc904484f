"""`Monitor`: what a run reports while it trains, and when it must stop."""

from __future__ import annotations

import json
import logging
from collections import deque
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splade_engine.files import atomic_file, parsed_json
from splade_engine.training.objective.parts import PARTS
from splade_engine.training.objective.regularizers import flops_metric
from splade_engine.training.objective.vectors import Vectors
from splade_engine.training.run.health import DivergedError
from splade_engine.training.student.csr import LOSSES as CSR_LOSSES

logger = logging.getLogger(__name__)

DEAD_AFTER = 100  # steps without an active document after which a term counts as dead
COLLAPSE_WINDOW = 20  # steps whose mean number of terms decides

# loss parts in the order in which they are shown
LOSSES = (*(part.name for part in PARTS), *CSR_LOSSES)


class Monitor:
    """Accumulates over the steps between two log lines.

    Args:
        n_terms: size V of the vocabulary.
        collapse_below: mean terms per document under which `check_collapse` stops the run; 0 never.
    """

    def __init__(self, n_terms: int, collapse_below: float) -> None:
        self.collapse_below = collapse_below
        self.last_active = torch.zeros(n_terms, dtype=torch.int64)
        self._recent: deque[float] = deque(maxlen=COLLAPSE_WINDOW)
        self._reset(n_terms)

    def _reset(self, n_terms: int) -> None:
        self._sums: dict[str, float] = {}
        self._batches = 0
        self._documents = self._queries = 0
        self._document_active = torch.zeros(n_terms, dtype=torch.int64)
        self._query_active = torch.zeros(n_terms, dtype=torch.int64)

    @torch.no_grad()
    def add(self, vectors: Vectors, parts: dict[str, Tensor], lambdas: dict[str, float], step: int) -> None:
        """Take note of one micro-batch of optimiser step `step` (from 1)."""
        active = vectors.documents[vectors.valid] > 0
        per_term = active.sum(0).cpu()
        self._document_active += per_term
        self._documents += len(active)
        self._query_active += (vectors.queries > 0).sum(0).cpu()
        self._queries += len(vectors.queries)
        self.last_active[per_term > 0] = step
        self._recent.append(float(per_term.sum()) / max(1, len(active)))
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
        for name, weight in lambdas.items():
            if weight:
                self._sums[f"lambda_{name}"] = self._sums.get(f"lambda_{name}", 0.0) + weight
        self._batches += 1

    def summary(self, step: int) -> dict[str, float]:
        """Means since the last call: loss parts, lambdas, terms, FLOPS, dead terms."""
        if not self._batches:
            return {}
        out = {name: total / self._batches for name, total in self._sums.items()}
        documents, queries = max(1, self._documents), max(1, self._queries)
        out["document_terms"] = float(self._document_active.sum()) / documents
        out["query_terms"] = float(self._query_active.sum()) / queries
        out["flops"] = float(flops_metric(self._query_active / queries, self._document_active / documents))
        out["dead_terms"] = float((step - self.last_active >= DEAD_AFTER).sum())
        self._reset(len(self.last_active))
        return out

    def check_collapse(self, step: int, lambdas: dict[str, float]) -> None:
        """Stop a run whose documents have become empty.

        Raises:
            DivergedError: with what to change.
        """
        if not self.collapse_below or len(self._recent) < COLLAPSE_WINDOW:
            return
        mean = sum(self._recent) / len(self._recent)
        if mean < self.collapse_below:
            now = f"{lambdas.get('document', 0.0):.3g}"
            raise DivergedError(
                f"step {step}: the encoder has collapsed, {mean:.1f} terms a document over the last "
                f"{COLLAPSE_WINDOW} batches (limit {self.collapse_below:g}); set regularizer.document_terms "
                f"to the number that you want, lower regularizer.document_lambda (now at {now}; a tenth is a "
                "good next try), lengthen regularizer.ramp_steps, or set regularizer.document_threshold; "
                "with a teacher look at loss.teacher_scale too"
            )

    def state(self) -> dict[str, Tensor]:
        """What a restart needs; a checkpoint may lie between two log lines."""
        sums = {f"sum.{name}": torch.tensor(total, dtype=torch.float64) for name, total in self._sums.items()}
        return sums | {
            "last_active": self.last_active,
            "recent": torch.tensor(list(self._recent), dtype=torch.float64),
            "counts": torch.tensor([self._batches, self._documents, self._queries]),
            "document_active": self._document_active,
            "query_active": self._query_active,
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore `state()`."""
        self.last_active = state["last_active"].clone()
        self._recent.clear()
        self._recent.extend(state["recent"].tolist())
        self._reset(len(self.last_active))
        if "counts" in state:  # earlier releases kept none
            self._sums = {k.removeprefix("sum."): float(v) for k, v in state.items() if k.startswith("sum.")}
            self._batches, self._documents, self._queries = state["counts"].tolist()
            self._document_active = state["document_active"].clone()
            self._query_active = state["query_active"].clone()


class RunLog:
    """`log.jsonl`: one object per log line, in step order.

    Every checkpoint holds a copy. A resumed run continues after its checkpoint's step, with that copy where
    the log is not what the run has written: what it has measured decides which model is the best one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep_in(self, checkpoint: Path) -> None:
        """Copy the log as it is now into a checkpoint."""
        with atomic_file(checkpoint / self.path.name) as file:
            file.write(self.path.read_bytes() if self.path.is_file() else b"")

    def cut(self, step: int, checkpoint: Path | None = None) -> None:
        """Forget what was logged after `step`: the resumed run logs it again.

        Args:
            step: of the checkpoint, 0 where the run begins again.
            checkpoint: whose copy takes the place of a log that is damaged or has lost lines.
        """
        kept = [row for row in self.rows() if row["step"] <= step]
        copy = None if checkpoint is None else RunLog(checkpoint / self.path.name)
        if checkpoint is not None and copy is not None and copy.path.is_file():
            written = copy.rows()
            if kept[: len(written)] != written:
                logger.warning(
                    "%s: damaged or changed since the run wrote it (%d of its %d lines up to step %d are as "
                    "they were); restored from %s",
                    self.path,
                    sum(row in kept for row in written),
                    len(written),
                    step,
                    checkpoint,
                )
                kept = written
        elif not self.path.is_file():
            return
        text = "".join(json.dumps(row) + "\n" for row in kept)
        with atomic_file(self.path) as file:
            file.write(text.encode("utf-8"))

    def append(self, row: dict[str, Any]) -> None:
        """Add one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All lines up to the first that the run cannot have written, such as one that a kill cut short."""
        rows: list[dict[str, Any]] = []
        if not self.path.is_file():
            return rows
        for line in self.path.read_bytes().splitlines():
            try:
                row = parsed_json(line)
            except (ValueError, RecursionError):
                break
            if not _is_row(row):
                break
            rows.append(row)
        return rows

    def lacks(self, step: int, every: int) -> bool:
        """Whether the last losses up to `step`, of which every `every` steps are logged, are gone."""
        last = step - step % every
        return last > 0 and not any(row["step"] == last and "loss" in row for row in self.rows())


def _is_row(row: object) -> bool:
    """Whether a value is a line of the log: numbers by name, and among them the step."""
    return (
        isinstance(row, dict)
        and type(row.get("step")) is int
        and all(type(value) in (int, float) for value in row.values())
    )


def progress_line(row: dict[str, Any], steps: int) -> str:
    """A log row for a person: step, losses, terms, penalty, held-out nDCG."""
    parts = [f"step {row.get('step', 0)}/{steps}"]
    if "loss" in row:
        parts.append(f"loss {row['loss']:.4g}")
    parts += [f"{name} {row[name]:.4g}" for name in LOSSES if name in row]
    if "document_terms" in row:
        parts.append(f"terms {row['document_terms']:.0f}/{row['query_terms']:.0f}")
        parts.append(f"flops {row['flops']:.3g}")
        parts.append(f"dead {row['dead_terms']:.0f}")
    parts += [f"{key.replace('_', ' ')} {row[key]:.3g}" for key in sorted(row) if key.startswith("lambda_")]
    if "ndcg@10" in row:
        parts.append(f"nDCG@10 {row['ndcg@10']:.4f}")
    if "seconds_per_step" in row:
        parts.append(f"{row['seconds_per_step']:.2f} s/step")
    return "  ".join(parts)
