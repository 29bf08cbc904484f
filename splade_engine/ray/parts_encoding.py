"""`encode_parts`: a corpus encoded by a pool of actors, into the work folder of `encode --part`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from splade_engine.arguments import path_of
from splade_engine.collections.corpus import Corpus
from splade_engine.errors import InvalidInputError
from splade_engine.progress import Progress, ProgressBar, check_progress
from splade_engine.ray.cluster import DEFAULT_POOL, Pool, connected, made_encoder, run_all


class PartEncoder:
    """An actor: loads its encoder once, and encodes one part after another."""

    def __init__(
        self,
        corpus: Callable[[], Corpus],
        folder: str,
        source: Any,
        load: dict[str, Any],
        options: dict[str, Any],
    ) -> None:
        self._corpus, self._folder, self._options = corpus(), Path(folder), options
        self._encoder = made_encoder(source, load)

    def work(self, number: int, of: int) -> None:
        """Encode part `number` of `of`, or what is missing of it."""
        from splade_engine.engine.encoding import Part, encode_part

        encode_part(self._corpus, self._encoder, self._folder, Part(number, of), **self._options)


def encode_parts(
    corpus: Callable[[], Corpus],
    folder: str | Path,
    encoder: str | Path | Callable[[], Any] | None = None,
    *,
    parts: int | None = None,
    pool: Pool = DEFAULT_POOL,
    load: dict[str, Any] | None = None,
    progress: Progress = False,
    **options: Any,
) -> None:
    """Encode every part of a corpus on a cluster; `engine.encoding.encode_corpus` then joins the shards.

    The same call goes on after an interruption, see `engine.encoding.encode_part`.

    Args:
        corpus: makes the corpus in an actor: of files on a disk that all nodes share.
        folder: the work folder, on such a disk.
        encoder: as for `build`.
        parts: how many; by default one for each actor.
        pool: the actors.
        load: for `SparseEncoder.load`.
        progress: of the parts, see `Progress`.
        options: for `encode_part` (`top_k`, `batch_tokens`, `restart`).

    Raises:
        MissingExtraError: Ray is not installed.
        InvalidInputError: Ray is not connected; the pool would take every processor; bad input, naming it.
        IndexLockedError: another process is at work on a part.
    """
    check_progress(progress)
    ray = connected()
    size = pool.size()
    parts = size if parts is None else parts
    if isinstance(parts, bool) or not isinstance(parts, int) or parts < 1:
        raise InvalidInputError(f"ray: parts must be at least 1, got {parts!r}")
    source = str(encoder) if isinstance(encoder, Path) else encoder
    actor = pool.actor(PartEncoder)
    where = str(path_of("folder", folder).absolute())
    actors = [actor.remote(corpus, where, source, load or {}, options) for _ in range(min(size, parts))]
    try:
        with ProgressBar(progress, parts, label="encode", unit=" parts") as bar:
            run_all(actors, [(number, parts) for number in range(1, parts + 1)], bar)
    finally:
        for one in actors:
            ray.kill(one)
