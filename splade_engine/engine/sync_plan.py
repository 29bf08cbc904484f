"""What a `sync` has to do: which files of a folder are new, changed or gone, by what the index holds of them.

* A file is changed where its content is another, or it was cut in another way. Times and sizes decide
  nothing.
* A file that cannot be read keeps what the index holds of it.
* A file that is gone is deleted from the index with `prune` alone, and only if the scan covered its place:
  files of other folders, documents that are no files, and what lies below a folder that could not be opened
  stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.collections.cutting import is_passage_of
from splade_engine.collections.folders import (
    FileReading,
    FileState,
    FolderReport,
    SourceFile,
    origin_of,
    read_bytes,
    scan,
)
from splade_engine.collections.metadata import FILE_STATE
from splade_engine.collections.passages import PARENT, Passages
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.progress import Progress, ProgressBar

if TYPE_CHECKING:
    from splade_engine.index.reader import IndexReader


@dataclass
class Held:
    """What the index holds of one file."""

    ids: list[str] = field(default_factory=list)
    states: set[FileState | None] = field(default_factory=set)


@dataclass(frozen=True)
class SyncPlan:
    """Which files are read, and whose old passages go."""

    how: Passages
    new: list[SourceFile]
    changed: list[SourceFile]
    unchanged: int
    gone: list[str]
    held: dict[str, Held]
    scanned: FolderReport


def sync_plan(
    reader: IndexReader | None,
    folder: Path,
    how: Passages | None,
    encoding: str | None,
    name: str | None,
    progress: Progress,
) -> SyncPlan:
    """Compare the files of a folder with what the index holds of them.

    Args:
        reader: of the index; None: it holds nothing yet.
        folder: of files.
        how: files are cut; None: as they were before.
        encoding: as `checked_encoding` gives it.
        name: what the folder is known by; None: its place.
        progress: see `Progress`.

    Raises:
        InvalidInputError: the index holds a file of that path from another folder.
    """
    origin = origin_of(folder, name)
    held = {} if reader is None else _held(reader)
    reading = FileReading(how or _as_before(held, origin), encoding=encoding, name=name)
    scanned = FolderReport()
    files = list(scan(folder, scanned))
    unreadable = [f"{path}/" for path in (*(path for path, _ in scanned.failed), *scanned.linked)]
    new, changed, unchanged, seen = [], [], 0, set()
    with ProgressBar(progress, len(files), label="compare", unit="file") as bar:
        for file in files:
            seen.add(file.path)
            bar.advance()
            there = held.get(file.path)
            try:
                state = reading.state(read_bytes(file), origin)
            except DatasetError as error:
                scanned.fail(file, error)
                continue
            if there is None:
                new.append(file)
            elif {_comparable(s, encoding) for s in there.states} == {state}:
                unchanged += 1
            else:
                _check_origin(folder, file.path, there, origin)
                changed.append(file)
    ours = (path for path, there in held.items() if any(s and s.origin == origin for s in there.states))
    gone = [path for path in ours if path not in seen and not path.startswith(tuple(unreadable))]
    gone = [] if "./" in unreadable else gone
    return SyncPlan(reading.passages, new, changed, unchanged, sorted(gone), held, scanned)


def _held(reader: IndexReader) -> dict[str, Held]:
    """What the index holds of files, by path; indexes of earlier releases know no state of them."""
    table = reader.text_columns(PARENT, "path", FILE_STATE)
    held: dict[str, Held] = {}
    known: dict[str, FileState | None] = {}
    rows = zip(*(table[name].to_pylist() for name in ("id", PARENT, "path", FILE_STATE)), strict=True)
    for id, parent, path, state in rows:
        if path is None or (parent or path) != path or not is_passage_of(id, path):
            continue  # a record, whatever its fields are called
        there = held.setdefault(path, Held())
        there.ids.append(id)
        if state not in known:
            known[state] = FileState.parse(state) if state else None
        there.states.add(known[state])
    return held


def _comparable(state: FileState | None, encoding: str | None) -> FileState | None:
    """A state as it is compared: how a file was decoded does not matter to whoever names no encoding."""
    return state if state is None or encoding is not None else replace(state, encoding="")


def _as_before(held: Mapping[str, Held], origin: str) -> Passages:
    """How most files of this folder were cut."""
    states = (state for there in held.values() for state in there.states)
    counts = Counter((s.tokens, s.overlap) for s in states if s is not None and s.origin == origin)
    return Passages(*counts.most_common(1)[0][0]) if counts else Passages()


def _check_origin(folder: Path, path: str, there: Held, origin: str) -> None:
    others = {state.origin for state in there.states if state is not None} - {origin}
    if others:
        raise InvalidInputError(
            f"{folder}: the index holds {path!r} from another folder, or this one has moved; give the "
            "--name that it was synced by, an index of its own, or take the files over with add --replace"
        )
