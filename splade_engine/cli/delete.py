"""`splade-engine delete`: documents out of an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splade_engine.cli import options, output, texts


def run(
    folder: options.IndexFolder,
    ids: Annotated[
        list[str] | None, texts.argument("[ID...]", help="Ids of the documents to remove.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="A file with one id a line; - reads standard input."),
    ] = None,
    where: Annotated[
        str | None, texts.option("--where", "-w", help='Documents whose metadata match: "year < 1990".')
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")] = False,
    as_json: options.Json = False,
) -> None:
    """Remove documents by id or by a filter, in one commit: all of them, or none if an id is unknown.

    The id of a document that was cut removes all its passages. What was removed is never found again;
    `compact` gives back the space.

    \b
    Examples:
      splade-engine delete my-index report-7 report-8
      splade-engine delete my-index --file gone.txt
      cut -f1 gone.tsv | splade-engine delete my-index --file -
      splade-engine delete my-index --where "year < 1990 and lang = 'de'" --dry-run
    """
    from splade_engine.engine.changes import when_free
    from splade_engine.engine.notes import with_passages
    from splade_engine.index import SparseIndex

    given = list(dict.fromkeys([*(ids or []), *([] if file is None else _listed(file))]))
    if not given and where is None and file is None:
        raise typer.BadParameter("give ids, --file or --where")
    index = SparseIndex.open(folder)
    before = len(index)
    if where is not None:
        known = set(given)
        matching = index.ids(index.reader.ordinals(where))
        given += [id for id in matching if id not in known]
    meant = with_passages(index.reader, given)
    given = list(dict.fromkeys(there for id in given for there in meant[id] or [id]))
    if dry_run:
        for id in given:
            index.ordinal(id)
    elif given:
        when_free(index.path, lambda: index.delete(given))
    gone = len(given) if dry_run else before - len(index)
    if as_json:
        answer = {"path": str(folder), "documents": len(index), "deleted": gone}
        output.write_json({**answer, "ids": given} if dry_run else answer)
        return
    if dry_run:
        for id in given:
            output.write(id)
        output.note(f"{folder}: {gone:,} of {before:,} documents would be deleted")
        return
    output.write(f"{folder}: {len(index):,} documents, {gone:,} deleted")


def _listed(file: Path) -> list[str]:
    """The ids of a file, one a line, each once; empty lines are passed over."""
    from splade_engine.collections.text_lines import decoded_lines, read_lines

    if str(file) == "-":
        import sys

        from splade_engine.collections.standard_input import PLACE

        lines = decoded_lines(sys.stdin.buffer, PLACE)  # as bytes: a locale would read them as other letters
    else:
        lines = read_lines(file)
    return list(dict.fromkeys(line for _, line in lines))
