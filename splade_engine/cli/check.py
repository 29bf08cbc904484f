"""`splade-engine check`: verify an index."""

from __future__ import annotations

import time

from splade_engine.cli import options, output


def run(folder: options.IndexFolder, as_json: options.Json = False) -> None:
    """Verify every byte and every structure of an index; exit code 1 and the first damage if it is corrupt.

    \b
    Example:
      splade-engine check my-index && cp -r my-index /backup
    """
    from splade_engine.index import SparseIndex

    start = time.perf_counter()
    info = SparseIndex.open(folder, verify="full").info()
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
