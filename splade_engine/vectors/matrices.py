"""Sparse vectors as matrices of scipy and tensors of torch, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError
from splade_engine.extras import needed

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

    from splade_engine.vectors.sparse_vectors import SparseVectors

Entries = tuple[NDArray[Any], NDArray[Any], NDArray[Any], int]  # indptr, terms, weights, n_terms


def entries_of_matrix(matrix: Any) -> Entries:
    """The entries of a matrix of scipy, in new arrays; those that it names twice are added up.

    Raises:
        InvalidInputError: for anything else, or for a sparse array of one dimension.
    """
    if not hasattr(matrix, "tocsr") or matrix.ndim != 2:
        raise InvalidInputError(
            f"from_scipy: a scipy.sparse array of two dimensions is expected, got {shown(matrix)}"
        )
    if matrix.dtype.kind in "iu":  # sums of small whole numbers would wrap around
        matrix = matrix.astype(np.float64)
    m = matrix.tocsr(copy=True)
    m.sum_duplicates()  # sorts the indices as well
    return m.indptr, m.indices, m.data, m.shape[1]


def matrix_of(vectors: SparseVectors) -> csr_array:
    """scipy.sparse.csr_array of shape (n, n_terms), float32; a copy."""
    with needed("to_scipy"):
        from scipy.sparse import csr_array

    rows = (vectors.weights.copy(), vectors.terms.copy(), vectors.indptr.copy())
    return csr_array(rows, (len(vectors), vectors.n_terms))


def entries_of_tensor(tensor: torch.Tensor) -> Entries:
    """The entries of a dense, COO or CSR tensor; the weights may lie in its memory.

    Raises:
        InvalidInputError: for anything else, or for complex numbers.
    """
    import torch

    if not isinstance(tensor, torch.Tensor):
        raise InvalidInputError(f"from_torch: a tensor is expected, got {shown(tensor)}")
    if tensor.ndim != 2:
        raise InvalidInputError(f"from_torch: a tensor of shape (n, n_terms), got {tuple(tensor.shape)}")
    if tensor.is_complex():  # of which a cast drops the imaginary part
        raise InvalidInputError(f"from_torch: weights must be real numbers, got {tensor.dtype}")
    tensor = tensor.detach()
    if tensor.layout is not torch.sparse_coo:
        tensor = tensor.to_sparse(layout=torch.sparse_coo)
    if not tensor.is_floating_point() and tensor.dtype is not torch.bool:  # as above
        tensor = tensor.double()
    coo = tensor.coalesce().cpu()
    rows, terms = coo.indices().numpy()
    ptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=tensor.shape[0]))))
    return ptr, terms, coo.values().float().numpy(), tensor.shape[1]


def tensor_of(vectors: SparseVectors) -> torch.Tensor:
    """torch.sparse_coo tensor of shape (n, n_terms), float32, on the CPU; a copy."""
    with needed("to_torch"):
        import torch

    rows = np.repeat(np.arange(len(vectors)), vectors.row_nnz)
    places = torch.from_numpy(np.stack((rows, vectors.terms.astype(np.int64))))
    weights = torch.from_numpy(vectors.weights.copy())
    return torch.sparse_coo_tensor(
        places, weights, (len(vectors), vectors.n_terms), is_coalesced=True, check_invariants=False
    )
