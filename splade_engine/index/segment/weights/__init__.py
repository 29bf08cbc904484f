"""How the weights of rows can be stored: one module and one row of `WEIGHT_KINDS` for each kind.

A kind brings its arrays, the rules that make kernels safe on them, writing and reading (`kind.py`); how a
kernel reads one weight is in `kernels/weights.py`. Everything else asks the row: the file, the checks
(`layout.py`), `build.py`, `rows.py`, `BuildConfig`. docs/performance.md has what each kind costs in recall,
bytes and time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from splade_engine.index.segment.arrays import Arrays, check_empty
from splade_engine.index.segment.weights.float16 import Float16
from splade_engine.index.segment.weights.float32 import Float32
from splade_engine.index.segment.weights.kind import WeightKind
from splade_engine.index.segment.weights.uint8 import Uint8

if TYPE_CHECKING:
    from splade_engine.index.config import BuildConfig

FLOAT16, FLOAT32, UINT8 = Float16(), Float32(), Uint8()
WEIGHT_KINDS: tuple[WeightKind, ...] = (FLOAT16, FLOAT32, UINT8)


def stored_weights(arrays: Arrays) -> WeightKind:
    """How the weights of these arrays are stored."""
    used = (kind for kind in reversed(WEIGHT_KINDS) if any(len(arrays[spec.name]) for spec in kind.arrays))
    return next(used, FLOAT16)


def weights_for(config: BuildConfig, largest: float) -> WeightKind:
    """The kind that `config` asks for, or that fits weights up to `largest`.

    Raises:
        InvalidInputError: if it does not hold them.
    """
    if config.weights == "auto":
        return FLOAT16 if FLOAT16.fits(largest) else FLOAT32
    kind = next(kind for kind in WEIGHT_KINDS if kind.name == config.weights)
    kind.refuse(largest)
    return kind


def check_weights(arrays: Arrays, n_docs: int, nnz: int) -> None:
    """Check the arrays of the kind that is used, and that those of the others are empty.

    Raises:
        IndexCorruptError: "<array>: <rule>, at <place>: <value>".
    """
    used = stored_weights(arrays)
    used.check(arrays, n_docs, nnz)
    for kind in WEIGHT_KINDS:
        for spec in kind.arrays if kind is not used else ():
            check_empty(spec.name, arrays[spec.name], used.arrays[0].name)
