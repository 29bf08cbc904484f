"""Jupyter notebooks: text cells as Markdown, code cells as code; outputs are left out."""

from __future__ import annotations

import json

from splade_engine.collections.passages import markdown_blocks
from splade_engine.collections.readers.decoding import decoded
from splade_engine.collections.readers.kind import FileName, FileText, TextBuilder
from splade_engine.errors import DatasetError, reason_of
from splade_engine.files import parsed_json


def notebook(data: bytes, file: FileName) -> FileText:
    """Cells are numbered from 1. The title is the first heading."""
    try:
        content = parsed_json(decoded(data, file.place, file.encoding))
        cells = content["cells"] if "cells" in content else content["worksheets"][0]["cells"]
        parts = [
            (str(cell["cell_type"]), _joined(cell.get("source", cell.get("input", "")))) for cell in cells
        ]
    except DatasetError:
        raise
    except ValueError as error:
        syntax = "not JSON: " if isinstance(error, json.JSONDecodeError) else ""
        reason = reason_of(error)
        raise DatasetError(f"{file.place}: not readable as a notebook ({syntax}{reason})") from None
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise DatasetError(f"{file.place}: not readable as a notebook (no cells in it)") from None
    builder = TextBuilder()
    for number, (kind, text) in enumerate(parts, start=1):
        text = text.encode("utf-8", "replace").decode()  # JSON can hold half a surrogate pair
        if kind == "code":
            builder.add(text, "code", number=number)
        elif kind in ("markdown", "heading"):
            builder.add_all(text, markdown_blocks(text), number=number)
        else:
            builder.add(text, number=number)
    title = next((block.title for block in builder.blocks if block.kind == "heading"), "")
    return builder.finished(title, "cell")


def _joined(source: object) -> str:
    if isinstance(source, list):
        return "".join(str(line) for line in source)
    return source if isinstance(source, str) else ""
