"""`splade-engine index`: from a corpus to an index on disk."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress
from splade_engine.cli.numbers import whole

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import SparseIndex

VECTOR_SUFFIXES = (".arrow", ".feather", ".ipc", ".parquet", ".csr")


def run(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A file of records or text, a folder, - (standard input), vectors."
        ),
    ],
    folder: Annotated[Path, typer.Option("--output", "-o", help="The index folder to make.")],
    encoder: options.Encoder = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index that is there.")] = False,
    allow_empty: options.AllowEmpty = False,
    passages: options.PassageTokens = None,
    overlap: options.Overlap = 0,
    encoding: options.FileEncoding = None,
    types: options.ColumnTypes = None,
    long_texts: options.LongTextsOption = None,
    max_length: options.MaxLength = None,
    max_terms: options.MaxTerms = None,
    batch_tokens: options.BatchTokens = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    threads: options.Threads = None,
    memory: Annotated[
        int | None,
        whole(
            "--memory",
            help="MiB for building; what does not fit is joined on the disk.",
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option("--weights", help="Weights: auto, float16, float32 or uint8 (a byte less per term)."),
    ] = "auto",
    terms: Annotated[
        str,
        typer.Option(
            "--term-numbers", help="Term numbers: auto, plain or split (0.7 bytes less per term, slower)."
        ),
    ] = "auto",
    lists: Annotated[
        str,
        typer.Option(
            "--lists",
            help="Store posting lists as impact, blocks, blocks(energy=0.9) (docs/performance.md) or auto.",
        ),
    ] = "impact",
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Work on a Ray cluster; local starts one here."),
    ] = None,
    shard_docs: Annotated[
        int, whole("--shard-docs", help="With --ray: documents of a shard of the collection.")
    ] = 1_000_000,
    words: Annotated[
        bool, typer.Option("--words/--no-words", help="List the words too, for --hybrid and --must.")
    ] = True,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Adapt the encoder to these documents first (see adapt).")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Encode a corpus and build an index of it, with the documents' text.

    The corpus is checked before anything is encoded. An interrupted run keeps what it has in DIR.encoding,
    and the same command goes on from there; DIR appears when the index is complete.

    \b
    records  .jsonl, .json, .csv, .tsv (.gz, .zst), .parquet, .arrow, - for standard input:
             _id (or id), text, perhaps title; other fields are metadata
    files    text, Markdown, HTML, PDF, DOCX, EPUB, notebooks, source code, cut into
             passages; a folder of them, or with corpus.jsonl (BEIR)
    vectors  .arrow, .parquet, .csr, as `encode` writes them; they remember their encoder

    An encoder reads a few hundred tokens of a text. --passages cuts longer records so that
    all of each is read; a hit then names document and passage.

    With --ray, on a disk that all nodes of the cluster share, DIR becomes a collection of shards, which every
    command takes as an index (docs/scale.md).

    \b
    Examples:
      splade-engine index corpus.jsonl.gz -o my-index
      splade-engine index ~/notes -o notes-index
      splade-engine index books.jsonl -o books --passages 200
      splade-engine index handbook.jsonl -o handbook --adapt
      splade-engine index beir/scifact -o scifact --encoder naver/splade-v3
      splade-engine index corpus.jsonl -o everything --ray auto --shard-docs 500000
    """
    from splade_engine.collections.formats import holds_texts
    from splade_engine.errors import InvalidInputError
    from splade_engine.index.config import BuildConfig
    from splade_engine.index.disk.publish import refuse_occupied

    start = time.perf_counter()
    choices: dict[str, Any] = {"weights": weights, "terms": terms, "lists": lists}
    config = BuildConfig(**choices)
    corpus_of = partial(
        options.corpus_of,
        source,
        allow_empty=allow_empty,
        passages=passages,
        overlap=overlap,
        encoding=encoding,
        types=types,
    )
    if ray is not None:
        if overwrite:
            raise InvalidInputError("--overwrite: not with --ray; remove the collection first")
        corpus = corpus_of()
        load = {"max_length": max_length, "device": device, "dtype": dtype, "long_texts": long_texts}
        how = {
            "config": BuildConfig(**choices, words=words),
            "memory": memory,
            **options.encode_options(max_terms, batch_tokens),
        }
        made = _on_ray(corpus, folder, encoder, ray, shard_docs, load, how)
        _report(made, time.perf_counter() - start, as_json)
        return
    refuse_occupied(folder, overwrite=overwrite)
    building: dict[str, Any] = {
        "overwrite": overwrite,
        "threads": threads,
        "memory": memory,
        "config": config,
    }
    if source.suffix.lower() in VECTOR_SUFFIXES and not source.is_dir() and not holds_texts(source):
        _refuse_for_vectors(
            source,
            {
                "--allow-empty": allow_empty,
                "--passages": passages,
                "--overlap": overlap,
                "--encoding": encoding,
                "--types": types,
                "--long-texts": long_texts,
                "--max-terms": max_terms,
                "--batch-tokens": batch_tokens,
                "--no-words": not words,
                "--adapt": adapt,
            },
        )
        loaded = options.named_encoder(encoder, max_length=max_length, device=device)
        index = _from_vectors(source, folder, loaded, building)
    else:
        from splade_engine.engine import SearchEngine

        corpus = corpus_of()
        options.survey(corpus)
        loaded = options.load_encoder(
            encoder, max_length=max_length, device=device, dtype=dtype, long_texts=long_texts
        )
        given = options.encode_options(max_terms, batch_tokens)
        index = SearchEngine.build(
            folder, corpus, loaded, progress=shows_progress(), words=words, adapt=adapt, **building, **given
        ).index
    _report(index, time.perf_counter() - start, as_json)


def _on_ray(
    corpus: Corpus,
    folder: Path,
    encoder: str | None,
    address: str,
    shard_docs: int,
    load: dict[str, Any],
    how: dict[str, Any],
) -> SparseIndex:
    """A collection that a Ray cluster builds."""
    from splade_engine.cli.on_ray import cluster
    from splade_engine.engine.measure import measure
    from splade_engine.ray import build

    options.survey(corpus)  # bad input shows before a cluster is asked
    if corpus.is_cut:
        measure(corpus, options.load_encoder(encoder, **load))
    with cluster(address, "building on a cluster"):
        return build(
            corpus,
            folder,
            encoder,
            shard_docs=shard_docs,
            load=load,
            progress=shows_progress(),
            **how,
        )


def _refuse_for_vectors(source: Path, given: dict[str, Any]) -> None:
    """Refuse options that say how texts are read and encoded.

    Raises:
        InvalidInputError: naming the first one.
    """
    from splade_engine.errors import InvalidInputError

    for option, value in given.items():
        if value:
            raise InvalidInputError(f"{option}: {source} holds vectors, which are taken as they are")


def _from_vectors(
    source: Path, folder: Path, encoder: SparseEncoder | None, building: dict[str, Any]
) -> SparseIndex:
    """An index of a vector file; its encoder is the one that is named, which must be the file's own."""
    from splade_engine.engine.encoder_record import check_encoder, encoder_record
    from splade_engine.index import SparseIndex
    from splade_engine.vectors.files import read_vectors

    stored = read_vectors(source)
    record = stored.encoder
    if encoder is not None:
        check_encoder(source, record, encoder, stored.vectors.n_terms)
        record = encoder_record(encoder, stored.vectors.n_terms)
    return SparseIndex.build(
        folder, stored.vectors, stored.ids, encoder=record, progress=shows_progress(), **building
    )


def _report(index: SparseIndex, seconds: float, as_json: bool) -> None:
    info = index.info()
    encoder = str((info.encoder or {}).get("name", "not recorded"))
    if as_json:
        facts = {"path": str(info.path), "documents": info.n_docs, "terms_per_document": info.terms_per_doc}
        output.write_json({**facts, "bytes": info.total_bytes, "encoder": encoder, "seconds": seconds})
        return
    output.write_pairs(
        [
            ("index", str(info.path)),
            ("documents", f"{info.n_docs:,}"),
            ("terms per document", f"{info.terms_per_doc:.1f}"),
            ("size", output.megabytes(info.total_bytes)),
            ("encoder", encoder),
            ("time", f"{seconds:.1f} s"),
        ]
    )
    output.note(f'Next: splade-engine search {output.argument(info.path)} "your question" --explain')
