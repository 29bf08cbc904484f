"""How the term numbers of rows can be stored: one module, and a row of `TERM_KINDS` for each width.

A kind brings its arrays, the rules that make kernels safe on them, writing and reading (`kind.py`); how a
kernel reads one number is in `kernels/score.py`. Everything else asks the row: the file, the checks
(`layout.py`), `build.py`, `rows.py`, `BuildConfig`. Kinds are chosen apart from those of weights
(`../weights/`): every kernel that reads rows is compiled for each pair when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from splade_engine.index.segment.arrays import Arrays, check_empty, check_length
from splade_engine.index.segment.terms.kind import TermKind
from splade_engine.index.segment.terms.plain import PLAIN_16, PLAIN_32
from splade_engine.index.segment.terms.split import SPLIT_8, SPLIT_16

if TYPE_CHECKING:
    from splade_engine.index.config import BuildConfig

__all__ = ["PLAIN_16", "PLAIN_32", "TERM_KINDS", "TermKind", "check_terms", "stored_terms", "terms_for"]

TERM_KINDS: tuple[TermKind, ...] = (PLAIN_16, PLAIN_32, SPLIT_8, SPLIT_16)


def stored_terms(arrays: Arrays) -> TermKind:
    """How the term numbers of these arrays are stored."""
    return next((kind for kind in TERM_KINDS if len(arrays[kind.section])), PLAIN_16)


def terms_for(config: BuildConfig, n_local: int) -> TermKind:
    """The kind that `config` asks for, as wide as numbers below `n_local` need."""
    name = "plain" if config.terms == "auto" else config.terms
    return next(kind for kind in TERM_KINDS if kind.name == name and n_local <= kind.most)


def check_terms(arrays: Arrays, n_docs: int, nnz: int) -> None:
    """Check the arrays of the kind that is used, and that those of the others are empty.

    Raises:
        IndexCorruptError: "<array>: <rule>, at <place>: <value>".
    """
    used = stored_terms(arrays)
    others = [kind for kind in TERM_KINDS if kind is not used]
    for kind in others:
        check_empty(kind.section, arrays[kind.section], used.section)
    for spec in {spec for kind in others for spec in kind.arrays if spec not in used.arrays}:
        check_length(spec.name, arrays[spec.name], 0)
    used.check(arrays, n_docs, nnz)
