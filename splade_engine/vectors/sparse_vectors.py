"""`SparseVectors`: a batch of sparse term vectors, the one type that every part of the library exchanges.

Compressed sparse rows (CSR): row i holds `terms[indptr[i]:indptr[i + 1]]`, strictly increasing, with their
weights. A batch is validated once, when it is made, and immutable afterwards, so that nothing downstream (a
Numba kernel does not check bounds) has to look again. Zero weights are dropped: a term is in a row if and
only if it counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.arguments import many, whole
from splade_engine.errors import InvalidInputError
from splade_engine.vectors.checks import (
    check_entries,
    check_shapes,
    checked_integers,
    checked_n_terms,
    checked_vocabulary,
    copied,
)
from splade_engine.vectors.dicts import entries_of, numbered
from splade_engine.vectors.matrices import entries_of_matrix, entries_of_tensor, matrix_of, tensor_of

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

MOST_ROWS = 2**31 - 1  # of a batch without terms: 16 GiB


class SparseVectors:
    """An immutable batch of non-negative sparse vectors over a vocabulary of `n_terms` terms.

    Attributes:
        indptr: int64[n + 1], non-decreasing, `indptr[0] == 0`, `indptr[-1] == nnz`.
        terms: int32[nnz], strictly increasing within a row, in `[0, n_terms)`.
        weights: float32[nnz], finite and above zero.
        n_terms: size of the vocabulary.

    Raises:
        InvalidInputError: naming the row, the term and the value that break one of these rules.
    """

    __slots__ = ("indptr", "n_terms", "terms", "weights")

    indptr: NDArray[np.int64]
    terms: NDArray[np.int32]
    weights: NDArray[np.float32]
    n_terms: int

    def __init__(self, indptr: ArrayLike, terms: ArrayLike, weights: ArrayLike, n_terms: int) -> None:
        if hasattr(self, "indptr"):
            raise AttributeError("SparseVectors are immutable: they cannot be made again")
        # copied before they are checked: what the caller does with its arrays, now or later, is no matter
        self._fill(copied("indptr", indptr), copied("terms", terms), copied("weights", weights), n_terms)

    @classmethod
    def from_valid(
        cls,
        indptr: NDArray[np.int64],
        terms: NDArray[np.int32],
        weights: NDArray[np.float32],
        n_terms: int,
    ) -> SparseVectors:
        """Wrap arrays that are valid by construction, such as a selection of rows that were checked before.

        Nothing is checked and nothing copied: the arrays have to be new, or those of other `SparseVectors`.
        They are made read-only.

        Args:
            indptr: int64[n + 1].
            terms: int32[nnz].
            weights: float32[nnz].
            n_terms: size of the vocabulary.
        """
        self = cls.__new__(cls)
        self._freeze(indptr, terms, weights, n_terms)
        return self

    @classmethod
    def adopt(
        cls, indptr: NDArray[Any], terms: NDArray[Any], weights: NDArray[Any], n_terms: int
    ) -> SparseVectors:
        """Check arrays that nobody else will write to, and keep them instead of a copy.

        For what was just read or computed: a billion postings are not held twice. Arguments and errors are
        those of the constructor.
        """
        self = cls.__new__(cls)
        self._fill(indptr, terms, weights, n_terms)
        return self

    def _fill(self, indptr: NDArray[Any], terms: NDArray[Any], weights: NDArray[Any], n_terms: int) -> None:
        size = checked_n_terms(n_terms)
        ptr = checked_integers("indptr", indptr)
        check_shapes(ptr, terms, weights)
        check_entries(ptr, terms, weights, size)
        int_terms = terms.astype(np.int32, copy=False)
        float_weights = weights.astype(np.float32, copy=False)
        if len(float_weights) and not float_weights.all():
            ptr, int_terms, float_weights = _drop_zeros(ptr, int_terms, float_weights)
        self._freeze(ptr, int_terms, float_weights, size)

    def _freeze(
        self, indptr: NDArray[np.int64], terms: NDArray[np.int32], weights: NDArray[np.float32], n_terms: int
    ) -> None:
        put = object.__setattr__  # ours refuses
        for name, array in (("indptr", indptr), ("terms", terms), ("weights", weights)):
            array.flags.writeable = False
            put(self, name, array.view())  # of an array that is read-only: it cannot be made writable again
        put(self, "n_terms", n_terms)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"SparseVectors are immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"SparseVectors are immutable: {name} cannot be deleted")

    def __copy__(self) -> SparseVectors:
        return self

    def __deepcopy__(self, memo: object) -> SparseVectors:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as arrays, and checked again when they come back."""
        return type(self), (self.indptr, self.terms, self.weights, self.n_terms)

    # ---- shape ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def nnz(self) -> int:
        """Number of stored entries of all rows together."""
        return int(self.indptr[-1])

    @property
    def row_nnz(self) -> NDArray[np.int64]:
        """int64[n]: the number of terms of each row."""
        return self.indptr[1:] - self.indptr[:-1]  # np.diff takes 2 us longer, which a search would notice

    def __repr__(self) -> str:
        mean = self.nnz / len(self) if len(self) else 0.0
        return f"SparseVectors({len(self)} rows, {self.n_terms} terms, {mean:.1f} nnz a row)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseVectors):
            return NotImplemented
        return (
            self.n_terms == other.n_terms
            and np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.terms, other.terms)
            and np.array_equal(self.weights, other.weights)
        )

    __hash__ = None  # type: ignore[assignment]

    # ---- selection -----------------------------------------------------------------------

    def row(self, i: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Terms and weights of row `i` as views (negative `i` counts from the end)."""
        i = self._row_number(i)
        a, b = self.indptr[i], self.indptr[i + 1]
        return self.terms[a:b], self.weights[a:b]

    def __iter__(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        for i in range(len(self)):
            yield self.row(i)

    def __getitem__(self, rows: int | slice | ArrayLike) -> SparseVectors:
        """Rows as a new batch: one (`v[3]`), a range (`v[10:20]`, no copy), a selection or a boolean mask."""
        if isinstance(rows, int | np.integer):
            i = self._row_number(rows)
            return self[i : i + 1]
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                stop = max(start, stop)
                a, b = self.indptr[start], self.indptr[stop]
                ptr = self.indptr[start : stop + 1] - a
                return self.from_valid(ptr, self.terms[a:b], self.weights[a:b], self.n_terms)
            rows = np.arange(start, stop, step)
        return self._take(np.asarray(rows))

    def _row_number(self, i: int | np.integer[Any]) -> int:
        if isinstance(i, bool | np.bool_):  # a mask to numpy, and 0 or 1 to Python
            raise IndexError(f"a row is selected by its number, got {i}")
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of a batch of {len(self)}")
        return int(i) % len(self)

    def _take(self, rows: NDArray[Any]) -> SparseVectors:
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise IndexError(f"mask of shape {rows.shape} for a batch of {len(self)}")
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64) if rows.size == 0 else rows
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise IndexError("rows are selected by integers, a slice or a boolean mask")
        rows = rows.astype(np.int64, copy=False)
        if len(rows) and (rows.min() < -len(self) or rows.max() >= len(self)):
            raise IndexError(f"a row number outside the batch of {len(self)}")
        rows = np.where(rows < 0, rows + len(self), rows)
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        ptr = np.concatenate(([0], np.cumsum(lengths)))
        entry = np.repeat(self.indptr[rows] - ptr[:-1], lengths) + np.arange(ptr[-1])
        return self.from_valid(ptr, self.terms[entry], self.weights[entry], self.n_terms)

    def top_k(self, k: int) -> SparseVectors:
        """Keep the `k` heaviest terms of each row; among equal weights the smaller term id stays.

        Raises:
            InvalidInputError: if k < 1.
        """
        k = whole("top_k", k, 1)
        if len(self) == 0 or int(self.row_nnz.max()) <= k:
            return self
        rows = np.repeat(np.arange(len(self)), self.row_nnz)
        order = np.lexsort((self.terms, -self.weights, rows))
        rank = np.arange(self.nnz) - self.indptr[rows]
        keep = np.zeros(self.nnz, dtype=bool)
        keep[order[rank < k]] = True
        ptr = np.concatenate(([0], np.cumsum(np.minimum(self.row_nnz, k))))
        return self.from_valid(ptr, self.terms[keep], self.weights[keep], self.n_terms)

    @classmethod
    def concat(cls, batches: Sequence[SparseVectors]) -> SparseVectors:
        """Stack batches over the same vocabulary.

        Raises:
            InvalidInputError: if there is no batch, or the vocabularies differ in size.
        """
        batches = many("batches", batches, "SparseVectors")
        for i, batch in enumerate(batches):
            if not isinstance(batch, SparseVectors):
                raise InvalidInputError(f"concat: batch {i} is {type(batch).__name__}, not SparseVectors")
        if not batches:
            raise InvalidInputError("concat: no batch given")
        n_terms = batches[0].n_terms
        for i, batch in enumerate(batches):
            if batch.n_terms != n_terms:
                raise InvalidInputError(f"concat: batch {i} has {batch.n_terms} terms, batch 0 has {n_terms}")
        offsets = np.cumsum([0] + [b.nnz for b in batches])
        parts = [b.indptr[1:] + offset for b, offset in zip(batches, offsets, strict=False)]
        ptr = np.concatenate([np.zeros(1, np.int64), *parts])
        terms = np.concatenate([b.terms for b in batches])
        weights = np.concatenate([b.weights for b in batches])
        return cls.from_valid(ptr, terms, weights, n_terms)

    @classmethod
    def empty(cls, n_terms: int, n_rows: int = 0) -> SparseVectors:
        """A batch of `n_rows` rows without any term."""
        n_rows = whole("n_rows", n_rows, 0, MOST_ROWS)
        return cls(np.zeros(n_rows + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), n_terms)

    # ---- conversions ---------------------------------------------------------------------

    def to_scipy(self) -> csr_array:
        """scipy.sparse.csr_array of shape (n, n_terms), float32."""
        return matrix_of(self)

    @classmethod
    def from_scipy(cls, matrix: Any) -> SparseVectors:
        """From any scipy.sparse matrix or array; duplicate entries are summed, as scipy defines them.

        Raises:
            InvalidInputError: for anything else, or for a sparse array of one dimension.
        """
        return cls.adopt(*entries_of_matrix(matrix))

    def to_dicts(self) -> list[dict[int, float]]:
        """One {term id: weight} per row, in term order."""
        return [dict(zip(t.tolist(), w.tolist(), strict=True)) for t, w in self]

    @classmethod
    def from_dicts(cls, rows: Iterable[Mapping[int, float]], n_terms: int) -> SparseVectors:
        """From one {term id: weight} mapping per row."""
        return cls.adopt(*entries_of(rows, n_terms), n_terms)

    def to_token_dicts(self, vocabulary: Sequence[str]) -> list[dict[str, float]]:
        """One {token: weight} per row, heaviest first; `vocabulary[term]` is the token of a term id."""
        vocabulary = self._checked_vocabulary(vocabulary)
        out = []
        for terms, weights in self:
            order = np.argsort(-weights, kind="stable")
            out.append({vocabulary[int(terms[i])]: float(weights[i]) for i in order})
        return out

    @classmethod
    def from_token_dicts(
        cls, rows: Iterable[Mapping[str, float]], vocabulary: Sequence[str]
    ) -> SparseVectors:
        """From one {token: weight} mapping per row.

        Raises:
            InvalidInputError: naming the row and the token that is not in the vocabulary.
        """
        tokens = checked_vocabulary(vocabulary)
        return cls.from_dicts(numbered(rows, tokens), len(tokens))

    def to_torch(self) -> torch.Tensor:
        """torch.sparse_coo tensor of shape (n, n_terms), float32, on the CPU."""
        return tensor_of(self)

    @classmethod
    def from_torch(cls, tensor: torch.Tensor) -> SparseVectors:
        """From a two-dimensional dense, COO or CSR tensor on any device.

        Raises:
            InvalidInputError: for anything else, or for complex numbers.
        """
        return cls(*entries_of_tensor(tensor))

    def _checked_vocabulary(self, vocabulary: Sequence[str]) -> Sequence[str]:
        vocabulary = checked_vocabulary(vocabulary)
        if len(vocabulary) != self.n_terms:
            raise InvalidInputError(
                f"vocabulary of {len(vocabulary)} tokens for vectors over {self.n_terms} terms"
            )
        return vocabulary


def _drop_zeros(
    ptr: NDArray[np.int64], terms: NDArray[np.int32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    keep = weights != 0
    kept_before = np.concatenate(([0], np.cumsum(keep)))
    return kept_before[ptr], terms[keep], weights[keep]
