"""`collection.json`: which indexes are searched as one, and the statistics over all of them.

The shards decide what is found; this file decides which shards there are, and is written atomically. Its
counts and document frequencies are those of the generations that it names: who serves queries can weigh them
without opening a shard. A reader whose shards have moved on since counts itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import flag, whole
from splade_engine.errors import (
    IndexCorruptError,
    IndexExistsError,
    IndexLockedError,
    IndexNotFoundError,
    IndexVersionError,
    InvalidInputError,
)
from splade_engine.files import digest_of_json, read_json, write_json
from splade_engine.index.disk.publish import LOCK, refuse_occupied
from splade_engine.locks import lock_holder, take_lock

if TYPE_CHECKING:
    from splade_engine.index.reader import IndexReader

COLLECTION = "collection.json"
FORMAT = 1
MAX_SHARDS = 4096
_MAX_BYTES = 1 << 28
_MOST_TERMS = 1 << 31
_FIELDS = {"format", "generation", "shards", "documents", "n_terms", "encoder", "document_frequencies"}


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A shard, as it was when the statistics were counted."""

    # relative to the collection's folder, or absolute
    path: str
    # see `IndexInfo.fingerprint`
    fingerprint: str
    generation: int
    # that are not deleted
    documents: int


@dataclass(frozen=True)
class CollectionRecord:
    """What `collection.json` holds."""

    # every change of the list of shards adds 1
    generation: int
    shards: tuple[ShardRecord, ...]
    n_terms: int
    encoder: Mapping[str, str | int] | None
    # int64[n_terms], over all shards
    document_frequencies: NDArray[np.int64]

    @classmethod
    def of(cls, folder: Path, readers: Sequence[IndexReader], generation: int) -> CollectionRecord:
        """The record of these shards as they are now."""
        return cls(
            generation=generation,
            shards=tuple(
                ShardRecord(
                    path=_stored_path(folder, reader.path),
                    fingerprint=reader.snapshot.fingerprint,
                    generation=reader.generation,
                    documents=len(reader),
                )
                for reader in readers
            ),
            n_terms=readers[0].n_terms,
            encoder=readers[0].encoder,
            document_frequencies=np.sum([r.document_frequencies() for r in readers], axis=0, dtype=np.int64),
        )

    @property
    def n_docs(self) -> int:
        """Documents in all shards, as counted."""
        return sum(shard.documents for shard in self.shards)

    def paths(self, folder: Path) -> list[Path]:
        """The folders of the shards."""
        return [folder / shard.path for shard in self.shards]

    def is_of(self, readers: Sequence[IndexReader]) -> bool:
        """Whether these are the generations that were counted."""
        return [s.fingerprint for s in self.shards] == [r.snapshot.fingerprint for r in readers]

    @classmethod
    def read(cls, folder: Path) -> CollectionRecord:
        """The record in a folder.

        Raises:
            IndexNotFoundError: there is none.
            IndexVersionError: of another version.
            IndexCorruptError: it does not hold.
            StorageError: the disk refuses.
        """
        file = folder / COLLECTION
        if not os.path.lexists(file):
            raise IndexNotFoundError(f"{folder}: no collection here ({COLLECTION} is missing)")
        try:
            record = read_json(file, most=_MAX_BYTES)
        except InvalidInputError as error:
            raise IndexCorruptError(str(error)) from None
        try:
            found = record.pop("digest")
            if record["format"] != FORMAT:
                raise IndexVersionError(f"{file}: format {record['format']!a:.20} is not read here")
            if set(record) != _FIELDS or found != digest_of_json(record):
                raise ValueError
            made = _checked(record)
        except IndexVersionError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, InvalidInputError):
            raise IndexCorruptError(f"{file}: damaged: it does not match its checksum") from None
        return made

    def write(self, folder: Path) -> None:
        """Put it in the place of the one in the folder.

        Raises:
            StorageError: the disk refuses; the one before stays.
        """
        record = {
            "format": FORMAT,
            "generation": self.generation,
            "shards": [asdict(shard) for shard in self.shards],
            "documents": self.n_docs,
            "n_terms": self.n_terms,
            "encoder": None if self.encoder is None else dict(self.encoder),
            "document_frequencies": self.document_frequencies.tolist(),
        }
        write_json(folder / COLLECTION, {**record, "digest": digest_of_json(record)}, indent=None)


def is_collection(folder: Path) -> bool:
    """Whether the folder holds a collection."""
    return os.path.lexists(folder / COLLECTION)


def replaced_collection(folder: Path, shards: Sequence[Path], overwrite: bool) -> CollectionRecord | None:
    """The collection that is there and may be replaced; None where there is nothing but the shards.

    Raises:
        IndexExistsError: something is there that may not be replaced.
    """
    if is_collection(folder):
        if not flag("overwrite", overwrite):
            raise IndexExistsError(
                f"{folder}: exists already and holds a collection; choose another, or overwrite it"
            )
        return CollectionRecord.read(folder)
    inside = {shard.resolve() for shard in shards}
    if not folder.is_dir() or any(
        path.name != LOCK and path.resolve() not in inside for path in folder.iterdir()
    ):
        refuse_occupied(folder, overwrite=False)
    return None


@contextmanager
def collection_lock(folder: Path) -> Iterator[None]:
    """Held by whoever changes shards through the collection.

    Raises:
        IndexLockedError: another process holds it.
    """
    lock = take_lock(folder / LOCK)
    if lock is None:
        holder = lock_holder(folder / LOCK)
        raise IndexLockedError(
            f"{folder}: process {holder} is writing this collection; try again when it is done"
        )
    with lock:
        yield


def _checked(record: dict[str, Any]) -> CollectionRecord:
    """The record, every value looked at: whoever can write the file can write its digest.

    Raises:
        KeyError, TypeError, ValueError: a value that cannot be.
    """
    shards = tuple(ShardRecord(**shard) for shard in record["shards"])
    n_terms, n_docs, encoder = record["n_terms"], record["documents"], record["encoder"]
    for count in (n_docs, *(s.documents for s in shards), *(s.generation for s in shards)):
        whole("count", count)
    whole("generation", record["generation"], 1)
    whole("n_terms", n_terms, 1, _MOST_TERMS)
    texts = [text for shard in shards for text in (shard.path, shard.fingerprint)]
    texts += [] if encoder is None else [*encoder]
    if not all(isinstance(text, str) and text and "\0" not in text for text in texts):
        raise ValueError
    if encoder is not None and not all(isinstance(value, str | int) for value in encoder.values()):
        raise ValueError
    if not 0 < len(shards) <= MAX_SHARDS or sum(shard.documents for shard in shards) != n_docs:
        raise ValueError
    found = record["document_frequencies"]
    if not isinstance(found, list) or not all(type(count) is int for count in found):
        raise ValueError
    frequencies = np.array(found, np.int64)
    if frequencies.shape != (n_terms,) or frequencies.min() < 0 or frequencies.max() > n_docs:
        raise ValueError
    encoder = None if encoder is None else dict(encoder)
    return CollectionRecord(record["generation"], shards, n_terms, encoder, frequencies)


def _stored_path(folder: Path, shard: Path) -> str:
    """Relative where the two lie in one folder, so that both can be moved together."""
    base, target = folder.absolute(), shard.absolute()
    if target.is_relative_to(base.parent):
        return Path(os.path.relpath(target, base)).as_posix()
    return str(target)
