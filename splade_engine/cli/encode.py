"""`splade-engine encode`: from text to a file of sparse vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress
from splade_engine.cli.targets import check_files, checked_format, refuse_existing

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.encoder import SparseEncoder

Format = Literal["arrow", "parquet", "seismic", "anserini", "csr"]


def run(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="A file of records or text, a folder, - (standard input)."),
    ],
    file: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write: .arrow, .parquet, .jsonl[.gz], .csr.")
    ],
    format: Annotated[
        Format | None, typer.Option("--format", help="Default: by the suffix; .jsonl is Seismic's.")
    ] = None,
    queries: Annotated[bool, typer.Option("--queries", help="Encode the texts as queries.")] = False,
    part: Annotated[
        str | None,
        typer.Option("--part", metavar="N/M", help="Only part N of M, into FILE.encoding; see below."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Encode on a Ray cluster; local starts one here."),
    ] = None,
    encoder: options.Encoder = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
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
    as_json: options.Json = False,
) -> None:
    """Encode a corpus, or queries, into one vector file with the ids.

    An interrupted run keeps what it has in FILE.encoding, and the same command goes on from there.

    Several processes, with a GPU each or on machines that share a disk, encode a part each: --part 1/8 to
    --part 8/8. The same command without --part then checks every shard, encodes what is missing and writes
    FILE, which is the file of a single run. `index SOURCE -o FILE` makes an index of the parts instead.
    --ray encodes all parts on a cluster whose nodes share the disk, and then joins them.

    \b
    Examples:
      splade-engine encode corpus.jsonl -o corpus.arrow
      splade-engine encode queries.tsv -o queries.arrow --queries
      splade-engine encode corpus.jsonl -o corpus.arrow --part 2/8
      splade-engine encode corpus.jsonl -o corpus.arrow --ray auto
      splade-engine encode corpus.jsonl -o vectors.jsonl.gz --format anserini
    """
    from splade_engine.collections.queries import check_holds_queries
    from splade_engine.engine.encoder_record import encoder_record
    from splade_engine.engine.encoding import Part, encode_corpus
    from splade_engine.errors import InvalidInputError
    from splade_engine.files import beside
    from splade_engine.vectors.files import write_vectors

    refuse_existing(file, overwrite)
    check_files([file], [source])
    if part is not None:
        if queries:
            raise InvalidInputError("--part: of a corpus, not of --queries")
        share = Part.parse(part)
    else:
        kind = checked_format(file, format)
    if ray is not None and (part is not None or queries or str(source) == "-"):
        raise InvalidInputError("--ray: encodes the files of a corpus as a whole; not --part, --queries or -")
    if queries:
        check_holds_queries(source)
    of: dict[str, Any] = {"allow_empty": allow_empty, "passages": passages, "overlap": overlap}
    corpus = options.corpus_of(source, **of, encoding=encoding, types=types)
    options.survey(corpus)
    loaded = options.load_encoder(
        encoder, max_length=max_length, device=device, dtype=dtype, long_texts=long_texts
    )
    given = options.encode_options(max_terms, batch_tokens)
    work = beside(file, ".encoding")
    if ray is not None:
        made = partial(options.corpus_of, source.absolute(), **of, encoding=encoding, types=types)
        load = {"max_length": max_length, "device": device, "dtype": dtype, "long_texts": long_texts}
        _encode_on_ray(ray, made, work, encoder, load, {**given, "restart": overwrite})
        overwrite = False  # of the shards, which are new
    if part is not None:
        _encode_part(corpus, loaded, work, share, overwrite, given, as_json)
        return
    if queries:
        texts = {document.id: document.indexed_text for document in corpus}
        vectors, ids = loaded.encode_queries(list(texts.values()), **given), list(texts)
        write_vectors(file, vectors, ids, loaded.vocabulary, format=kind, encoder=encoder_record(loaded))
    else:
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


def _encode_on_ray(
    address: str,
    corpus: Callable[[], Corpus],
    work: Path,
    encoder: str | None,
    load: dict[str, Any],
    given: dict[str, Any],
) -> None:
    from splade_engine.cli.on_ray import cluster
    from splade_engine.ray import encode_parts

    with cluster(address, "encoding on a cluster"):
        encode_parts(corpus, work, encoder, load=load, progress=shows_progress(), **given)


def _encode_part(
    corpus: Corpus,
    encoder: SparseEncoder,
    work: Path,
    part: Any,
    overwrite: bool,
    given: dict[str, Any],
    as_json: bool,
) -> None:
    from splade_engine.engine.encoding import encode_part

    done = encode_part(corpus, encoder, work, part, restart=overwrite, progress=shows_progress(), **given)
    finished = done.all_shards - done.missing
    if as_json:
        counts = {"shards": done.n_shards, "documents": done.n_docs, "all_shards": done.all_shards}
        output.write_json({"path": str(work), "part": str(part), **counts, "finished_shards": finished})
        return
    output.write(f"{work}: part {part}, {done.n_docs:,} documents in shards: {done.n_shards}")
    there = f"{finished} of {done.all_shards} shards are there" if done.missing else "All shards are there"
    output.note(f"{there}; {'then ' if done.missing else ''}{_what_joins(work.with_suffix(''))}")


def _what_joins(file: Path) -> str:
    """The commands that make one thing of all parts."""
    from splade_engine.errors import InvalidInputError

    index = f"splade-engine index with -o {output.argument(file)} makes an index of them"
    try:
        checked_format(file, None)
    except InvalidInputError:  # a name that is none of a file of vectors
        return index
    return f"the same command without --part makes one file of them, {index}"
