"""The teachers of the losses that learn from one, as fields of `[loss]`."""

from __future__ import annotations

from dataclasses import dataclass

from splade_engine.training.fields import bounded


@dataclass(frozen=True)
class TeacherFields:
    """Teachers in `[loss]`."""

    # Teachers that score every batch on the fly: bm25, dense:MODEL, sparse:MODEL. Empty: the data's scores.
    teachers: tuple[str, ...] = ()
    # The teachers' shares of the ensemble; empty: equal.
    teacher_weights: tuple[float, ...] = ()
    # Range of the normalised ensemble; 0 leaves a single teacher's scores as they are.
    teacher_scale: float = bounded(0.0, low=0)
