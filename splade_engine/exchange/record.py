"""`record.json` of an export says what its files hold, so that a damaged one is not imported again."""

from __future__ import annotations

from pathlib import Path

from splade_engine.errors import InvalidInputError
from splade_engine.files import digest_of_file, read_json

RECORD = "record.json"  # what was exported, and what was lost; by it a folder is known to be an export


def digests_of_export(folder: Path) -> dict[str, str]:
    """The digest of each file below a folder, by its path there with slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_of_file(path) for path in files}


def check_unchanged(path: Path) -> None:
    """Compare a file, or the files of a folder, with the record of the export that they lie in, if any.

    A `record.json` of anybody else, and of exports from before it named files, is passed over.

    Raises:
        InvalidInputError: naming the file that differs.
    """
    for folder in (path, *path.absolute().parents[:2]):
        files = _files_of(folder)
        for name, digest in files.items():
            file = folder / name
            mine = file == path or file.absolute().is_relative_to(path.absolute())
            if mine and file.is_file() and digest_of_file(file) != digest:
                raise InvalidInputError(
                    f"{file}: damaged, or changed since it was exported; without the {RECORD} beside it, "
                    "it is imported as it is"
                )
        if files:
            return


def _files_of(folder: Path) -> dict[str, str]:
    try:
        found = read_json(folder / RECORD) if (folder / RECORD).is_file() else None
    except InvalidInputError:
        return {}
    files = found.get("files") if isinstance(found, dict) and "target" in found else None
    if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
        return {}
    return {name: digest for name, digest in files.items() if ".." not in Path(name).parts}
