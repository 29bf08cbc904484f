"""`splade-engine get`: stored documents by id."""

from __future__ import annotations

from typing import Annotated

from splade_engine.cli import options, output, texts


def run(
    folder: options.IndexFolder,
    ids: Annotated[list[str], texts.argument("ID...", help="Ids of the documents to show.")],
    as_json: options.Json = False,
) -> None:
    """Show documents as they are stored: title, metadata and text, in the order asked for.

    \b
    Examples:
      splade-engine get my-index report-7
      splade-engine get my-index report-7 report-8 --json
    """
    from splade_engine.collections.metadata import document_parts, value_text
    from splade_engine.index import SparseIndex
    from splade_engine.plain_text import one_line

    index = SparseIndex.open(folder)
    rows = index.payload([index.ordinal(id) for id in ids])
    found = [(id, *document_parts(row)) for id, row in zip(ids, rows, strict=True)]
    if as_json:
        documents = [
            {"id": id, "title": title, "text": text, "metadata": metadata}
            for id, text, title, metadata in found
        ]
        output.write_json({"documents": documents})
        return
    for id, text, title, metadata in found:
        output.write(output.styled(one_line(id), "id") + (f"  {one_line(title)}" if title else ""))
        for name, value in metadata.items():
            output.write(output.styled(f"{one_line(name)}: ", "aside") + one_line(value_text(value)))
        if text:
            output.write_block(text)
        output.write()
