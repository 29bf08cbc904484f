"""`splade-engine import`: vectors of another system into an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress
from splade_engine.cli.numbers import real, whole


def run(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file of vectors, or a folder of lsr-benchmark.")
    ],
    folder: Annotated[Path, typer.Option("--output", "-o", help="The index folder to make.")],
    format: Annotated[
        str | None, typer.Option("--from", metavar="FORMAT", help="See below; default: by name and content.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", "-e", help="The model that made the vectors: needed to search with text."),
    ] = None,
    n_terms: Annotated[
        int | None, whole("--n-terms", help="Size of the vocabulary, of numbered terms.")
    ] = None,
    scale: Annotated[
        float | None, real("--scale", most=1e6, help="What weights were multiplied by; default: as told.")
    ] = None,
    ids: Annotated[Path | None, typer.Option("--ids", help="A file of ids, one a line (npz, csr).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index that is there.")] = False,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Make an index of vectors that are there already, without encoding anything.

    \b
    arrow, parquet  columns id, terms, weights, as `encode` and `export` write them
    csr             BigANN's binary layout
    seismic         JSONL, {"id", "vector": {token: weight}}
    anserini        the same with whole numbers, divided by 100 (JsonVectorCollection)
    npz             CSR matrix of scipy, or of lsr-benchmark with its ids
    ciff            posting lists of the Common Index File Format
    qdrant          points as JSON lines, with their payload, or answers of its scroll API

    \b
    Examples:
      splade-engine import points.jsonl -o my-index --encoder naver/splade-v3
      splade-engine import msmarco/ -o my-index --from npz
      splade-engine import docs.jsonl -o my-index --from anserini --encoder naver/splade-v3
    """
    from splade_engine.engine.encoder_record import check_encoder, encoder_record
    from splade_engine.exchange import import_vectors
    from splade_engine.index import SparseIndex
    from splade_engine.index.disk.publish import refuse_occupied

    refuse_occupied(folder, overwrite=overwrite)
    loaded = options.named_encoder(encoder)
    how: dict[str, Any] = {"format": format, "n_terms": n_terms, "scale": scale, "ids": ids}
    if loaded is not None:
        how |= {"vocabulary": loaded.vocabulary, "n_terms": n_terms or loaded.n_terms}
    found = import_vectors(source, **how)
    record = found.encoder
    if loaded is not None:
        check_encoder(source, record, loaded, found.vectors.n_terms)
        record = encoder_record(loaded, found.vectors.n_terms)
    for note in found.notes:
        output.note(note)
    index = SparseIndex.build(
        folder,
        found.vectors,
        found.ids,
        payload=found.payload,
        encoder=record,
        overwrite=overwrite,
        threads=threads,
        progress=shows_progress(),
    )
    info = index.info()
    if as_json:
        facts = {"path": str(folder), "documents": info.n_docs, "terms_per_document": info.terms_per_doc}
        output.write_json({**facts, "n_terms": info.n_terms, "bytes": info.total_bytes})
        return
    output.write(f"{folder}: {info.n_docs:,} documents, {info.terms_per_doc:.1f} terms each")
    if record is None:
        output.note("Its encoder is not known: it is searched with vectors, or with --encoder")
