"""Documents go into an index, new or there already: checked first, encoded next, put in by one commit."""

from __future__ import annotations

import logging
import math
import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from splade_engine.arguments import shown
from splade_engine.engine.adapting import refuse_unsaved, without_neighbours, write_adapted
from splade_engine.engine.encoder_record import SOURCE, encoder_record, refuse_other
from splade_engine.engine.encoding import EncodingPlan, check_options, encode_corpus, unfinished
from splade_engine.engine.intake import surveyed_corpus
from splade_engine.engine.measure import measure
from splade_engine.engine.notes import (
    as_indexed,
    cut_as_before,
    earlier_passages,
    passages_of_empty,
    with_passages,
)
from splade_engine.errors import DatasetError, IndexLockedError, InvalidInputError
from splade_engine.files import beside, disk_errors, named, neighbour
from splade_engine.index import AutoLists, BuildConfig, SparseIndex
from splade_engine.index.disk.own_encoder import ENCODER, own_encoder
from splade_engine.index.disk.publish import LOCK, refuse_unwritable
from splade_engine.index.kernels.cache import cache_folder
from splade_engine.locks import SILENT, lock_holder
from splade_engine.progress import Progress

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.encoder import SparseEncoder
    from splade_engine.encoder.neighbours import NeighbourSettings
    from splade_engine.index import IndexBatch, IndexReader

logger = logging.getLogger(__name__)
T = TypeVar("T")

SHORT_QUERY = 7.0  # terms of a query that is made without a model: 6.5 to 7.0 on questions of MS MARCO
# seconds that a change waits while another process holds the index and gets no further. Several writers in
# turn take longer on a busy machine, the first of which compiles its kernels: 33 s were seen
PATIENCE = 60.0


def build(
    path: Path,
    encoder: SparseEncoder,
    corpus: Corpus,
    config: BuildConfig,
    *,
    overwrite: bool,
    threads: int | None,
    memory: int | None,
    progress: Progress,
    adapt: NeighbourSettings | None,
    encode_options: Mapping[str, Any],
) -> tuple[SparseIndex, SparseEncoder]:
    """Make the index of a corpus; see `SearchEngine.build`, which has checked the arguments.

    Returns:
        The index, and the encoder that it is searched with: the one that was given, or adapted.
    """
    from splade_engine.encoder.sharing import loaded_alike

    if adapt is not None:
        encoder = without_neighbours(encoder)
    check_options(encoder, encode_options)
    if adapt is not None:
        refuse_unsaved(path, encoder, alike=True)
    auto = config.lists
    if isinstance(auto, AutoLists) and auto.query_terms is None and getattr(encoder, "inference_free", False):
        config = replace(config, lists=replace(auto, query_terms=SHORT_QUERY))
    corpus = surveyed_corpus(None, corpus, encoder, progress)
    work = beside(path, ".encoding")
    with encode_corpus(
        corpus, encoder, work, restart=overwrite, hold=True, progress=progress, **encode_options
    ) as encoded:
        batches: Iterable[IndexBatch] = encoded.batches()
        scratch = neighbour(path, "tmp")  # of an adapted encoder, until the index is there
        aside = scratch / f"{named(path).name}.encoder"
        try:
            if adapt is not None:
                with disk_errors(path):
                    scratch.mkdir()
                write_adapted(aside, encoder, encoded, corpus, adapt, alike=True)
                encoder = loaded_alike(aside, encoder)
                record = encoder_record(encoder) | {SOURCE: str(path / ENCODER)}
                batches = _lent(batches, encoder)
            else:
                record = encoder_record(encoder)
            index = SparseIndex.build(
                path,
                batches,
                encoder=record,
                encoder_folder=None if adapt is None else aside,
                config=config,
                overwrite=overwrite,
                threads=threads,
                memory=memory,
                progress=progress,
            )
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if adapt is not None:
            encoder = loaded_alike(own_encoder(path, index.generation) or path / ENCODER, encoder)
        encoded.remove()
    return index, encoder


def _lent(batches: Iterable[IndexBatch], encoder: SparseEncoder) -> Iterator[IndexBatch]:
    """The batches with what the neighbours of an adapted encoder lend."""
    neighbours = encoder.neighbours
    assert neighbours is not None
    for batch in batches:
        yield batch._replace(vectors=neighbours.lend(batch.vectors))


def add(
    index: SparseIndex,
    encoder: SparseEncoder,
    corpus: Corpus,
    progress: Progress,
    encode_options: Mapping[str, Any],
) -> None:
    """Add documents whose ids are not in the index yet; see `SearchEngine.add`.

    Raises:
        InvalidInputError: an id is in the index already; nothing was encoded.
        EncoderMismatchError: the index was built anew with another encoder since it was opened.
        IndexLockedError: another process holds the index, and has not got on for `PATIENCE` seconds.
    """
    check_options(encoder, encode_options)
    reader = _newest(index, encoder)
    corpus = _measured(_as_before(reader, corpus), encoder, progress)
    known = next((document.id for document in corpus if document.id in reader), None)
    if known is not None:  # before hours of encoding
        place = corpus.place_of(known)
        raise InvalidInputError(
            f"{index.path}: holds a document {known!r} already{f' ({place})' if place else ''}; update (add "
            "--replace) replaces it"
        )
    earlier = earlier_passages(reader, corpus)
    if earlier:
        raise InvalidInputError(
            f"{index.path}: holds {earlier[0]!r}, an earlier passage of a document that is added; update "
            "(add --replace) replaces it"
        )
    _put(index, encoder, corpus, progress, encode_options, index.add)


def update(
    index: SparseIndex,
    encoder: SparseEncoder,
    corpus: Corpus,
    drop: Sequence[str],
    progress: Progress,
    encode_options: Mapping[str, Any],
    *,
    alone: bool = False,
) -> None:
    """Put documents in the place of those with the same ids; see `SearchEngine.update`.

    With `alone` nothing goes but `drop`: where another process has put in a document with one of the ids
    meanwhile, that stays, and nothing is changed.

    Raises:
        InvalidInputError: with `alone`, for such a document.
        DatasetError: there is no text, and nothing to delete either.
        EncoderMismatchError, IndexLockedError: as `add`.
    """
    check_options(encoder, encode_options)
    reader = _newest(index, encoder)
    corpus = _as_before(reader, corpus)
    try:
        corpus = _measured(corpus, encoder, progress)
    except DatasetError:  # there is no text in any file: nothing to add, but perhaps to delete
        gone = [*drop, *passages_of_empty(reader, corpus)]
        if not corpus.report.empty or not gone:
            raise
        when_free(index.path, lambda: index.update([], drop=gone))
        return
    if not alone:
        drop = [*drop, *earlier_passages(reader, corpus)]
    publish = partial(index.add if alone else index.update, drop=drop)
    _put(index, encoder, corpus, progress, encode_options, publish)


def delete(index: SparseIndex, ids: Iterable[str], *, missing_ok: bool = False) -> list[str]:
    """Remove documents by id; see `SearchEngine.delete`.

    Returns:
        The ids that are not in the index, of which there are some with `missing_ok` only.
    """
    given = list(ids)
    odd = next((row for row, id in enumerate(given) if not isinstance(id, str)), None)
    if odd is not None:
        raise InvalidInputError(f"ids: number {odd} is {shown(given[odd])}, a string is expected")

    def change() -> list[str]:
        meant = with_passages(index.refresh().reader, given)
        if missing_ok:
            index.delete(list(dict.fromkeys(chain.from_iterable(meant.values()))))
        else:  # which names an id that is not there, or is given twice
            index.delete([there for id in given for there in meant[id] or [id]])
        return [id for id, there in meant.items() if not there]

    return when_free(index.path, change)


def compact(index: SparseIndex, **options: Any) -> None:
    """Merge segments and drop what was deleted; options as of `SparseIndex.compact`."""
    when_free(index.path, lambda: index.compact(**options))


def _newest(index: SparseIndex, encoder: SparseEncoder) -> IndexReader:
    """What is published now, if its vectors are of this encoder: the index may have been built anew.

    Raises:
        EncoderMismatchError: they are of another one.
    """
    reader = index.refresh().reader
    refuse_other(index.path, reader.encoder, encoder, reader.n_terms)
    return reader


def _as_before(reader: IndexReader, corpus: Corpus) -> Corpus:
    """The corpus, with the paths, the passages and the types of columns that the index has."""
    return cut_as_before(reader, as_indexed(reader, corpus)).typed_as(reader.info().columns)


def _measured(corpus: Corpus, encoder: SparseEncoder, progress: Progress) -> Corpus:
    """The corpus, cut by the tokens of this encoder and read once."""
    measure(corpus, encoder)
    corpus.survey(progress)
    return corpus


def _put(
    index: SparseIndex,
    encoder: SparseEncoder,
    corpus: Corpus,
    progress: Progress,
    encode_options: Mapping[str, Any],
    publish: Callable[[Iterable[IndexBatch]], int],
) -> None:
    refuse_unwritable(index.path)  # before hours of encoding
    summary = surveyed_corpus(index.reader, corpus, encoder, progress).survey()
    # a folder for each corpus: two that are added at the same time do not touch each other's shards
    name = EncodingPlan.of(summary, encoder, encode_options).name
    start = beside(index.path, ".encoding-")
    work = start.with_name(start.name + name)
    with encode_corpus(
        corpus, encoder, work, restart=True, hold=True, progress=progress, **encode_options
    ) as encoded:
        when_free(
            index.path, lambda: publish(encoded.batches()), "what was encoded is kept for the same call"
        )
        encoded.remove()
    for left in unfinished(start):
        logger.info("%s: an add that was not finished; the same add goes on there", left)


def when_free(path: Path, change: Callable[[], T], kept: str = "") -> T:
    """Make a change as soon as nobody else is writing the index: all that an engine changes waits its turn.

    Args:
        path: the index.
        change: raises IndexLockedError where it is not its turn.
        kept: what is left of a change that waited in vain, for the message.

    Raises:
        IndexLockedError: after `PATIENCE` seconds in which the index stayed as it was.
    """
    seen, deadline, quiet_until = None, 0.0, time.monotonic() + SILENT
    while True:
        try:
            return change()
        except IndexLockedError as error:
            found = _progress(path)
            if found != seen:
                seen, deadline = found, time.monotonic() + PATIENCE
            elif time.monotonic() > deadline:
                raise IndexLockedError("; ".join(filter(None, (str(error), kept)))) from None
            elif time.monotonic() > quiet_until:
                logger.info("%s; waiting for it", error)
                quiet_until = math.inf
            # at odd moments: of several that wait, none is always the one that comes too late
            time.sleep(random.uniform(0.005, 0.03))


def _progress(path: Path) -> tuple[object, ...]:
    """What changes while others get on: who holds the index, and when a file of it or a kernel was made."""
    kernels = cache_folder()
    with disk_errors(path, "read"):
        made = [folder.stat().st_mtime_ns for folder in (path, kernels) if folder is not None]
        return lock_holder(path / LOCK), *made
