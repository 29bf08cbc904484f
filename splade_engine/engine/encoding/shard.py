"""`Shard`: a part of a corpus that is encoded and written at once.

`vectors-00007.arrow` and `documents-00007.arrow` hold it; `shard-00007.json`, written last, holds their
checksums, what was counted, and which shard of which plan it is. Every file appears whole or not at all. A
shard without its record, or whose files do not match it, is encoded again, and so is one of another plan.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.collections.fields import payload_table
from splade_engine.collections.metadata import metadata_json
from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.files import atomic_file, digest_of_file, digest_of_json, read_json, write_json
from splade_engine.vectors import SparseVectors, VectorFile, read_vectors
from splade_engine.vectors.files.formats import store_vectors

if TYPE_CHECKING:
    import pyarrow as pa

    from splade_engine.collections import Document
    from splade_engine.engine.encoding.plan import EncodingPlan
    from splade_engine.index import IndexBatch


@dataclass(frozen=True)
class EncodedCounts:
    """What a reader of the log wants to know of encoded texts."""

    # texts that were longer than the encoder's max_length, and were cut there
    truncated: int = 0
    # ids of the first few documents that have text, of which the encoder knows no token
    unknown: tuple[str, ...] = field(default=())
    # number of such documents
    n_unknown: int = 0
    # ids of the first few documents that were cut
    cut: tuple[str, ...] = field(default=())
    # tokens of them that were not read
    lost_tokens: int = 0

    def __add__(self, other: EncodedCounts) -> EncodedCounts:
        return EncodedCounts(
            self.truncated + other.truncated,
            (self.unknown + other.unknown)[:3],
            self.n_unknown + other.n_unknown,
            (self.cut + other.cut)[:3],
            self.lost_tokens + other.lost_tokens,
        )


class Shard:
    """Shard `number` of the work folder `folder`, under this plan."""

    def __init__(self, folder: Path, number: int, plan: EncodingPlan) -> None:
        self._part_of = [plan.name, plan.shard_docs, number]
        self.vectors_file = folder / f"vectors-{number:05d}.arrow"
        self.documents_file = folder / f"documents-{number:05d}.arrow"
        self.record_file = folder / f"shard-{number:05d}.json"

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """All that it consists of."""
        return self.vectors_file, self.documents_file, self.record_file

    def write(self, documents: Sequence[Document], vectors: SparseVectors, counts: EncodedCounts) -> None:
        """Write the documents and their vectors.

        Raises:
            StorageError: the disk refused.
        """
        store_vectors(self.vectors_file, VectorFile(vectors, [document.id for document in documents]))
        self._write_documents(documents)
        digests = {file.name: digest_of_file(file) for file in self.files[:2]}
        record = {"part_of": self._part_of, "files": digests, "counts": asdict(counts)}
        write_json(self.record_file, {**record, "digest": digest_of_json(record)}, indent=1)

    def counts(self) -> EncodedCounts | None:
        """What was counted when it was written; None where it is not there, damaged, or of another plan."""
        try:
            record = read_json(self.record_file)
            if record.pop("digest") != digest_of_json(record) or record["part_of"] != self._part_of:
                return None
            if any(digest_of_file(file) != record["files"][file.name] for file in self.files[:2]):
                return None
            counts = record["counts"]
            lists = {name: tuple(counts.get(name, ())) for name in ("unknown", "cut")}
            return EncodedCounts(**{**counts, **lists})
        except (OSError, InvalidInputError, KeyError, TypeError, AttributeError):
            return None

    def vectors(self) -> SparseVectors:
        """The vectors, one row per document."""
        return read_vectors(self.vectors_file).vectors

    def ids(self) -> list[str]:
        """The ids of the documents."""
        ids: list[str] = self._documents()["id"].to_pylist()
        return ids

    def batch(self, fields: dict[str, str]) -> IndexBatch:
        """Vectors, ids and payload.

        Args:
            fields: kind of each metadata field of the whole corpus.
        """
        from splade_engine.index import IndexBatch

        table = self._documents()
        metadata = table["metadata"].to_pylist() if fields else []
        payload = payload_table(table["title"], table["text"], metadata, fields)
        return IndexBatch(self.vectors(), table["id"].to_pylist(), payload)

    def _write_documents(self, documents: Sequence[Document]) -> None:
        import pyarrow as pa

        columns = {
            "id": [d.id for d in documents],
            "title": [d.title for d in documents],
            "text": [d.text for d in documents],
            "metadata": [metadata_json(d.metadata) for d in documents],
        }
        table = pa.table({name: pa.array(values, pa.large_string()) for name, values in columns.items()})
        with atomic_file(self.documents_file) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    def _documents(self) -> pa.Table:
        import pyarrow as pa

        with pa.memory_map(os.fsencode(self.documents_file)) as file:
            return pa.ipc.open_file(file).read_all()


def remove_shards(folder: Path) -> None:
    """Delete every shard of a work folder.

    Raises:
        StorageError: the disk refused.
    """
    for file in shard_files(folder):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(error.errno, f"cannot delete {file}: {error.strerror}") from error


def shard_files(folder: Path) -> list[Path]:
    """The files in a work folder that belong to shards."""
    patterns = ("vectors-*.arrow", "documents-*.arrow", "shard-*.json")
    return [file for pattern in patterns for file in folder.glob(pattern)]
