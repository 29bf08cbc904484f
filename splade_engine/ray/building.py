"""`build`: documents to a collection of indexes, a shard per task.

The documents are first written to files of a shard's size (`parts.py`), in `<path>.building`. Each is then
encoded and indexed by an actor of a pool, into `shard-00000` and so on, as one process would do it
(`SearchEngine.build`). A shard whose index is there is not built again, and one that was interrupted goes on:
its encoding is kept beside it. So whatever dies (an actor, a node, the driver), the same call goes on, and
nothing is lost or doubled. At the end the shards are named a collection.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_engine.arguments import path_of
from splade_engine.collections.corpus import Corpus
from splade_engine.errors import IndexExistsError, InvalidInputError, SpladeEngineError
from splade_engine.files import beside
from splade_engine.index import ShardedIndex, SparseIndex
from splade_engine.index.collection import is_collection
from splade_engine.progress import Progress, ProgressBar, check_progress
from splade_engine.ray.cluster import DEFAULT_POOL, Pool, connected, made_encoder, run_all
from splade_engine.ray.encoding import check_columns
from splade_engine.ray.parts import PartFile, planned_parts

if TYPE_CHECKING:
    import ray.data

logger = logging.getLogger(__name__)
SHARD_DOCS = 1_000_000
# options of `SearchEngine.build` that a shard cannot have of its own, and why
_NOT_OF_A_SHARD = {
    "adapt": "every shard would get an encoder of its own; adapt one first (splade_engine.engine.adapt)",
    "overwrite": "remove the collection first",
    "passages": "give them to the Corpus",
    "allow_empty": "give it to the Corpus",
    "threads": "each actor builds with one",
}


class Builder:
    """An actor: loads its encoder once, and makes one index after another."""

    def __init__(self, source: Any, load: dict[str, Any], options: dict[str, Any]) -> None:
        self._encoder = made_encoder(source, load)
        self._options = options

    def work(self, part: str, shard: str) -> None:
        """Encode and index the documents of a file, unless that is done already."""
        from splade_engine.engine import SearchEngine

        file, folder = Path(part), Path(shard)
        if not file.is_file():
            raise InvalidInputError(
                f"{file}: a node does not see it; the folder must be on a disk that all nodes share"
            )
        if not is_built(folder):
            SearchEngine.build(
                folder, PartFile(file), self._encoder, allow_empty=True, threads=1, **self._options
            )


def build(
    source: Corpus | ray.data.Dataset,
    path: str | Path,
    encoder: str | Path | Callable[[], Any] | None = None,
    *,
    id: str = "id",
    text: str = "text",
    shard_docs: int = SHARD_DOCS,
    pool: Pool = DEFAULT_POOL,
    load: dict[str, Any] | None = None,
    progress: Progress = False,
    **options: Any,
) -> ShardedIndex:
    """Encode documents and build a collection of them; the same call goes on after an interruption.

    Args:
        source: a `Corpus`; or a Ray dataset with an id and a text a row, perhaps a `title`, which is read
            before the text, and other columns, which become metadata.
        path: folder of the collection, on a disk that all nodes share.
        encoder: a folder or hub id, None for the bundled one, or a function that makes one in an actor.
        id: name of the dataset's column of ids, which must be text.
        text: name of the dataset's column of texts.
        shard_docs: documents of a shard; the last one may hold fewer.
        pool: the actors.
        load: for `SparseEncoder.load` (`device`, `max_length`).
        progress: of the shards, see `Progress`.
        options: for `SearchEngine.build` (`config`, `memory`, `words`, `top_k`).

    Raises:
        MissingExtraError: Ray is not installed.
        InvalidInputError: Ray is not connected; the pool would take every processor; the ids are numbers; a
            node does not see the folder; an option that a shard cannot have; bad input, naming it.
        IndexExistsError: the folder holds a collection already.
    """
    check_progress(progress)
    ray = connected()
    for name, why in _NOT_OF_A_SHARD.items():
        if name in options:
            raise InvalidInputError(f"ray: {name} cannot be given here: {why}")
    folder = path_of("path", path).absolute()
    if is_collection(folder):
        raise IndexExistsError(f"{folder}: holds a collection already")
    if isinstance(shard_docs, bool) or not isinstance(shard_docs, int) or shard_docs < 1:
        raise InvalidInputError(f"ray: shard_docs must be at least 1, got {shard_docs!r}")
    size = pool.size()
    if not isinstance(source, Corpus):
        check_columns(source, id, [text])
    work = beside(folder, ".building")
    parts = planned_parts(work, source, shard_docs, id, text)
    folder.mkdir(parents=True, exist_ok=True)
    shards = [folder / f"shard-{number:05d}" for number in range(len(parts))]
    made_by = str(encoder) if isinstance(encoder, Path) else encoder
    actor = pool.actor(Builder)
    actors = [actor.remote(made_by, load or {}, options) for _ in range(min(size, len(parts)))]
    try:
        with ProgressBar(progress, len(parts), label="build", unit=" shards") as bar:
            run_all(actors, [(str(p), str(s)) for p, s in zip(parts, shards, strict=True)], bar)
    finally:
        for one in actors:
            ray.kill(one)
    made = ShardedIndex.collect(folder, shards)
    shutil.rmtree(work, ignore_errors=True)
    return made


def is_built(shard: Path) -> bool:
    """Whether the index of a shard is there: it appears whole, with its manifest."""
    try:
        SparseIndex.open(shard, verify="offsets")
    except SpladeEngineError:
        return False
    return True
