"""Text files that are added again: what an index holds of their earlier contents.

A text file is cut into passages, and their ids are the file's path with a number (`collections.text_files`).
When the file changes, it may have fewer passages or only one, which has no number: then the ids of the new
passages do not meet all of the old ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.collections.text_files import passage_id, text_paths
from splade_engine.errors import InvalidInputError

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.index.reader import IndexReader


_GAP = 8  # passages of a file that may have been deleted in a row before the next one is missed


def earlier_passages(reader: IndexReader, corpus: Corpus) -> list[str]:
    """Ids of passages in the index that are of files of the corpus, and no passages of them any more.

    Raises:
        InvalidInputError: for a single file that the index seems to hold under its path below a folder.
    """
    source = corpus.text_files
    if source is None:
        return []
    _refuse_other_path(reader, source)
    now = Counter(str(document.metadata["path"]) for document in corpus)
    found: list[str] = []
    for path in text_paths(source):  # a file without text has no passage now
        n = now[path]
        kept = {passage_id(path, i, n) for i in range(1, n + 1)}
        found += [id for id in _passages(reader, path) if id not in kept]
    return found


def _passages(reader: IndexReader, path: str) -> Iterator[str]:
    """The ids under which the index holds passages of a file."""
    if _is_passage(reader, path, path):
        yield path
    number = missing = 0
    while missing < _GAP:
        number += 1
        id = f"{path}#{number}"
        missing = 0 if _is_passage(reader, id, path) else missing + 1
        if not missing:
            yield id


def _is_passage(reader: IndexReader, id: str, path: str) -> bool:
    """Whether a document is of that file: another source may have the same id."""
    return id in reader and reader.payload([reader.ordinal(id)])[0].get("path") == path


def _refuse_other_path(reader: IndexReader, source: Path) -> None:
    """A file alone has its name as path, below a folder the path from there: two ids for one file."""
    if source.is_dir():
        return
    parts = source.absolute().parts
    for start in range(len(parts) - 2, 0, -1):
        path = "/".join(parts[start:])
        if next(_passages(reader, path), None) is not None:
            folder = Path(*parts[:start])
            raise InvalidInputError(
                f"{source}: the index holds {path!r}, which seems to be this file; add the folder {folder}, "
                "so that it keeps its id"
            )
