"""`encode_corpus`: a corpus into a work folder, shard by shard, or the rest of what an earlier call began.

A work folder holds `plan.json` (see `EncodingPlan`), the finished shards (see `Shard`) and `lock`. A folder
begun with another encoder, corpus or options is refused as long as a finished shard is in it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from splade_engine.collections.corpus import Corpus, CorpusDigest
from splade_engine.engine.encoding.plan import EncodingPlan
from splade_engine.engine.encoding.shard import EncodedCounts, Shard, remove_shards, shard_files
from splade_engine.errors import IndexLockedError, InvalidInputError, StorageError
from splade_engine.files import HeldLock, lock_holder, take_lock
from splade_engine.progress import Progress, ProgressBar
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.collections import Document
    from splade_engine.index import IndexBatch

logger = logging.getLogger(__name__)

_PLAN, _LOCK = "plan.json", "lock"


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
        self._shards = [Shard(folder, number) for number in range(plan.n_shards)]
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
    plan = EncodingPlan.of(corpus.survey(), encoder, options, shard_docs)
    lock = _locked_folder(folder)
    try:
        plan = _agreed_plan(folder, plan, keep_shard_docs=shard_docs is None, restart=restart)
        counts = _encode(folder, plan, corpus, encoder, progress)
    except BaseException:
        _remove_remains(folder)
        lock.release()
        raise
    _report(counts, plan)
    encoded = EncodedCorpus(folder, plan, counts, lock)
    if not hold:
        encoded.release()
    return encoded


def _encode(
    folder: Path, plan: EncodingPlan, corpus: Corpus, encoder: DocumentEncoder, progress: Progress
) -> EncodedCounts:
    finished = [Shard(folder, number).counts() for number in range(plan.n_shards)]
    n_finished = sum(counts is not None for counts in finished)
    if n_finished:
        logger.info("resuming: %d of %d shards are encoded", n_finished, len(finished))
    digest, total = CorpusDigest(), EncodedCounts()
    # the last shard is shorter, hence min
    done = min(n_finished * plan.shard_docs, plan.n_docs)
    with ProgressBar(progress, plan.n_docs, label="encode", unit="doc", done=done) as bar:
        for number, documents in _cut(corpus, plan.shard_docs, digest):
            if number >= plan.n_shards:
                continue  # the corpus has grown: the digest tells
            counts = finished[number]
            if counts is None:
                vectors, counts = _encoded(encoder, documents, plan.options)
                Shard(folder, number).write(documents, vectors, counts)
                bar.advance(len(documents))
            total += counts
    found = digest.summary()
    if (found.digest, found.n_docs) != (plan.digest, plan.n_docs):
        raise InvalidInputError(f"{folder}: the corpus changed while it was being encoded; run it again")
    return total


def _encoded(
    encoder: DocumentEncoder, documents: list[Document], options: Mapping[str, Any]
) -> tuple[SparseVectors, EncodedCounts]:
    texts = [document.indexed_text for document in documents]
    encode_counted = getattr(encoder, "encode_counted", None)
    if encode_counted is None:
        vectors = encoder.encode_documents(texts, **options)
        truncated, unknown = 0, (vectors.row_nnz == 0).nonzero()[0]
    else:
        result = encode_counted(texts, **options)
        vectors, truncated, unknown = result.vectors, result.truncated, result.unknown
    ids = [documents[int(row)].id for row in unknown if texts[int(row)]]
    return vectors, EncodedCounts(truncated, tuple(ids[:3]), len(ids))


def _cut(corpus: Corpus, shard_docs: int, digest: CorpusDigest) -> Iterator[tuple[int, list[Document]]]:
    number, held = 0, []
    for document in corpus:
        digest.update(document)
        held.append(document)
        if len(held) == shard_docs:
            yield number, held
            number, held = number + 1, []
    if held:
        yield number, held


def _report(counts: EncodedCounts, plan: EncodingPlan) -> None:
    """One warning for the corpus about each thing that a reader would want to know."""
    if counts.truncated:
        limit = plan.encoder.get("max_length")
        logger.warning(
            "%d texts were longer than %s tokens (max_length) and were cut there", counts.truncated, limit
        )
    if counts.n_unknown:
        some = ", ".join(map(repr, counts.unknown)) + (", ..." if counts.n_unknown > 3 else "")
        logger.warning(
            "%d documents hold no token that the encoder knows (%s): kept, but not found by their words",
            counts.n_unknown,
            some,
        )


# ---- the folder -----------------------------------------------------------------------------------------


def _locked_folder(folder: Path) -> HeldLock:
    while True:
        _make_folder(folder)
        try:
            lock = take_lock(folder / _LOCK)
        except StorageError:
            if folder.exists():
                raise
            continue  # another process was done with the folder, and removed it under us
        if lock is None:
            holder = lock_holder(folder / _LOCK)
            raise IndexLockedError(f"{folder}: another process is encoding into it (process {holder})")
        if (folder / _LOCK).exists():
            return lock
        lock.release()  # of a file that has no name any more: it keeps nobody out


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InvalidInputError(f"{folder}: is a file, a folder is needed") from None
    except OSError as error:
        raise StorageError(error.errno, f"cannot make {folder}: {error.strerror}") from error
    foreign = sorted(set(folder.iterdir()) - _ours(folder))
    if foreign and not (folder / _PLAN).exists():
        raise InvalidInputError(f"{folder}: holds other files ({foreign[0].name}); an empty folder is needed")


def _ours(folder: Path) -> set[Path]:
    # temporary files of a process that was killed are ours too
    return {folder / _LOCK, folder / _PLAN, *shard_files(folder), *folder.glob(".*.tmp")}


def _agreed_plan(folder: Path, plan: EncodingPlan, *, keep_shard_docs: bool, restart: bool) -> EncodingPlan:
    """The plan in the folder if it is the same work, else ours in an emptied folder, else an error."""
    for left_over in folder.glob(".*.tmp"):  # of a process that was killed: we hold the lock
        left_over.unlink(missing_ok=True)
    file = folder / _PLAN
    if file.exists():
        refusal = None
        try:
            begun = EncodingPlan.read(file)
            if keep_shard_docs:
                plan = replace(plan, shard_docs=begun.shard_docs)
            refusal = plan.refusal(folder, begun)
        except InvalidInputError as error:
            refusal = error
        if refusal is None:
            return plan
        if not restart and shard_files(folder):
            raise refusal
        logger.info("%s: starting anew (%s)", folder, refusal)
        file.unlink(missing_ok=True)
        remove_shards(folder)
    plan.write(file)
    return plan


def _remove_remains(folder: Path) -> None:
    """Remove a work folder in which no shard was finished: a corrected command starts without it."""
    if any(shard.name.startswith("shard-") for shard in shard_files(folder)):
        return
    if not set(folder.iterdir()) - _ours(folder):
        shutil.rmtree(folder, ignore_errors=True)
