"""Sparse vectors as matrices of scipy and tensors of torch, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError, reason_of
from splade_engine.extras import needed
from splade_engine.vectors.checks import check_shapes

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
    with _refusing("from_scipy"):
        m = matrix.copy()
        _check_places(m)
        if m.dtype.kind in "iu":  # sums of small whole numbers would wrap around
            m = m.astype(np.float64)
        m = m.tocsr()
        m.sum_duplicates()  # sorts the indices as well
    return m.indptr, m.indices, m.data, m.shape[1]


def _check_places(matrix: Any) -> None:
    """Refuse a matrix of scipy with entries outside of it: its loops do not look, and end the process."""
    if matrix.format == "csr":
        matrix.prune()
        check_shapes(matrix.indptr, matrix.indices, matrix.data)
    elif hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)


@contextmanager
def _refusing(function: str) -> Iterator[None]:
    """What scipy and torch raise, as one line of ours."""
    try:
        yield
    except InvalidInputError:
        raise
    except (ValueError, IndexError, RuntimeError) as error:
        raise InvalidInputError(f"{function}: {reason_of(error):.200}") from None


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
    with _refusing("from_torch"):
        tensor = _checked(tensor.detach())
        if tensor.is_floating_point() and tensor.itemsize < 4:  # of half precision: sums, and float8 at all
            tensor = tensor.float()
        if tensor.layout is not torch.sparse_coo:
            tensor = tensor.to_sparse(layout=torch.sparse_coo)
        if not tensor.is_floating_point() and tensor.dtype is not torch.bool:  # as above
            tensor = tensor.double()
        coo = tensor.coalesce().cpu()
    rows, terms = coo.indices().numpy()
    ptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=tensor.shape[0]))))
    return ptr, terms, coo.values().float().numpy(), tensor.shape[1]


def _checked(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor whose entries lie within it: torch makes sparse ones without a look at their places."""
    import torch

    if tensor.layout is torch.strided:
        return tensor
    if tensor.dense_dim():
        raise InvalidInputError("from_torch: the rows of a sparse tensor are sparse, and these are dense")
    tensor = tensor.cpu()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc, torch.sparse_bsr):
        is_bsr = tensor.layout is torch.sparse_bsr
        ptr = tensor.crow_indices() if is_bsr else tensor.ccol_indices()
        inner = tensor.col_indices() if is_bsr else tensor.row_indices()
        arrays = (ptr, inner, tensor.values(), tensor.shape)
        return torch.sparse_compressed_tensor(*arrays, layout=tensor.layout, check_invariants=True)
    if tensor.layout is torch.sparse_coo:
        places, weights = tensor._indices(), tensor._values()
    else:
        ptr, terms, weights = tensor.crow_indices(), tensor.col_indices(), tensor.values()
        check_shapes(ptr.long().numpy(), terms.numpy(), weights.float().numpy())
        places = torch.stack((torch.repeat_interleave(torch.arange(len(ptr) - 1), ptr.diff()), terms.long()))
    ends = torch.tensor(tensor.shape)[:, None]
    outside = ((places < 0) | (places >= ends)).any(0)
    if outside.any():
        row, term = places[:, int(outside.int().argmax())].tolist()
        raise InvalidInputError(f"row {row}, term {term}: outside a tensor of shape {tuple(tensor.shape)}")
    return torch.sparse_coo_tensor(places, weights, tensor.shape, check_invariants=False)


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
