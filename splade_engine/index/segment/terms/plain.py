"""Term numbers as they are: 16 bits each, or 32 where there are more than 65,536."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.segment.arrays import (
    Arrays,
    ArraySpec,
    Empty,
    check_ascending,
    check_each,
    check_length,
)
from splade_engine.index.segment.terms.kind import TermKind


class Plain(TermKind):
    """An unsigned integer for each entry."""

    name = "plain"

    def write(
        self, offsets: NDArray[np.int64], terms: NDArray[Any], n_local: int, empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """See `TermKind`."""
        return {self.section: terms.astype(self.arrays[0].dtype, copy=False)}

    def check(self, arrays: Arrays, n_docs: int, nnz: int) -> None:
        """See `TermKind`."""
        n_local, terms = len(arrays["term_ids"]), arrays[self.section]
        check_length(self.section, terms, nnz)
        check_each(self.section, terms, lambda part: part < n_local, f"must be below {n_local}")
        check_ascending(self.section, terms, arrays["doc_offsets"])

    def read(
        self,
        arrays: Arrays,
        ordinals: NDArray[np.int64],
        starts: NDArray[np.int64],
        entries: NDArray[np.int64],
    ) -> NDArray[Any]:
        """See `TermKind`."""
        terms: NDArray[Any] = arrays[self.section][entries]
        return terms


# format 1 has both arrays in every file, and one of them is empty
PLAIN_16 = Plain(1 << 16, ArraySpec("doc_terms_16", "<u2"))
PLAIN_32 = Plain(1 << 32, ArraySpec("doc_terms_32", "<u4"))
