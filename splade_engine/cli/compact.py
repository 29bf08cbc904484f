"""`splade-engine compact`: one segment, nothing deleted in it."""

from __future__ import annotations

from splade_engine.cli import options, output


def run(folder: options.IndexFolder, as_json: options.Json = False) -> None:
    """Merge the segments of an index into one and drop what was deleted. Results stay the same.

    \b
    Example:
      splade-engine compact my-index
    """
    from splade_engine.index import SparseIndex

    index = SparseIndex.open(folder)
    before = index.info()
    index.compact()
    after = index.info()
    if as_json:
        facts = {"path": str(folder), "documents": after.n_docs, "segments": after.n_segments}
        output.write_json({**facts, "bytes": after.total_bytes, "bytes_before": before.total_bytes})
        return
    sizes = f"{output.megabytes(before.total_bytes)} to {output.megabytes(after.total_bytes)}"
    output.write(f"{folder}: {before.n_segments} to {after.n_segments} segments, {sizes}")
