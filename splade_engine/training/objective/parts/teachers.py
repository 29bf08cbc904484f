"""The teachers of the losses that learn from one, as fields of `[loss]`."""

from __future__ import annotations

from dataclasses import dataclass

from splade_engine.training.fields import bounded


@dataclass(frozen=True)
class TeacherFields:
    """Teachers in `[loss]`."""

    # Teachers that score every batch on the fly: bm25, dense:MODEL, sparse:MODEL, cross:MODEL. Empty: the
    # scores of the data are used.
    teachers: tuple[str, ...] = ()
    # The teachers' shares of the ensemble. Empty: equal shares.
    teacher_weights: tuple[float, ...] = ()
    # Range of the normalised ensemble: each teacher's scores of a query's candidates are stretched to it. 0
    # leaves the scores of a single teacher as they are.
    teacher_scale: float = bounded(0.0, low=0)
    # If teacher_scale is 0, the scores of a single teacher are multiplied by this; cosines need some 50.
    # Unlike teacher_scale, it keeps how much surer a teacher is of one query than of another.
    teacher_factor: float = bounded(1.0, low=0)
