"""`splade-engine adapt`: an encoder learns how a collection speaks, from its documents alone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress
from splade_engine.cli.numbers import real, whole


def run(
    source: Annotated[
        Path,
        typer.Argument(metavar="CORPUS", help="A file of records, a folder, - (standard input)."),
    ],
    folder: Annotated[Path, typer.Option("--output", "-o", help="The model folder to make.")],
    encoder: options.Encoder = None,
    count: Annotated[
        int, whole("--neighbours", most=1000, help="Documents that lend their terms to a text.")
    ] = 10,
    share: Annotated[
        float, real("--share", most=10.0, help="Share of their mean weight that a text gets.")
    ] = 1.0,
    least: Annotated[
        float,
        real(
            "--least",
            most=1000.0,
            zero=True,
            help="The smallest weight that is lent.",
        ),
    ] = 0.2,
    documents: Annotated[int, whole("--documents", least=2, help="How many documents may lend.")] = 200_000,
    force: Annotated[
        bool, typer.Option("--force", help="Write it even if the check finds fewer sentences.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an adapted encoder that is there.")
    ] = False,
    allow_empty: options.AllowEmpty = False,
    passages: options.PassageTokens = None,
    overlap: options.Overlap = 0,
    encoding: options.FileEncoding = None,
    batch_tokens: options.BatchTokens = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Adapt an encoder to a collection of documents, without a single query.

    The documents become neighbours that lend their terms: a text is also found by the words of those that it
    resembles most. To check this, sentences are taken out of some documents and searched for, before and
    after; an encoder that finds fewer of them is refused. Documents get 1.4 to 1.6 times as many terms.

    An interrupted run keeps what it has in DIR.encoding, and the same command goes on from there. Wherever an
    encoder can be named, the folder can.

    \b
    Examples:
      splade-engine adapt corpus.jsonl -o my-encoder
      splade-engine index corpus.jsonl -o my-index --encoder my-encoder
    """
    from splade_engine.encoder.neighbours import NeighbourSettings
    from splade_engine.engine.adapting import adapt

    settings = NeighbourSettings(count=count, share=share, least=least)
    corpus = options.corpus_of(
        source, allow_empty=allow_empty, passages=passages, overlap=overlap, encoding=encoding
    )
    made = adapt(
        corpus,
        folder,
        options.load_encoder(encoder, device=device),
        settings=settings,
        documents=documents,
        force=force,
        overwrite=overwrite,
        progress=shows_progress(),
        **options.encode_options(None, batch_tokens),
    )
    if as_json:
        output.write_json({**asdict(made), "path": str(made.path)})
        return
    output.write(f"{made.path}: an encoder adapted to {made.documents:,} documents in {made.seconds:.0f} s")
    rows = [("terms per document", *(f"{value:.0f}" for value in made.terms))]
    if made.questions:
        label = f"{made.questions} documents found again (mean reciprocal rank)"
        rows.append((label, *(f"{value:.3f}" for value in made.found)))
    for line in output.table_lines(("", "before", "after"), rows):
        output.write(line)
    if not made.questions:
        output.note("whether it helps was not checked: too few documents have two sentences")
