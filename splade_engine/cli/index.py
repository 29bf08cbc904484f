"""`splade-engine index`: from a corpus to an index on disk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress


def run(
    source: Annotated[Path, typer.Argument(help="JSONL or TSV (.gz, .zst), a BEIR folder, text files.")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="The index folder to make.")],
    encoder: options.Encoder = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index that is there.")] = False,
    allow_empty: options.AllowEmpty = False,
    max_length: options.MaxLength = None,
    top_k: options.TopK = None,
    batch_tokens: options.BatchTokens = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Encode a corpus and build an index of it, with the documents' text.

    The corpus is checked before anything is encoded. An interrupted run keeps what it has in DIR.encoding,
    and the same command goes on from there; DIR appears when the index is complete.

    \b
    JSONL   one object a line: _id (or id), text, perhaps title; other fields are metadata
    TSV     id, text or id, title, text; or any columns under a header with id and text
    folder  with corpus.jsonl (BEIR), or of .txt, .md, .rst files, cut into passages

    \b
    Examples:
      splade-engine index corpus.jsonl.gz -o my-index
      splade-engine index ~/notes -o notes-index
      splade-engine index beir/scifact -o scifact --encoder naver/splade-v3
    """
    from splade_engine.engine import SearchEngine

    start = time.perf_counter()
    options.refuse_existing(folder, overwrite)
    engine = SearchEngine.build(
        folder,
        source,
        options.load_encoder(encoder, max_length=max_length, device=device),
        overwrite=overwrite,
        allow_empty=allow_empty or None,
        threads=threads,
        progress=shows_progress(),
        **options.encode_options(top_k, batch_tokens),
    )
    info = engine.index.info()
    seconds = time.perf_counter() - start
    if as_json:
        output.write_json(
            {
                "path": str(folder),
                "documents": info.n_docs,
                "terms_per_document": info.terms_per_doc,
                "bytes": info.total_bytes,
                "seconds": seconds,
            }
        )
        return
    output.write_pairs(
        [
            ("index", str(folder)),
            ("documents", f"{info.n_docs:,}"),
            ("terms per document", f"{info.terms_per_doc:.1f}"),
            ("size", output.megabytes(info.total_bytes)),
            ("encoder", engine.encoder.name),
            ("time", f"{seconds:.1f} s"),
        ]
    )
    output.note(f'Next: splade-engine search {folder} "your question" --explain')
