"""`encode_corpus`: a corpus into a work folder, shard by shard, or the rest of what an earlier call began.

A work folder (see `folder.py`) that was begun with another encoder, corpus or options is refused as long as a
finished shard is in it. Shards that processes encoded as parts (see `part.py`) are taken as they are.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from splade_engine.collections.corpus import Corpus
from splade_engine.collections.summary import CorpusDigest
from splade_engine.engine.encoding.folder import (
    agreed_plan,
    locked_folder,
    refuse_busy_shards,
    remove_remains,
    tell_what_stays,
)
from splade_engine.engine.encoding.plan import EncodingPlan
from splade_engine.engine.encoding.shard import EncodedCounts, Shard
from splade_engine.engine.measure import measure
from splade_engine.errors import InvalidInputError
from splade_engine.locks import HeldLock
from splade_engine.progress import Progress, ProgressBar
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.collections import Document
    from splade_engine.index import IndexBatch

logger = logging.getLogger(__name__)


class DocumentEncoder(Protocol):
    """The part of `SparseEncoder` that turns documents into vectors.

    One that also has `encode_counted`, with the arguments of `encode_documents`, is asked for that: its
    result has `vectors`, `truncated` (how many texts were cut) and `unknown` (rows without a known token).
    """

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""

    @property
    def encode_documents(self) -> Callable[..., SparseVectors]:
        """Texts, and options by keyword, to one vector per text."""

    def fingerprint(self) -> dict[str, str | int]:
        """What makes two encoders give the same vectors."""


class EncodedCorpus:
    """A finished encoding: iterate over it for the vectors, shard by shard, as often as needed.

    As a context manager it gives up the lock of its folder at the end, if it holds it.
    """

    def __init__(
        self, folder: Path, plan: EncodingPlan, counts: EncodedCounts, lock: HeldLock | None = None
    ) -> None:
        self.folder = folder
        self.n_docs = plan.n_docs
        self.n_terms = plan.n_terms
        self.fields = plan.fields
        self.encoder = plan.encoder
        self.counts = counts
        self._shards = [Shard(folder, number, plan) for number in range(plan.n_shards)]
        self._lock = lock

    def __len__(self) -> int:
        return self.n_docs

    def __iter__(self) -> Iterator[SparseVectors]:
        for shard in self._shards:
            yield shard.vectors()

    def vectors(self) -> SparseVectors:
        """All vectors as one batch."""
        return SparseVectors.concat(list(self))

    def ids(self) -> list[str]:
        """The document ids in corpus order."""
        return [doc_id for shard in self._shards for doc_id in shard.ids()]

    def batches(self) -> Iterator[IndexBatch]:
        """Vectors, ids and payload of one shard after another: what `SparseIndex.build` takes."""
        for shard in self._shards:
            yield shard.batch(self.fields)

    def remove(self) -> None:
        """Delete the work folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Let another process work in the folder; does nothing where the lock is not held."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        if error is not None:
            tell_what_stays(self.folder)


def encode_corpus(
    corpus: Corpus,
    encoder: DocumentEncoder,
    folder: str | Path,
    *,
    shard_docs: int | None = None,
    restart: bool = False,
    hold: bool = False,
    progress: Progress = False,
    **options: Any,
) -> EncodedCorpus:
    """Encode every document into the work folder, or finish what an earlier call began there.

    Args:
        corpus: read twice, once to check all of it and once to encode it.
        encoder: turns texts into vectors.
        folder: made if it is missing; removed again by a call that fails before its first shard.
        shard_docs: documents per shard; None: a 500th of the corpus, within [256, 32768].
        restart: where the folder was begun with another encoder or corpus, start anew instead of refusing.
        hold: keep the folder's lock, until the result is released or this process ends: nobody starts anew in
            it while it is read.
        progress: see `Progress`.
        options: passed to `encode_documents` (`top_k`, `batch_tokens`); part of the plan.

    Raises:
        DatasetError: bad input anywhere in the corpus, before anything is encoded.
        EncoderMismatchError: the folder was begun with another encoder.
        InvalidInputError: the folder was begun with another corpus or other options, or is not a work folder.
        IndexLockedError: another process is encoding into the folder.
        StorageError: the disk refused; the finished shards stay.
    """
    folder = Path(folder)
    measure(corpus, encoder)
    plan = EncodingPlan.of(corpus.survey(progress), encoder, options, shard_docs)
    lock = locked_folder(folder)
    try:
        refuse_busy_shards(folder)
        keep = shard_docs is None
        plan = agreed_plan(folder, plan, keep_shard_docs=keep, restart=restart, alone=True)
        counts = _encode(folder, plan, corpus, encoder, progress)
    except BaseException:
        remove_remains(folder)
        lock.release()
        tell_what_stays(folder)
        raise
    report(counts, plan)
    encoded = EncodedCorpus(folder, plan, counts, lock)
    if not hold:
        encoded.release()
    return encoded


def _encode(
    folder: Path, plan: EncodingPlan, corpus: Corpus, encoder: DocumentEncoder, progress: Progress
) -> EncodedCounts:
    finished = [Shard(folder, number, plan).counts() for number in range(plan.n_shards)]
    n_finished = sum(counts is not None for counts in finished)
    digest, total = CorpusDigest(), EncodedCounts()
    # the last shard is shorter, hence min
    done = min(n_finished * plan.shard_docs, plan.n_docs)
    if done:
        logger.info("%s of %s documents were encoded before", f"{done:,}", f"{plan.n_docs:,}")
    with ProgressBar(progress, plan.n_docs, label="encode", unit="doc", done=done) as bar:
        for number, documents in cut(corpus, plan.shard_docs, digest):
            if number >= plan.n_shards:
                continue  # the corpus has grown: the digest tells
            counts = finished[number]
            if counts is None:
                step = Steps(bar, len(documents))
                vectors, counts = encoded_texts(encoder, documents, plan.options, step)
                Shard(folder, number, plan).write(documents, vectors, counts)
                step.finish()
            total += counts
    checked_digest(folder, plan, digest)
    return total


def checked_digest(folder: Path, plan: EncodingPlan, digest: CorpusDigest) -> None:
    """Check that what was read while encoding is what the plan was made of.

    Raises:
        InvalidInputError: it is not.
    """
    found = digest.summary()
    if (found.digest, found.n_docs) != (plan.digest, plan.n_docs):
        raise InvalidInputError(f"{folder}: the corpus changed while it was being encoded; run it again")


class Steps:
    """Moves the bar of the corpus while one shard is encoded: the first takes long, and it lives."""

    def __init__(self, bar: ProgressBar, n_docs: int) -> None:
        self._bar, self._n_docs = bar, n_docs
        self._done = 0
        bar.note("preparing", now=True)  # the model is loaded, or texts are tokenised: seconds

    def __call__(self, done: int, total: int | None) -> None:
        """As a `Progress`: so many of the shard's texts, or windows of them, are encoded."""
        done = self._n_docs * done // max(total or 1, 1)
        if done > self._done:
            self._bar.note("")
            self._bar.advance(done - self._done)
            self._done = done

    def finish(self) -> None:
        """The shard is written."""
        self(1, 1)


def encoded_texts(
    encoder: DocumentEncoder,
    documents: list[Document],
    options: Mapping[str, Any],
    progress: Progress = False,
) -> tuple[SparseVectors, EncodedCounts]:
    """The vectors of a shard's documents, and what was counted on the way."""
    texts = [document.indexed_text for document in documents]
    encode_counted = getattr(encoder, "encode_counted", None)
    if encode_counted is None:
        vectors = encoder.encode_documents(texts, **options)
        truncated, unknown = 0, (vectors.row_nnz == 0).nonzero()[0]
    else:
        result = encode_counted(texts, progress=progress, **options)
        vectors, truncated, unknown = result.vectors, result.truncated, result.unknown
    ids = [documents[int(row)].id for row in unknown if texts[int(row)]]
    counts = EncodedCounts(truncated, tuple(ids[:3]), len(ids))
    return vectors, counts if not truncated else replace(counts, **_lost(encoder, documents))


def _lost(encoder: DocumentEncoder, documents: list[Document]) -> dict[str, Any]:
    """Which documents are longer than the encoder reads, and how many of their tokens it does not."""
    starts, room = getattr(encoder, "token_starts", None), getattr(encoder, "room", None)
    if starts is None or room is None:
        return {}
    beyond = [(document.id, len(starts(document.indexed_text)) - room) for document in documents]
    cut = [(id, tokens) for id, tokens in beyond if tokens > 0]
    return {"cut": tuple(id for id, _ in cut[:3]), "lost_tokens": sum(tokens for _, tokens in cut)}


def cut(corpus: Corpus, shard_docs: int, digest: CorpusDigest) -> Iterator[tuple[int, list[Document]]]:
    """(number, documents) of each shard; `digest` takes every document in."""
    number, held = 0, []
    for document in corpus:
        digest.update(document)
        held.append(document)
        if len(held) == shard_docs:
            yield number, held
            number, held = number + 1, []
    if held:
        yield number, held


def report(counts: EncodedCounts, plan: EncodingPlan) -> None:
    """One warning about each thing that a reader would want to know."""
    if counts.truncated:
        limit = plan.encoder.get("max_length")
        some = ", ".join(map(repr, counts.cut)) + (", ..." if counts.truncated > 3 and counts.cut else "")
        lost = f"; {counts.lost_tokens:,} tokens are not searched" if counts.lost_tokens else ""
        logger.warning(
            "%s longer than %s tokens (max_length) and cut there%s%s; --passages, or "
            "passages=, cuts documents into passages that are read whole",
            "1 text was" if counts.truncated == 1 else f"{counts.truncated} texts were",
            limit,
            f" ({some})" if some else "",
            lost,
        )
    if counts.n_unknown:
        some = ", ".join(map(repr, counts.unknown)) + (", ..." if counts.n_unknown > 3 else "")
        logger.warning(
            "%s no token that the encoder knows (%s): kept, but not found by their words",
            "1 document holds" if counts.n_unknown == 1 else f"{counts.n_unknown} documents hold",
            some,
        )
