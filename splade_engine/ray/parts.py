"""The parts of a corpus that shards are built of: Parquet files of so many documents, and their plan.

`parts/` holds the files; `parts.json`, written last, names them with their checksums and says what they are
of. Whoever comes later takes them as they are, or is refused: a corpus that has changed makes other shards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from splade_engine.collections import Document
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.metadata import metadata_json
from splade_engine.errors import InvalidInputError
from splade_engine.files import atomic_folder, digest_of_file, read_json, write_json

if TYPE_CHECKING:
    import ray.data

_PARTS, _PLAN = "parts", "parts.json"
_METADATA = "_json"  # column of all other fields, where the parts were written from a corpus
_ROWS = 2048


@dataclass(frozen=True)
class PartFile:
    """The documents of one part, read whenever they are iterated over."""

    path: Path

    def __iter__(self) -> Iterator[Document]:
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_ROWS):
                for row in batch.to_pylist():
                    id, text, title = row.pop("id"), row.pop("text") or "", row.pop("title", None) or ""
                    rest = row.pop(_METADATA, None)
                    yield Document(id, text, title, json.loads(rest) if rest else row)


def planned_parts(
    work: Path, source: Corpus | ray.data.Dataset, shard_docs: int, id: str = "id", text: str = "text"
) -> list[Path]:
    """The files of the parts, written unless an earlier call has written them.

    Args:
        work: the folder that they lie in.
        source: a corpus, cut in its order; or a dataset with the columns `id`, `text`, perhaps `title`.
        shard_docs: documents of a part.
        id: name of the dataset's column of ids.
        text: name of the dataset's column of texts.

    Raises:
        InvalidInputError: the parts there are of another corpus or size, or damaged; there is no document.
    """
    of = {"shard_docs": shard_docs, "digest": source.survey().digest if isinstance(source, Corpus) else None}
    plan = work / _PLAN
    if plan.is_file():
        return _found(work, of)
    work.mkdir(parents=True, exist_ok=True)
    with atomic_folder(work / _PARTS, overwrite=True) as made:
        if isinstance(source, Corpus):
            _write_corpus(made, source, shard_docs)
        else:
            renamed = {old: new for old, new in ((id, "id"), (text, "text")) if old != new}
            named = source.rename_columns(renamed) if renamed else source
            named.write_parquet(str(made), min_rows_per_file=shard_docs, max_rows_per_file=shard_docs)
        for number, file in enumerate(sorted(made.glob("*.parquet"))):
            file.rename(made / f"part-{number:05d}.parquet")
    files = sorted((work / _PARTS).glob("part-*.parquet"))
    if not files:
        raise InvalidInputError("ray: the dataset has no rows")
    write_json(plan, {**of, "files": {file.name: digest_of_file(file) for file in files}})
    return files


def _found(work: Path, of: dict[str, Any]) -> list[Path]:
    listed = read_json(work / _PLAN)
    for name, value in of.items():
        if listed[name] != value:
            what = "corpus" if name == "digest" else f"{name} ({listed[name]}, now {value})"
            raise InvalidInputError(
                f"{work} was begun with another {what}; remove it and the shards to begin anew"
            )
    files = {work / _PARTS / name: digest for name, digest in listed["files"].items()}
    if any(not file.is_file() or digest_of_file(file) != digest for file, digest in files.items()):
        raise InvalidInputError(f"{work}: its parts are missing or damaged; remove it to begin anew")
    return list(files)


def _write_corpus(folder: Path, corpus: Corpus, shard_docs: int) -> None:
    schema = pa.schema([(name, pa.large_string()) for name in ("id", "title", "text", _METADATA)])
    writer, number, room = None, 0, 0
    held: list[dict[str, str]] = []

    def flush() -> None:
        if writer is not None and held:
            writer.write_table(pa.Table.from_pylist(held, schema=schema))
            held.clear()

    try:
        for document in corpus:
            if room == 0:
                flush()
                if writer is not None:
                    writer.close()
                writer = pq.ParquetWriter(folder / f"{number:05d}.parquet", schema, compression="zstd")
                number, room = number + 1, shard_docs
            metadata = metadata_json(document.metadata)
            row = {"id": document.id, "title": document.title, "text": document.text, _METADATA: metadata}
            held.append(row)
            room -= 1
            if len(held) == _ROWS:
                flush()
        flush()
    finally:
        if writer is not None:
            writer.close()
