"""`splade-engine encode`: from text to a file of sparse vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress

Format = Literal["arrow", "parquet", "seismic", "anserini", "csr"]


def run(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="JSONL or TSV (.gz, .zst), a BEIR folder, text files.")
    ],
    file: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write: .arrow, .parquet, .jsonl[.gz], .csr.")
    ],
    format: Annotated[
        Format | None, typer.Option("--format", help="Default: by the suffix; .jsonl is Seismic's.")
    ] = None,
    queries: Annotated[bool, typer.Option("--queries", help="Encode the texts as queries.")] = False,
    encoder: options.Encoder = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    allow_empty: options.AllowEmpty = False,
    max_length: options.MaxLength = None,
    top_k: options.TopK = None,
    batch_tokens: options.BatchTokens = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Encode a corpus, or queries, into one vector file with the ids.

    An interrupted run keeps what it has in FILE.encoding, and the same command goes on from there.

    \b
    Examples:
      splade-engine encode corpus.jsonl -o corpus.arrow
      splade-engine encode queries.tsv -o queries.arrow --queries
      splade-engine encode corpus.jsonl -o vectors.jsonl.gz --format anserini
    """
    from splade_engine.collections.corpus import Corpus
    from splade_engine.engine.encoder_record import encoder_record
    from splade_engine.engine.encoding import encode_corpus
    from splade_engine.vectors.files import format_of, write_vectors

    options.refuse_existing(file, overwrite)
    kind = format or format_of(file)
    corpus = Corpus(source, allow_empty=allow_empty or None)
    corpus.survey()  # bad input shows before the model is loaded
    loaded = options.load_encoder(encoder, max_length=max_length, device=device)
    given = options.encode_options(top_k, batch_tokens)
    if queries:
        texts = {document.id: document.indexed_text for document in corpus}
        vectors, ids = loaded.encode_queries(list(texts.values()), **given), list(texts)
        write_vectors(file, vectors, ids, loaded.vocabulary, format=kind, encoder=encoder_record(loaded))
    else:
        work = file.with_name(file.name + ".encoding")
        encoded = encode_corpus(corpus, loaded, work, restart=overwrite, progress=shows_progress(), **given)
        vectors, ids = encoded.vectors(), encoded.ids()
        write_vectors(file, vectors, ids, loaded.vocabulary, format=kind, encoder=encoder_record(loaded))
        encoded.remove()
    facts = {"path": str(file), "vectors": len(vectors), "terms_per_vector": vectors.nnz / len(vectors)}
    if as_json:
        output.write_json({**facts, "format": kind, "n_terms": vectors.n_terms})
    else:
        output.write(
            f"{file}: {len(vectors):,} vectors, {vectors.nnz / len(vectors):.1f} terms each ({kind})"
        )
