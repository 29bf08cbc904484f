"""`record.json` of an export says what its files hold, and whose: by it they are imported again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_engine.errors import InvalidInputError
from splade_engine.files import digest_of_file, ours, read_json

NUMBERS, TOKENS = "numbers", "tokens"  # what terms are called
RECORD = ours.EXPORT  # what was exported, and what was lost


@dataclass(frozen=True)
class Origin:
    """What the record of an export says of the vectors in its files."""

    # record of the encoder, None where the index knew none
    encoder: dict[str, str | int] | None
    # size of its vocabulary
    n_terms: int | None
    # whether its files call terms by their numbers; earlier exports do not say
    numbered: bool = False


def digests_of_export(folder: Path) -> dict[str, str]:
    """The digest of each file below a folder, by its path there with slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_of_file(path) for path in files}


def origin_of(path: Path) -> Origin | None:
    """Where the vectors of a file, or of the files of a folder, come from: the export that they lie in.

    They are compared with its record. None where they lie in no export or are none of its files. A
    `record.json` of anybody else, and of exports from before it named files, is passed over.

    Raises:
        InvalidInputError: naming the file that differs.
    """
    for folder in (path, *path.absolute().parents[:2]):
        record = _record_in(folder)
        if record is None:
            continue
        mine = {}
        for name, digest in record["files"].items():
            file = folder / name
            if file.absolute().is_relative_to(path.absolute()) and file.is_file():
                mine[file] = digest
        for file, digest in mine.items():
            if digest_of_file(file) != digest:
                raise InvalidInputError(
                    f"{file}: damaged, or changed since it was exported; without the {RECORD} beside it, "
                    "it is imported as it is"
                )
        return _origin(record) if mine else None
    return None


def _record_in(folder: Path) -> dict[str, Any] | None:
    try:
        found = read_json(folder / RECORD) if (folder / RECORD).is_file() else None
    except InvalidInputError:
        return None
    files = found.get("files") if isinstance(found, dict) and "target" in found else None
    if not isinstance(files, dict) or not files:
        return None
    fits = all(isinstance(digest, str) and ".." not in Path(name).parts for name, digest in files.items())
    return found if fits else None


def _origin(record: dict[str, Any]) -> Origin:
    encoder, n_terms = record.get("encoder"), record.get("n_terms")
    known = isinstance(encoder, dict) and all(isinstance(v, str) or type(v) is int for v in encoder.values())
    return Origin(
        encoder if known and encoder else None,
        n_terms if type(n_terms) is int else None,
        type(n_terms) is int and record.get("terms") == NUMBERS,
    )
