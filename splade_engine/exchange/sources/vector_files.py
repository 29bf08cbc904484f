"""The formats that `splade_engine.vectors` reads: Arrow, Parquet, BigANN, Seismic, Anserini."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from splade_engine.errors import InvalidInputError
from splade_engine.exchange.source import Imported, Options, Source
from splade_engine.vectors.files import Format, read_vectors
from splade_engine.vectors.sparse_vectors import SparseVectors


def read(path: Path, options: Options, *, format: Format) -> Imported:
    """Read a file of vectors."""
    names_tokens = format in ("seismic", "anserini")
    scale = options.scale
    if scale is not None and format == "anserini":
        format = "seismic"  # the same lines, whose numbers are divided once: by the scale that is given
    stored = read_vectors(path, options.vocabulary if names_tokens else None, format=format)
    vectors = stored.vectors
    if scale is not None:
        weights = vectors.weights.astype(np.float64) / scale
        try:
            vectors = SparseVectors(vectors.indptr, vectors.terms, weights, vectors.n_terms)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: divided by {scale:g}: {error}") from None
    return Imported(vectors, stored.ids, vocabulary=stored.vocabulary, encoder=stored.encoder)


ARROW = Source("arrow", partial(read, format="arrow"), (".arrow",))
PARQUET = Source("parquet", partial(read, format="parquet"), (".parquet",))
CSR = Source("csr", partial(read, format="csr"), (".csr",))
SEISMIC = Source("seismic", partial(read, format="seismic"), (".jsonl", ".jsonl.gz"))
ANSERINI = Source("anserini", partial(read, format="anserini"))
