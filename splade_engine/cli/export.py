"""`splade-engine export`: the vectors of an index, in a format that other engines read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.encode import Format


def run(
    folder: options.IndexFolder,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write: .jsonl[.gz], .csr, .parquet, .arrow.")
    ],
    format: Annotated[
        Format | None, typer.Option("--format", help="Default: by the suffix; .jsonl is Seismic's.")
    ] = None,
    encoder: options.IndexEncoder = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write the document vectors of an index, with their ids, for other engines.

    \b
    seismic   JSONL, {"id", "vector": {token: weight}}
    anserini  JSONL, weights times 100 and rounded (JsonVectorCollection; also Pyserini)
    csr       BigANN's binary layout, without ids
    parquet   columns id, terms, weights; arrow: the same, memory-mappable

    \b
    Examples:
      splade-engine export my-index vectors.jsonl.gz --format anserini
      splade-engine export my-index vectors.parquet
    """
    from splade_engine.index import SparseIndex
    from splade_engine.vectors.files import format_of, write_vectors

    options.refuse_existing(file, overwrite)
    kind = format or format_of(file)
    index = SparseIndex.open(folder)
    vocabulary = None
    if kind in ("seismic", "anserini"):  # they name tokens, which the encoder knows
        from splade_engine.engine import SearchEngine

        vocabulary = SearchEngine.open(folder, options.named_encoder(encoder)).encoder.vocabulary
    vectors = index.vectors()
    write_vectors(file, vectors, index.ids(), vocabulary, format=kind, encoder=index.encoder)
    if as_json:
        output.write_json({"path": str(file), "vectors": len(vectors), "nnz": vectors.nnz, "format": kind})
    else:
        size = output.megabytes(file.stat().st_size)
        output.write(f"{file}: {len(vectors):,} vectors ({kind}, {size})")
