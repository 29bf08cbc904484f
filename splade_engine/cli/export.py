"""`splade-engine export`: the vectors of an index, as another system reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_engine.cli import options, output
from splade_engine.cli.encode import Format
from splade_engine.cli.log import shows_progress
from splade_engine.cli.numbers import real, whole
from splade_engine.cli.targets import check_files, checked_format, refuse_existing

if TYPE_CHECKING:
    from splade_engine.exchange import ExportRecord


def run(
    folder: options.IndexFolder,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A file of vectors: .jsonl[.gz], .csr, .parquet, .arrow."),
    ] = None,
    format: Annotated[
        Format | None, typer.Option("--format", help="Of FILE; default: by the suffix; .jsonl is Seismic's.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="SYSTEM", help="A system, see below; needs -o, not FILE.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="With --to: the folder to make.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option("--queries", "-q", help="With --to: JSONL or TSV of queries to write too.")
    ] = None,
    k: options.K = 10,
    terms: Annotated[
        int | None, whole("--max-terms", help="With --to: keep the heaviest terms of a document.")
    ] = None,
    scale: Annotated[
        float,
        real("--scale", most=1e6, help="With --to: what weights are multiplied by to be whole numbers."),
    ] = 100.0,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure how many of the true hits are kept.")
    ] = True,
    encoder: options.IndexEncoder = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write the document vectors of an index for other systems.

    With --to SYSTEM, a folder: files for its bulk loading, its schema, the queries with the weights that this
    collection gives them, a README with the commands, and record.json, which says what was rounded or cut and
    what that costs. SYSTEM is one of

    \b
    opensearch opensearch-ann elasticsearch vespa qdrant milvus pgvector
    pinecone turbopuffer zvec ciff anserini seismic lsr-benchmark

    With FILE, the vectors and their ids alone:

    \b
    seismic   JSONL, {"id", "vector": {token: weight}}
    anserini  JSONL, weights times 100 and rounded (JsonVectorCollection; also Pyserini)
    csr       BigANN's binary layout, without ids
    parquet   columns id, terms, weights; arrow: the same, memory-mappable

    \b
    Examples:
      splade-engine export my-index --to qdrant -o for-qdrant --queries queries.tsv
      splade-engine export my-index vectors.jsonl.gz --format anserini
      splade-engine export my-index vectors.parquet
    """
    from splade_engine.errors import InvalidInputError

    if (to is None) == (file is None):
        raise InvalidInputError("export: give FILE, or --to SYSTEM with -o FOLDER")
    if file is not None:
        if out is not None or queries is not None:
            raise InvalidInputError("export: --output and --queries go with --to")
        _to_file(folder, file, format, encoder, overwrite, as_json)
        return
    if out is None:
        raise InvalidInputError("export: --to needs --output FOLDER")
    given: dict[str, Any] = {"k": k, "top_k": terms, "scale": scale, "measure": measure}
    record = _to_system(folder, str(to), out, queries, encoder, {**given, "overwrite": overwrite})
    if as_json:
        from dataclasses import asdict

        output.write_json({"path": str(out), **asdict(record)})
        return
    output.write(f"{out}: {record.documents:,} documents, {record.queries:,} queries for {record.title}")
    for what, n in record.lost.items():
        output.note(f"{what}: {n:,}")
    loss = record.loss
    if loss is not None:
        of = "made from documents" if loss.made else "given"
        asked = f"{loss.queries} queries {of}"
        output.note(f"{loss.recall:.4f} of the true top {loss.k} are found in what is kept ({asked})")
    output.note(f"Next: {out / 'README.md'}")


def _to_system(
    folder: Path,
    to: str,
    out: Path,
    queries: Path | None,
    encoder: str | None,
    given: dict[str, Any],
) -> ExportRecord:
    from splade_engine.collections.queries import query_texts
    from splade_engine.engine import SearchEngine
    from splade_engine.exchange import export_index, target_named
    from splade_engine.exchange.record import RECORD
    from splade_engine.index import SparseIndex

    target = target_named(to)
    refuse_existing(out, given["overwrite"], mark=RECORD)
    index = SparseIndex.open(folder)
    texts = {} if queries is None else query_texts(queries, allow_empty=True)
    named = index.encoder is not None or encoder is not None
    if texts or (target.tokens and named):
        engine = SearchEngine.open(folder, options.named_encoder(encoder))
        given["vocabulary"] = engine.encoder.vocabulary
        if texts:
            given |= {"queries": engine.encode_queries(list(texts.values())), "query_ids": list(texts)}
    return export_index(index, to, out, progress=shows_progress(), **given)


def _to_file(
    folder: Path,
    file: Path,
    format: Format | None,
    encoder: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    from splade_engine.index import SparseIndex
    from splade_engine.vectors.files import write_vectors

    refuse_existing(file, overwrite)
    check_files([file], [folder])
    kind = checked_format(file, format)
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
