"""`splade-engine delete`: documents out of an index."""

from __future__ import annotations

from typing import Annotated

import typer

from splade_engine.cli import options, output


def run(
    folder: options.IndexFolder,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of the documents to remove.")],
    as_json: options.Json = False,
) -> None:
    """Remove documents by id, in one commit: all of them, or none if an id is unknown.

    They are never found again; `compact` gives back the space.

    \b
    Example:
      splade-engine delete my-index report-7 report-8
    """
    from splade_engine.index import SparseIndex

    index = SparseIndex.open(folder)
    before = len(index)
    index.delete(ids)
    if as_json:
        output.write_json({"path": str(folder), "documents": len(index), "deleted": before - len(index)})
        return
    output.write(f"{folder}: {len(index):,} documents, {before - len(index):,} deleted")
