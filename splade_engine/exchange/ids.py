"""Files of ids, one a line, such as lie beside matrices: what is written is read again as it was."""

from __future__ import annotations

import json
from pathlib import Path

from splade_engine.errors import InvalidInputError
from splade_engine.files import disk_errors


def line_of(id: str) -> str:
    """An id as one line: as it is, or as a JSON string where a reader would take it for something else."""
    return json.dumps(id) if _needs_quotes(id) else id


def listed_ids(path: Path, count: int) -> list[str]:
    """The ids in a file.

    Raises:
        InvalidInputError: no such file, not UTF-8, or another number of ids than `count`.
        StorageError: the disk refuses.
    """
    if not path.is_file():
        raise InvalidInputError(f"{path}: no such file")
    with disk_errors(path, "read"):
        data = path.read_bytes()
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path}: not UTF-8") from None
    if not lines[-1]:
        lines.pop()
    if len(lines) != count:
        raise InvalidInputError(f"{path}: {len(lines)} ids for {count} rows")
    return [_id_of(line.removesuffix("\r")) for line in lines]


def _needs_quotes(id: str) -> bool:
    # a reader takes U+FEFF at the beginning of a file for its byte order mark
    return id.startswith(('"', "\ufeff")) or len(id.splitlines()) != 1 or id != id.strip("\r\n")


def _id_of(line: str) -> str:
    if line.startswith('"'):
        try:
            id = json.loads(line)
        except (ValueError, RecursionError):
            return line
        if isinstance(id, str) and _needs_quotes(id):
            return id
    return line  # of another program, which quotes nothing
