"""`splade-engine collect`: several indexes, searched and changed as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import options, output


def run(
    shards: Annotated[list[Path], typer.Argument(metavar="DIR...", help="The index folders, in order.")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="The folder of the collection.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the list of a collection that is there.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Make a collection: a folder that names several indexes, and that every command takes as one index.

    The indexes stay where they are. They need one encoder, and no id twice, as for `merge`; hits and scores
    are those of the merged index. Queries are weighted by the document frequencies of all shards. `add` puts
    new documents into the smallest shard, `delete` finds them wherever they lie.

    \b
    Examples:
      splade-engine collect part-1 part-2 part-3 -o everything
      splade-engine search everything "how do tides work"
      splade-engine collect part-1 part-2 part-3 part-4 -o everything --overwrite
    """
    from splade_engine.index import ShardedIndex

    index = ShardedIndex.collect(folder, shards, overwrite=overwrite)
    if as_json:
        listed = [
            {"path": str(s.path), "documents": len(s), "generation": s.generation} for s in index.shards
        ]
        output.write_json({"path": str(folder), "documents": len(index), "shards": listed})
        return
    output.write(f"{folder}: {len(index):,} documents in {len(index.shards)} shards")
