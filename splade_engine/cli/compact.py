"""`splade-engine compact`: one segment, nothing deleted in it."""

from __future__ import annotations

from typing import Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress


def run(
    folder: options.IndexFolder,
    lists: Annotated[
        str | None,
        typer.Option("--lists", help="Store posting lists as impact, blocks, blocks(energy=0.9) or auto."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Merge the segments of an index into one and drop what was deleted. Results stay the same.

    Posting lists stay as they are unless --lists says otherwise; an index that was tuned has to be tuned
    again then.

    \b
    Examples:
      splade-engine compact my-index
      splade-engine compact my-index --lists blocks
    """
    from splade_engine.engine import changes
    from splade_engine.index import SparseIndex
    from splade_engine.index.lists import written
    from splade_engine.progress import heartbeat

    index = SparseIndex.open(folder)
    before = index.info()
    with heartbeat(shows_progress(), "compact"):
        changes.compact(index, lists=lists)
    after = index.info()
    if as_json:
        facts = {"path": str(folder), "documents": after.n_docs, "segments": after.n_segments}
        facts["lists"] = after.lists.kind
        output.write_json({**facts, "bytes": after.total_bytes, "bytes_before": before.total_bytes})
        return
    sizes = f"{output.megabytes(before.total_bytes)} to {output.megabytes(after.total_bytes)}"
    output.write(f"{folder}: {before.n_segments} to {after.n_segments} segments, {sizes}")
    if after.lists != before.lists:
        tune = ": tune it again (splade-engine tune)" if before.tuned else ""
        output.note(f"posting lists were {written(before.lists)} and are {written(after.lists)} now{tune}")
