"""`splade-engine check`: verify an index."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from splade_engine.cli import options, output


def run(
    folder: options.IndexFolder,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also build every segment again from its vectors, and compare.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Verify every byte and every structure of an index; exit code 1 and the first damage if it is corrupt.

    \b
    Example:
      splade-engine check my-index && cp -r my-index /backup
    """
    from splade_engine.index import SparseIndex

    start = time.perf_counter()
    index = SparseIndex.open(folder, verify="full")
    if deep:
        index.check(deep=True)
    info = index.info()
    seconds = time.perf_counter() - start
    if as_json:
        output.write_json(
            {
                "path": str(folder),
                "ok": True,
                "documents": info.n_docs,
                "bytes": info.total_bytes,
                "seconds": seconds,
            }
        )
        return
    size = output.megabytes(info.total_bytes)
    output.write(f"{folder}: intact ({info.n_docs:,} documents, {size}, checked in {seconds:.2f} s)")
