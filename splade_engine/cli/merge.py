"""`splade-engine merge`: several indexes into one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from splade_engine.cli import options, output
from splade_engine.cli.numbers import whole


def run(
    parts: Annotated[list[Path], typer.Argument(metavar="DIR...", help="The index folders to put together.")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="The index folder to make.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index that is there.")] = False,
    threads: options.Threads = None,
    memory: Annotated[
        int | None, whole("--memory", help="MiB for merging; what does not fit is joined on the disk.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="auto, float16, float32, uint8; default: as in the parts.")
    ] = None,
    terms: Annotated[
        str | None, typer.Option("--term-numbers", help="auto, plain or split; default: as in the parts.")
    ] = None,
    lists: Annotated[
        str | None,
        typer.Option("--lists", help="impact, blocks, blocks(...) or auto; default: as in the parts."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Put the documents of several indexes into one, which is the index of all of them built at once.

    Vectors, ids, texts and metadata come along; deleted documents do not. An id that two indexes hold is
    refused and named, and so are indexes of two encoders. The parts stay as they are.

    \b
    Examples:
      splade-engine merge part-1 part-2 part-3 -o my-index
      splade-engine merge old new -o both --memory 4096
    """
    from splade_engine.index import BuildConfig, SparseIndex
    from splade_engine.index.disk.publish import refuse_occupied

    start = time.perf_counter()
    refuse_occupied(folder, overwrite=overwrite)
    given = {"weights": weights, "terms": terms, "lists": lists}
    chosen: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    config = BuildConfig(**chosen) if chosen else None
    index = SparseIndex.merge(
        folder, parts, config=config, overwrite=overwrite, threads=threads, memory=memory
    )
    info, seconds = index.info(), time.perf_counter() - start
    if as_json:
        facts = {"path": str(folder), "documents": info.n_docs, "segments": info.n_segments}
        output.write_json({**facts, "bytes": info.total_bytes, "seconds": seconds})
        return
    size = output.megabytes(info.total_bytes)
    output.write(f"{folder}: {info.n_docs:,} documents of {len(parts)} indexes, {size}, {seconds:.1f} s")
