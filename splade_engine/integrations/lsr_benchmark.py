"""lsr-benchmark (ReNeuIR): one of its retrieval engines, run as its scripts are.

    python -m splade_engine.integrations.lsr_benchmark --dataset DATASET --embedding EMBEDDING --output OUT

A dataset and an embedding are names that lsr-benchmark knows, or folders in its format. Embeddings are read,
indexed and searched; encoding is no part of it. OUT gets `run.txt.gz` and what the benchmark's tracker says
of indexing and of retrieval. `deploy/lsr-benchmark` has the container that a submission needs.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from splade_engine.errors import InvalidInputError
from splade_engine.extras import needed
from splade_engine.index import BuildConfig, SparseIndex
from splade_engine.vectors import SparseVectors

with needed("splade_engine.integrations.lsr_benchmark"):
    import click
    import ir_datasets
    import lsr_benchmark
    from lsr_benchmark.click import retrieve_command
    from tirex_tracker import ExportFormat, register_metadata, tracking

__all__ = ["main", "retrieve"]

TAG = "splade-engine"
# (id, its tokens as text, their weights), as lsr-benchmark gives an embedding
Embedding = tuple[str, Sequence[str], Sequence[float]]


def numbered(
    rows: Iterable[Embedding], number_of: dict[str, int], *, grow: bool
) -> tuple[list[str], list[dict[int, float]]]:
    """The ids of embeddings, and each as {number of a token: weight}.

    Args:
        rows: the embeddings. A token that stands in a row more than once counts with the sum of its weights,
            and one of weight 0 does not count.
        number_of: the number of each token so far.
        grow: whether a token that has no number gets the next one; else it is left out.

    Raises:
        InvalidInputError: if a weight is negative or no number, as no learned sparse model gives them.
    """
    ids, vectors = [], []
    for id, tokens, weights in rows:
        values = np.asarray(weights, np.float32)
        if not np.isfinite(values).all() or (values < 0).any():
            wrong = values[~(np.isfinite(values) & (values >= 0))][0]
            raise InvalidInputError(f"{id}: weights must be finite and not negative, got {wrong}")
        vector: dict[int, float] = {}
        for token, weight in zip(np.asarray(tokens).tolist(), values.tolist(), strict=True):
            number = number_of.setdefault(token, len(number_of)) if grow else number_of.get(token)
            if number is not None and weight > 0.0:
                vector[number] = vector.get(number, 0.0) + weight
        ids.append(id)
        vectors.append(vector)
    return ids, vectors


def retrieve(
    dataset: str, embedding: str, output: Path, k: int, lists: str = "auto", accuracy: float | None = None
) -> None:
    """Index a dataset's embeddings and answer its queries, as lsr-benchmark counts it.

    Args:
        dataset: its name in lsr-benchmark, or a folder.
        embedding: likewise.
        output: the folder for `run.txt.gz`, `index-metadata.yml` and `retrieval-metadata.yml`.
        k: documents for each query.
        lists: how posting lists are stored, as in `BuildConfig`.
        accuracy: the recall that a search should reach, as in `SparseIndex.search`; None: exact.

    Raises:
        InvalidInputError: if embeddings or arguments are none that can be searched.
    """
    output.mkdir(parents=True, exist_ok=True)
    lsr_benchmark.register_to_ir_datasets(dataset)
    found: Any = ir_datasets.load(f"lsr-benchmark/{dataset}")
    how = "exact" if accuracy is None else f"{accuracy:g}"
    tag = f"{TAG}-{embedding.replace('/', '-')}-{how}-{k}"
    register_metadata({"actor": {"team": TAG}, "tag": tag})
    number_of: dict[str, int] = {}
    doc_ids, doc_rows = numbered(found.doc_embeddings(model_name=embedding), number_of, grow=True)
    query_ids, query_rows = numbered(found.query_embeddings(model_name=embedding), number_of, grow=False)
    n_terms = max(1, len(number_of))
    documents = SparseVectors.from_dicts(doc_rows, n_terms)
    queries = SparseVectors.from_dicts(query_rows, n_terms)
    del doc_rows, query_rows
    config = BuildConfig(lists=lists, weights="float32")
    with tempfile.TemporaryDirectory() as folder:
        with tracked(output, "index"):
            index = SparseIndex.build(Path(folder) / "index", documents, ids=doc_ids, config=config)
        with tracked(output, "retrieval"):
            if accuracy is None:
                result = index.search(queries, k, exact=True)
            else:
                result = index.search(queries, k, accuracy=accuracy)
            names = result.ids
    with gzip.open(output / "run.txt.gz", "wt", encoding="utf-8") as run:
        for query, hits, scores in zip(query_ids, names, result.scores.tolist(), strict=True):
            for rank, (doc, score) in enumerate(zip(hits, scores, strict=False), start=1):
                run.write(f"{query} Q0 {doc} {rank} {score!r} {TAG}\n")


@contextmanager
def tracked(output: Path, name: str) -> Iterator[None]:
    """Measure a block by the benchmark's tracker, into `OUTPUT/NAME-metadata.yml`."""
    file = output / f"{name}-metadata.yml"
    with tracking(export_file_path=file, export_format=ExportFormat.IR_METADATA):
        yield
    shutil.rmtree(output / ".tirex-tracker", ignore_errors=True)


@retrieve_command()
@click.option(
    "--lists",
    type=click.Choice(["auto", "impact", "blocks"]),
    default="auto",
    help="How posting lists are stored.",
)
@click.option("--accuracy", type=float, default=None, help="The recall to reach; exact search without it.")
def main(dataset: str, embedding: str, output: Path, k: int, lists: str, accuracy: float | None) -> None:
    """Index and search an embedding with splade-engine."""
    retrieve(dataset, embedding, output, k, lists, accuracy)


if __name__ == "__main__":
    main()
