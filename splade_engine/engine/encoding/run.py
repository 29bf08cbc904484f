"""Encoding a corpus in shards, so that an interruption costs one shard and not the night.

A work folder holds `plan.json` (which encoder, which corpus, which options, documents per shard) and for
each finished shard `vectors-00007.arrow`, `documents-00007.arrow` and, written last, `shard-00007.json` with
the checksums of the two. Every file appears whole or not at all. A shard without its record, or whose files
do not match it, is encoded again; the boundaries come from the plan, so a resumed encoding gives the same
bytes as an uninterrupted one. A folder begun with another encoder, corpus or options is refused.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tqdm.auto import tqdm
from xxhash import xxh3_128

from splade_engine.collections import Document
from splade_engine.collections.corpus import Corpus, CorpusDigest, CorpusSummary
from splade_engine.collections.metadata import metadata_json, payload_table
from splade_engine.engine.encoder_record import describe_difference, same_encoder
from splade_engine.errors import EncoderMismatchError, IndexLockedError, InvalidInputError, StorageError
from splade_engine.files import atomic_file
from splade_engine.vectors import SparseVectors
from splade_engine.vectors.files import read_vectors, write_vectors

if TYPE_CHECKING:
    import pyarrow as pa

    from splade_engine.index import IndexBatch

logger = logging.getLogger(__name__)

PLAN_FORMAT = 1
MIN_SHARD_DOCS = (
    256  # 6 s of encoding on two cores: what an interruption costs, and a step of the progress bar
)
MAX_SHARD_DOCS = 32768


class DocumentEncoder(Protocol):
    """The part of `SparseEncoder` that turns documents into vectors."""

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""

    @property
    def encode_documents(self) -> Callable[..., SparseVectors]:
        """Texts, and options by keyword, to one vector per text."""

    def fingerprint(self) -> dict[str, str | int]:
        """What makes two encoders give the same vectors."""


class EncodedCorpus:
    """A finished encoding: iterate over it for the vectors, shard by shard, as often as needed."""

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.folder = folder
        self.n_docs: int = plan["corpus"]["n_docs"]
        self.n_terms: int = plan["n_terms"]
        self.fields: dict[str, str] = plan["corpus"]["fields"]
        self.encoder: dict[str, str | int] = dict(plan["encoder"])
        self.n_shards = -(-self.n_docs // plan["shard_docs"])

    def __len__(self) -> int:
        return self.n_docs

    def __iter__(self) -> Iterator[SparseVectors]:
        for shard in range(self.n_shards):
            yield read_vectors(_vectors_file(self.folder, shard)).vectors

    def vectors(self) -> SparseVectors:
        """All vectors as one batch."""
        return SparseVectors.concat(list(self))

    def ids(self) -> list[str]:
        """The document ids in corpus order."""
        ids: list[str] = []
        for shard in range(self.n_shards):
            ids += _read_table(self.folder, shard)["id"].to_pylist()
        return ids

    def batches(self) -> Iterator[IndexBatch]:
        """Vectors, ids and payload of one shard after another: what `SparseIndex.build` takes."""
        from splade_engine.index import IndexBatch

        for shard in range(self.n_shards):
            table = _read_table(self.folder, shard)
            metadata = table["metadata"].to_pylist() if self.fields else []
            payload = payload_table(table["title"], table["text"], metadata, self.fields)
            vectors = read_vectors(_vectors_file(self.folder, shard)).vectors
            yield IndexBatch(vectors, table["id"].to_pylist(), payload)

    def remove(self) -> None:
        """Delete the work folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def encode_corpus(
    corpus: Corpus,
    encoder: DocumentEncoder,
    folder: str | Path,
    *,
    shard_docs: int | None = None,
    restart: bool = False,
    progress: bool = False,
    **options: Any,
) -> EncodedCorpus:
    """Encode every document into the work folder, or finish what an earlier call began there.

    Args:
        corpus: read twice, once to check all of it and once to encode it.
        encoder: turns texts into vectors.
        folder: made if it is missing.
        shard_docs: documents per shard; None: a 500th of the corpus, within [256, 32768].
        restart: where the folder was begun with another encoder or corpus, start anew instead of refusing.
        progress: show a bar on standard error (if that is a terminal).
        options: passed to `encode_documents` (`top_k`, `batch_tokens`); part of the plan.

    Raises:
        DatasetError: bad input anywhere in the corpus, before anything is encoded.
        EncoderMismatchError: the folder was begun with another encoder.
        InvalidInputError: the folder was begun with another corpus or other options, or is not a work folder.
        IndexLockedError: another process is encoding into the folder.
        StorageError: the disk refused; the finished shards stay.
    """
    folder = Path(folder)
    summary = corpus.survey()
    plan = _plan(summary, encoder, shard_docs, options)
    _make_folder(folder)
    with _locked(folder):
        plan = _agreed_plan(folder, plan, keep_shard_docs=shard_docs is None, restart=restart)
        encoded = EncodedCorpus(folder, plan)
        finished = [_is_finished(folder, shard) for shard in range(encoded.n_shards)]
        if any(finished):
            logger.info("resuming: %d of %d shards are encoded", sum(finished), len(finished))
        digest = CorpusDigest()
        # the last shard is shorter, hence min
        done = min(sum(finished) * plan["shard_docs"], summary.n_docs)
        hidden = None if progress else True
        bar = tqdm(total=summary.n_docs, initial=done, desc="encode", unit="doc", disable=hidden)
        with _truncation_counted(encoder), bar:
            for shard, documents in _shards(corpus, plan["shard_docs"], digest):
                if shard < len(finished) and not finished[shard]:
                    _encode_shard(folder, shard, documents, encoder, options)
                    bar.update(len(documents))
        if digest.summary() != summary:
            raise InvalidInputError(f"{folder}: the corpus changed while it was being encoded; run it again")
    return encoded


@contextmanager
def _truncation_counted(encoder: DocumentEncoder) -> Iterator[None]:
    """One warning for the corpus about texts that were cut, in the place of the encoder's one per shard."""
    from splade_engine.encoder import encoder as module

    level, before = module.logger.level, getattr(encoder, "truncated", 0)
    module.logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        module.logger.setLevel(level)
        cut = getattr(encoder, "truncated", 0) - before
        if cut:
            limit = encoder.fingerprint().get("max_length")
            logger.warning("%d texts were longer than %s tokens (max_length) and were cut there", cut, limit)


# ---- one shard ----------------------------------------------------------------------------------------


def _encode_shard(
    folder: Path, shard: int, documents: list[Document], encoder: DocumentEncoder, options: Mapping[str, Any]
) -> None:
    vectors = encoder.encode_documents([document.indexed_text for document in documents], **options)
    write_vectors(_vectors_file(folder, shard), vectors, [document.id for document in documents])
    _write_table(folder, shard, documents)
    files = (_vectors_file(folder, shard), _documents_file(folder, shard))
    record = {file.name: _checksum(file) for file in files}
    _write_json(_record_file(folder, shard), record)


def _shards(corpus: Corpus, shard_docs: int, digest: CorpusDigest) -> Iterator[tuple[int, list[Document]]]:
    shard, held = 0, []
    for document in corpus:
        digest.update(document)
        held.append(document)
        if len(held) == shard_docs:
            yield shard, held
            shard, held = shard + 1, []
    if held:
        yield shard, held


def _is_finished(folder: Path, shard: int) -> bool:
    try:
        record = json.loads(_record_file(folder, shard).read_bytes())
        files = (_vectors_file(folder, shard), _documents_file(folder, shard))
        return all(_checksum(file) == record[file.name] for file in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write_table(folder: Path, shard: int, documents: list[Document]) -> None:
    import pyarrow as pa

    columns = {
        "id": [d.id for d in documents],
        "title": [d.title for d in documents],
        "text": [d.text for d in documents],
        "metadata": [metadata_json(d.metadata) for d in documents],
    }
    table = pa.table({name: pa.array(values, pa.large_string()) for name, values in columns.items()})
    with atomic_file(_documents_file(folder, shard)) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read_table(folder: Path, shard: int) -> pa.Table:
    import pyarrow as pa

    with pa.memory_map(str(_documents_file(folder, shard))) as file:
        return pa.ipc.open_file(file).read_all()


def _vectors_file(folder: Path, shard: int) -> Path:
    return folder / f"vectors-{shard:05d}.arrow"


def _documents_file(folder: Path, shard: int) -> Path:
    return folder / f"documents-{shard:05d}.arrow"


def _record_file(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:05d}.json"


def _checksum(file: Path) -> str:
    digest = xxh3_128()
    with file.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


# ---- the plan -------------------------------------------------------------------------------------------


def _plan(
    summary: CorpusSummary, encoder: DocumentEncoder, shard_docs: int | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    if shard_docs is not None and shard_docs < 1:
        raise InvalidInputError(f"shard_docs must be at least 1, got {shard_docs}")
    size = shard_docs or min(max(summary.n_docs // 500, MIN_SHARD_DOCS), MAX_SHARD_DOCS)
    return {
        "format": PLAN_FORMAT,
        "n_terms": encoder.n_terms,
        "encoder": encoder.fingerprint(),
        "corpus": {"n_docs": summary.n_docs, "digest": summary.digest, "fields": summary.fields},
        "options": dict(options),
        "shard_docs": size,
    }


def _agreed_plan(
    folder: Path, plan: dict[str, Any], *, keep_shard_docs: bool, restart: bool
) -> dict[str, Any]:
    """The plan in the folder if it is the same work, else ours in an emptied folder, else an error."""
    for left_over in folder.glob(".*.tmp"):  # of a process that was killed: we hold the lock
        left_over.unlink(missing_ok=True)
    file = folder / "plan.json"
    if file.exists():
        try:
            begun = json.loads(file.read_bytes())
            if keep_shard_docs:
                plan = {**plan, "shard_docs": begun["shard_docs"]}
            refusal = _difference(folder, begun, plan)
        except (ValueError, KeyError, TypeError, AttributeError):
            refusal = InvalidInputError(f"{file}: not the plan of an encoding; remove the folder")
        if refusal is None:
            return plan
        if not restart:
            raise refusal
        logger.info("%s: starting anew (%s)", folder, refusal)
        for old in [file, *_shard_files(folder)]:
            old.unlink(missing_ok=True)
    _write_json(file, plan)
    return plan


def _difference(folder: Path, begun: dict[str, Any], plan: dict[str, Any]) -> InvalidInputError | None:
    advice = f"remove {folder} to start anew"
    if not same_encoder(begun["encoder"], plan["encoder"]):
        what = describe_difference(begun["encoder"], plan["encoder"])
        return EncoderMismatchError(f"{folder} was begun with another encoder ({what}); {advice}")
    for name in ("corpus", "options", "shard_docs", "n_terms", "format"):
        if begun[name] != plan[name]:
            what = f"{begun[name]!r}, now {plan[name]!r}"
            if name == "corpus":
                what = f"{begun[name]['n_docs']} documents, now {plan[name]['n_docs']}"
            return InvalidInputError(f"{folder} was begun with another {name} ({what}); {advice}")
    return None


def _shard_files(folder: Path) -> list[Path]:
    patterns = ("vectors-*.arrow", "documents-*.arrow", "shard-*.json")
    return [file for pattern in patterns for file in folder.glob(pattern)]


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    with atomic_file(file) as stream:
        stream.write(json.dumps(content, indent=1).encode() + b"\n")


# ---- the folder -----------------------------------------------------------------------------------------


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InvalidInputError(f"{folder}: is a file, a folder is needed") from None
    except OSError as error:
        raise StorageError(error.errno, f"cannot make {folder}: {error.strerror}") from error
    ours = {folder / "lock", folder / "plan.json", *_shard_files(folder)}
    ours |= set(folder.glob(".*.json.*.tmp"))  # of a process that was killed while it wrote the plan
    foreign = sorted(set(folder.iterdir()) - ours)
    if foreign and not (folder / "plan.json").exists():
        raise InvalidInputError(f"{folder}: holds other files ({foreign[0].name}); an empty folder is needed")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IndexLockedError(f"{folder}: another process is encoding into it") from None
        yield
    finally:
        os.close(descriptor)
