"""Documents that are added again: what an index holds of their earlier contents.

A document is cut into passages, whose ids are its own with a number (`collections/cutting.py`). When it
changes, it may have fewer passages or only one, which has no number: then the ids of the new passages do not
meet all of the old ones. What passages a document has is told by their column `parent`, or `path` in indexes
of earlier releases, and by their ids: records may have fields of these names too. And a file that was added
with its folder has another path when it is added alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from splade_engine.collections.cutting import is_passage_of
from splade_engine.collections.folders import FileState, origin_of
from splade_engine.collections.metadata import FILE_STATE
from splade_engine.collections.passages import PARENT, Passages
from splade_engine.errors import InvalidInputError

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.index.reader import IndexReader

logger = logging.getLogger(__name__)

_NEIGHBOURS = 64  # files of the index that are looked at to recognise the folder it was made from


def earlier_passages(reader: IndexReader, corpus: Corpus) -> list[str]:
    """Ids of documents in the index that are of documents of the corpus, and no passages of them any more."""
    held = _held(reader)
    if held is None and not corpus.is_cut:
        return []
    now: dict[str, set[str]] = {path: set() for path in corpus.report.empty}  # has no passage now
    for document in corpus:
        # one that came as a passage replaces itself alone: its siblings are not in the corpus
        parent = str(document.metadata.get(PARENT, "")) if FILE_STATE in document.metadata else ""
        of = parent if is_passage_of(document.id, parent) else document.id
        now.setdefault(of, set()).add(document.id)
    old = [] if held is None else _of_parents(held, now)
    gone = [id for parent, id in old if id not in now[parent]]
    if corpus.is_cut and not corpus.report.n_files:  # records that were not cut before
        known = {id for _, id in old}
        gone += [p for p, ids in now.items() if p not in ids and p not in known and p in reader]
    return gone


def passages_of_empty(reader: IndexReader, corpus: Corpus) -> list[str]:
    """Ids of the passages that the index holds of files that have no text any more."""
    held = _held(reader)
    return [] if held is None else [id for _, id in _of_parents(held, corpus.report.empty)]


def with_passages(reader: IndexReader, ids: Iterable[str]) -> dict[str, list[str]]:
    """The ids of the index that each id stands for: itself, or else the passages of a document that was cut.

    An id that the index knows neither way stands for none.
    """
    found = {id: [id] if id in reader else [] for id in ids}
    absent = [id for id, there in found.items() if not there]
    if absent and PARENT in reader.info().columns:
        table = reader.text_columns(PARENT)
        rows = table.filter(pc.is_in(table[PARENT], value_set=pa.array(absent, pa.large_string())))
        for parent, id in _passages_among(rows):
            found[parent].append(id)
    return found


def _held(reader: IndexReader) -> pa.Table | None:
    """The ids of all passages with what they are of, and where; None where there are none."""
    columns = reader.info().columns
    if PARENT not in columns and "path" not in columns:
        return None
    table = reader.text_columns(PARENT, "path", FILE_STATE)
    parents = pc.coalesce(table[PARENT], table["path"])
    columns = {"id": table["id"], PARENT: parents, "path": table["path"], FILE_STATE: table[FILE_STATE]}
    return pa.table(columns).filter(pc.is_valid(parents))


def _of_parents(held: pa.Table, parents: Iterable[str]) -> list[tuple[str, str]]:
    """(parent, id) of every passage of these documents."""
    wanted = pa.array(list(parents), pa.large_string())
    rows = held.filter(pc.is_in(held[PARENT], value_set=wanted))
    return _passages_among(rows)


def _passages_among(rows: pa.Table) -> list[tuple[str, str]]:
    """(parent, id) of the rows that are passages, and not records with a field of that name."""
    pairs = zip(rows[PARENT].to_pylist(), rows["id"].to_pylist(), strict=True)
    return [(parent, id) for parent, id in pairs if is_passage_of(id, parent)]


# ---- cut as before --------------------------------------------------------------------------------------


def cut_as_before(reader: IndexReader, corpus: Corpus) -> Corpus:
    """The corpus, cut as most documents of the index were: its files as those, its records as those.

    One that was asked to be cut in another way is left as it is.
    """
    if corpus.passages is not None or FILE_STATE not in reader.info().columns:
        return corpus
    counts: Counter[Passages] = Counter()
    for row in pc.value_counts(reader.text_columns(FILE_STATE)[FILE_STATE]).to_pylist():
        how = _cut_of(row["values"] or "", files=corpus.is_cut)
        if how is not None:
            counts[how] += row["counts"]
    if not counts:
        return corpus
    how = counts.most_common(1)[0][0]
    logger.info("cut into passages of %d tokens, as the index was", how.tokens)
    return corpus.cut_as(how)


def _cut_of(state: str, *, files: bool) -> Passages | None:
    if not files:
        return Passages.parse(state)
    file = FileState.parse(state)
    return None if file is None else Passages(file.tokens, file.overlap)


# ---- one file, one path ---------------------------------------------------------------------------------


def as_indexed(reader: IndexReader, corpus: Corpus) -> Corpus:
    """The corpus; a single file has the path that it has in the index, if it came with its folder.

    A file alone has its name as path, below a folder the path from there. Which folder that was is told by
    what the index remembers of the file, or by the other files of the index: they lie beside it.

    Raises:
        InvalidInputError: if the index holds a file of that path, and whether it is this one cannot be told.
    """
    source = corpus.file
    held = None if source is None else _held(reader)
    if source is None or held is None:
        return corpus
    parts = source.absolute().parts
    paths = {"/".join(parts[start:]): Path(*parts[:start]) for start in range(len(parts) - 2, 0, -1)}
    found = {parent for parent, _ in _of_parents(held, paths)}
    for path, root in paths.items():
        if path not in found:
            continue
        if not _made_from(held, root, path):
            raise InvalidInputError(
                f"{source}: the index holds {path!r}, which seems to be this file; add the folder {root}, "
                "so that it keeps its id"
            )
        logger.info("%s: is %r in the index", source, path)
        return corpus.told_from(root)
    return corpus


def _made_from(held: pa.Table, root: Path, path: str) -> bool:
    """Whether the file of that path is of `root`, or most of the other files of the index lie there."""
    states = held.filter(pc.equal(held["path"], path))[FILE_STATE].to_pylist()
    origins = {
        state.origin for state in (FileState.parse(text or "") for text in states) if state is not None
    }
    if origins:
        return bool(origins == {origin_of(root)})
    others = [other for other in pc.unique(held["path"]).to_pylist() if other not in (None, path)]
    others = others[:_NEIGHBOURS]
    here = sum((root / other).is_file() for other in others)
    return bool(here * 2 > len(others))
