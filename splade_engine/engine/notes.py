"""Text files that are added again: what an index holds of their earlier contents.

A text file is cut into passages, and their ids are the file's path with a number (`collections.text_files`).
When the file changes, it may have fewer passages or only one, which has no number: then the ids of the new
passages do not meet all of the old ones. And a file that was added with its folder has another path when it
is added alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.collections.text_files import passage_id, read_text_files, text_paths
from splade_engine.errors import InvalidInputError

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.index.reader import IndexReader

logger = logging.getLogger(__name__)

_GAP = 8  # passages of a file that may have been deleted in a row before the next one is missed
_NEIGHBOURS = 64  # documents of the index that are looked at to recognise the folder it was made from


def earlier_passages(reader: IndexReader, corpus: Corpus) -> list[str]:
    """Ids of passages in the index that are of files of the corpus, and no passages of them any more."""
    source = corpus.text_files
    if source is None:
        return []
    now = Counter(passage.path for passage in read_text_files(source, corpus.root))
    found: list[str] = []
    for path in text_paths(source, corpus.root):  # a file without text has no passage now
        n = now[path]
        kept = {passage_id(path, i, n) for i in range(1, n + 1)}
        found += [id for id in _passages(reader, path) if id not in kept]
    return found


def has_text(corpus: Corpus) -> bool:
    """Whether there is anything to add: text files may all have become empty."""
    source = corpus.text_files
    return source is None or next(read_text_files(source, corpus.root), None) is not None


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


# ---- one file, one path ---------------------------------------------------------------------------------


def as_indexed(reader: IndexReader, corpus: Corpus) -> Corpus:
    """The corpus; a single text file has the path that it has in the index, if it came with its folder.

    A file alone has its name as path, below a folder the path from there. Which folder that was is told by
    the other files of the index: they lie beside it.

    Raises:
        InvalidInputError: if the index holds a file of that path, and whether it is this one cannot be told.
    """
    source = corpus.text_files
    if source is None or source.is_dir() or corpus.root is not None:
        return corpus
    parts = source.absolute().parts
    for start in range(len(parts) - 2, 0, -1):
        path, root = "/".join(parts[start:]), Path(*parts[:start])
        if next(_passages(reader, path), None) is None:
            continue
        if not _made_from(reader, root, path):
            raise InvalidInputError(
                f"{source}: the index holds {path!r}, which seems to be this file; add the folder {root}, "
                "so that it keeps its id"
            )
        logger.info("%s: is %r in the index", source, path)
        return corpus.told_from(root)
    return corpus


def _made_from(reader: IndexReader, root: Path, path: str) -> bool:
    """Whether most of the other text files of the index lie below `root`."""
    rows = reader.payload(reader.snapshot.live_ordinals()[:_NEIGHBOURS])
    others = {str(row["path"]) for row in rows if "passage" in row and row.get("path") not in (None, path)}
    here = sum((root / other).is_file() for other in others)
    return here * 2 > len(others)
