"""`splade-engine add`: more documents into an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress


def run(
    folder: options.IndexFolder,
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="A file of records or text, a folder, - (standard input)."),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Documents whose id is there already take the old one's place.")
    ] = False,
    encoder: options.IndexEncoder = None,
    allow_empty: options.AllowEmpty = False,
    passages: options.PassageTokens = None,
    overlap: options.Overlap = 0,
    encoding: options.FileEncoding = None,
    types: options.ColumnTypes = None,
    max_terms: options.MaxTerms = None,
    batch_tokens: options.BatchTokens = None,
    as_json: options.Json = False,
) -> None:
    """Encode documents and add them to an index, in one commit: all of them, or none.

    Documents are cut into passages as those of the index were, unless --passages says otherwise. Without
    --replace, an id that the index holds already is refused before anything is encoded. If a document that
    was cut into passages comes again, passages that it no longer has are deleted. Searches meanwhile see the
    index as it was. `sync` keeps an index up to date with a folder.

    \b
    Examples:
      splade-engine add my-index today.jsonl
      splade-engine add my-index corrected.jsonl --replace
    """
    from splade_engine.engine import SearchEngine

    corpus = options.corpus_of(
        source, allow_empty=allow_empty, passages=passages, overlap=overlap, encoding=encoding, types=types
    )
    options.survey(corpus)  # files may have become empty: their passages go
    engine = SearchEngine.open(folder, options.named_encoder(encoder))
    before = len(engine)
    change = engine.update if replace else engine.add
    change(corpus, progress=shows_progress(), **options.encode_options(max_terms, batch_tokens))
    if as_json:
        output.write_json({"path": str(folder), "documents": len(engine), "added": len(engine) - before})
        return
    more = len(engine) - before
    change_in_words = f"{more:,} more" if more >= 0 else f"{-more:,} fewer"
    output.write(f"{folder}: {len(engine):,} documents, {change_in_words} than before")
