"""Neighbours: documents of a collection that lend their terms to the texts that an encoder reads.

A document uses one wording of what it is about, and the documents nearest to it use others. So each vector d
gets what its neighbours have and it lacks:

    d' = max(d, share * m),    m = sum_i cos(d, n_i) n_i / sum_i cos(d, n_i)

over the `count` documents n_i with the largest cosine (vectors weighed by idf). Terms of `share * m` below
`least` are left out. What d holds itself never becomes lighter. This is document expansion by neighbours, of
Singhal and Pereira (SIGIR 1999) and Tao, Wang, Mei and Zhai (HLT-NAACL 2006), on learned sparse vectors; the
maximum in place of their mixture is ours (docs/adapting.md has the numbers of both).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import real, whole
from splade_engine.encoder.folders.files import present, read_json
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.files import write_json
from splade_engine.vectors import SparseVectors, VectorFile, read_vectors
from splade_engine.vectors.files.formats import store_vectors

if TYPE_CHECKING:
    from scipy.sparse import csr_array

VECTORS = "neighbours.arrow"
SETTINGS = "neighbours.json"
FORMAT = 1
MOST = 1000  # neighbours of a text
_SAME = 0.999  # a cosine above it: the text itself, or a copy, which has nothing to lend
_BLOCK = 1 << 26  # cosines held at a time


@dataclass(frozen=True)
class NeighbourSettings:
    """How terms are lent.

    Raises:
        InvalidInputError: for a value that cannot work, naming it.
    """

    # documents that lend, per text; 10, 20 and 30 were compared
    count: int = 10
    # of the neighbours' mean weight; above 1.0 some collections gain more, and others lose
    share: float = 1.0
    # lent weights below it are left out; 0.1 gains a little more and makes documents twice as long
    least: float = 0.2

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", whole("count", self.count, 1, MOST))
        object.__setattr__(self, "share", real("share", self.share, 0.0, 10.0))
        object.__setattr__(self, "least", real("least", self.least, 0.0, 1e6))


@dataclass(frozen=True)
class NeighbourFiles:
    """Where an encoder keeps its neighbours, as part of its checkpoint."""

    # a vector file, which names the encoder that made it
    vectors: Path
    settings: NeighbourSettings


class Neighbours:
    """The documents that lend, ready to be asked.

    Args:
        vectors: of the collection.
        settings: how terms are lent.
    """

    def __init__(self, vectors: SparseVectors, settings: NeighbourSettings) -> None:
        self.vectors = vectors
        self.settings = settings

    def lend(self, vectors: SparseVectors) -> SparseVectors:
        """The vectors with what their neighbours lend: a row depends on nothing but itself.

        Raises:
            InvalidInputError: for vectors over another vocabulary.
        """
        if vectors.n_terms != self.vectors.n_terms:
            raise InvalidInputError(
                f"vectors over {vectors.n_terms} terms, but their neighbours over {self.vectors.n_terms}"
            )
        if not vectors.nnz or not self.vectors.nnz:
            return vectors
        rows = max(1, _BLOCK // len(self.vectors))
        blocks = [self._lend(vectors[start : start + rows]) for start in range(0, len(vectors), rows)]
        return SparseVectors.concat(blocks)

    def _lend(self, vectors: SparseVectors) -> SparseVectors:
        own = vectors.to_scipy()
        lent = self._nearest(own) @ self._matrix
        lent.data *= np.float32(self.settings.share)
        lent.data[lent.data < self.settings.least] = 0
        both = own.maximum(lent).tocsr()
        both.eliminate_zeros()
        both.sort_indices()
        return SparseVectors.adopt(both.indptr, both.indices, both.data, vectors.n_terms)

    def _nearest(self, rows: csr_array) -> csr_array:
        """float32(rows, documents): the share of each neighbour in the mean of a row."""
        from scipy.sparse import csr_array

        cosines = (_normalised(rows, self._idf) @ self._columns).toarray()
        cosines[cosines > _SAME] = 0
        count = min(self.settings.count, cosines.shape[1])
        found = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        found.sort(axis=1)
        weights = np.take_along_axis(cosines, found, axis=1)
        sums = weights.sum(axis=1, keepdims=True)
        shares = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
        ends = np.arange(len(found) + 1) * count
        return csr_array((shares.ravel(), found.ravel(), ends), shape=cosines.shape)

    @cached_property
    def _matrix(self) -> csr_array:
        return self.vectors.to_scipy()

    @cached_property
    def _idf(self) -> NDArray[np.float32]:
        """float32[n_terms], of BM25 over these documents."""
        counts = np.bincount(self.vectors.terms, minlength=self.vectors.n_terms)
        idf: NDArray[np.float32] = np.log1p((len(self.vectors) - counts + 0.5) / (counts + 0.5))
        return idf.astype(np.float32)

    @cached_property
    def _columns(self) -> csr_array:
        """float32(n_terms, documents), whose product with a row is its cosines."""
        return _normalised(self._matrix, self._idf).T.tocsr()


def _normalised(matrix: csr_array, idf: NDArray[np.float32]) -> csr_array:
    """The rows, weighed by idf, with length 1."""
    weighed = matrix.copy()
    weighed.data *= idf[weighed.indices]
    lengths = np.sqrt(np.add.reduceat(np.append(weighed.data**2, 0), weighed.indptr[:-1]))
    lengths[np.diff(weighed.indptr) == 0] = 1
    weighed.data /= np.repeat(np.maximum(lengths, 1e-30), np.diff(weighed.indptr)).astype(np.float32)
    return weighed


# ---- in a model folder ----------------------------------------------------------------------------------


def find_neighbours(folder: Path) -> NeighbourFiles | None:
    """The neighbours that lie in a model folder, None where there are none.

    Raises:
        CheckpointError: a file is missing or says what cannot be.
    """
    path, vectors = folder / SETTINGS, folder / VECTORS
    if not present(path):
        if present(vectors):
            raise CheckpointError(f"{path}: is missing, and {VECTORS} needs it")
        return None
    record = read_json(path)
    if record.get("format") != FORMAT or record["format"] is True:
        raise CheckpointError(f"{path}: not neighbours of format {FORMAT}")
    wanted = {field.name for field in fields(NeighbourSettings)}
    if other := sorted(wanted ^ (record.keys() - {"format"})):
        what = "is missing" if other[0] in wanted else "is not known"
        raise CheckpointError(f"{path}: {other[0]!r:.60} {what}")
    try:
        settings = NeighbourSettings(**{name: record[name] for name in wanted})
    except InvalidInputError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if not present(vectors):
        raise CheckpointError(f"{vectors}: is missing, and {SETTINGS} needs it")
    return NeighbourFiles(folder / VECTORS, settings)


def read_neighbours(files: NeighbourFiles, encoder: str, n_terms: int) -> Neighbours:
    """Read the documents that lend.

    Args:
        files: where they are.
        encoder: the hash of the encoder, without its neighbours, that must have made their vectors.
        n_terms: size of its vocabulary.

    Raises:
        CheckpointError: another encoder made them, or the file is damaged.
    """
    found = _read(files)
    made_by = (found.encoder or {}).get("hash")
    if made_by != encoder or found.vectors.n_terms != n_terms:
        raise CheckpointError(f"{files.vectors}: vectors of another encoder than the one in this folder")
    return Neighbours(found.vectors, files.settings)


def _read(files: NeighbourFiles) -> VectorFile:
    try:
        return read_vectors(files.vectors)
    except InvalidInputError as error:
        raise CheckpointError(str(error)) from None


def write_neighbours(
    folder: Path,
    vectors: SparseVectors,
    ids: list[str],
    encoder: dict[str, Any],
    settings: NeighbourSettings,
) -> None:
    """Put neighbours into a model folder: what `find_neighbours` finds there.

    Args:
        folder: of the encoder that made the vectors.
        vectors: of the collection, as that encoder gives them.
        ids: of its documents.
        encoder: that encoder's fingerprint.
        settings: how terms are lent.

    Raises:
        StorageError: the disk refuses.
    """
    record = {name: value for name, value in encoder.items() if name != "name"}  # which decides nothing
    store_vectors(folder / VECTORS, VectorFile(vectors, ids, encoder=record))
    write_json(folder / SETTINGS, {"format": FORMAT, **asdict(settings)})


def copy_neighbours(files: NeighbourFiles, folder: Path, encoder: str) -> None:
    """Put the neighbours of one model folder into another one, of the same encoder in another layout.

    Args:
        files: where they are.
        folder: the other one.
        encoder: the hash of the encoder that it holds, which the layout is part of.

    Raises:
        CheckpointError: the file is damaged.
        StorageError: the disk refuses.
    """
    found = _read(files)
    record = {**(found.encoder or {}), "hash": encoder}
    write_neighbours(folder, found.vectors, found.ids or [], record, files.settings)
