"""Sparse term vectors: the one type that every part exchanges, and the files that hold it.

Importing the door loads numpy alone; `read_vectors` and `write_vectors` load pyarrow when they need it.
"""

from splade_engine.vectors.files import VectorFile, read_vectors, write_vectors
from splade_engine.vectors.sparse_vectors import SparseVectors

__all__ = ["SparseVectors", "VectorFile", "read_vectors", "write_vectors"]
