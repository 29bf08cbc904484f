"""NGAME-style batches: queries that look alike to the current model train together.

Dahiya et al., WSDM 2023. In-batch negatives of random batches soon become too easy.
Every `data.ngame_steps` steps the coming examples
are embedded, clustered with faiss k-means and put in an order in which neighbours share batches: harder
negatives at the price of encoding the queries once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.training.mining.window import Run, Window
from splade_engine.training.student.encode import encode

SKETCH = 128  # dimensions of the random projection that k-means works on
_ITERATIONS = 10  # of k-means


def sketch(vectors: Any, seed: int) -> NDArray[np.float32]:
    """Random-sign projection of a csr_array (n, V) to unit vectors float32[n, 128].

    Distances stay about the same (Johnson-Lindenstrauss), and k-means is spared 30,000 dimensions.
    """
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, (vectors.shape[1], SKETCH), dtype=np.int8).astype(np.float32) * 2 - 1
    out: NDArray[np.float32] = np.asarray(vectors @ signs, dtype=np.float32)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    return out


def cluster_order(vectors: NDArray[np.float32], batch_size: int, seed: int) -> NDArray[np.int64]:
    """An order of the rows in which batches of `batch_size` consecutive rows hold neighbours.

    Clusters of about two batches each, walked from centre to nearest unvisited centre; rows of a cluster at
    random; then whole batches at random, so that training does not drift through the topics.

    Args:
        vectors: float32[n, D].
        batch_size: rows per batch.
        seed: of k-means and of every random choice.

    Returns:
        int64[n], a permutation.
    """
    import faiss

    n = len(vectors)
    n_clusters = n // (2 * batch_size)
    rng = np.random.default_rng(seed)
    if n_clusters < 2:
        return rng.permutation(n)
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        n_clusters,
        niter=_ITERATIONS,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=n,
    )
    kmeans.train(np.ascontiguousarray(vectors))
    _, nearest = kmeans.index.search(np.ascontiguousarray(vectors), 1)
    rank = np.empty(n_clusters, np.int64)
    centres: Any = kmeans.centroids
    rank[_walk(centres, rng)] = np.arange(n_clusters)
    rows = np.lexsort((rng.random(n), rank[nearest[:, 0]]))
    whole = n - n % batch_size
    batches = rows[:whole].reshape(-1, batch_size)
    return np.concatenate((rng.permutation(batches).reshape(-1), rows[whole:]))


def _walk(centres: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """Centres in the order of a walk to the nearest one not visited yet."""
    left = np.ones(len(centres), bool)
    here = int(rng.integers(len(centres)))
    order = np.empty(len(centres), np.int64)
    for step in range(len(centres)):
        order[step] = here
        left[here] = False
        if left.any():
            distance = ((centres - centres[here]) ** 2).sum(1)
            here = int(np.where(left, distance, np.inf).argmin())
    return order


class NgameOrder:
    """Reorders the coming examples every `data.ngame_steps` steps."""

    def __init__(self, trainer: Run) -> None:
        self.trainer = trainer
        self.every = trainer.recipe.data.ngame_steps
        self.window = Window(trainer, self.every, "data.ngame_steps")

    def close(self) -> None:
        """Nothing is left running."""

    def __call__(self, step: int) -> None:
        """Called after every step (and with 0 before the first one)."""
        if step % self.every:
            return
        trainer, data = self.trainer, self.trainer.training_set
        done, coming = self.window.at(step)
        data.move(coming.start, np.arange(0), keep_from=done)  # back to the planned order before reading it
        if not coming:
            return
        student = trainer.student
        training = student.training
        student.eval()
        vectors = encode(student, trainer.collator, [data[i].query for i in coming], "query")
        student.train(training)
        seed = trainer.recipe.train.seed + step
        data.move(coming.start, cluster_order(sketch(vectors, seed), data.batch_size, seed), keep_from=done)
