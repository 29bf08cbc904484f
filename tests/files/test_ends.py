"""Files that were put one behind the other lose nothing: they are read whole, or refused."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from splade_engine.collections import read_documents
from splade_engine.encoder.folders.torch_file import read_torch_file
from splade_engine.errors import InvalidInputError
from splade_engine.exchange import import_vectors
from splade_engine.files import check_one_table
from splade_engine.vectors import read_vectors, write_vectors
from tests.index import made

Write = Callable[[Path, pa.Table], None]


def parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)


def indexed_parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, write_page_index=True, compression=None)


def arrow_file(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def arrow_stream(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def gzipped(path: Path, table: pa.Table) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode()))


def zstandard(path: Path, table: pa.Table) -> None:
    with pa.output_stream(str(path), compression="zstd") as out:
        out.write("".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode())


def documents(name: str, count: int) -> pa.Table:
    return pa.table({"id": [f"{name}{i}" for i in range(count)], "text": ["moon"] * count})


def joined(path: Path, *parts: Path, tail: bytes = b"") -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts) + tail)
    return path


@pytest.mark.parametrize(
    ("write", "suffix"),
    [(parquet, "parquet"), (indexed_parquet, "parquet"), (arrow_file, "arrow")],
)
def test_of_two_tables_none_is_forgotten(write: Write, suffix: str, tmp_path: Path) -> None:
    """`cat a b`, of equal sizes, gave the documents of `a` and exit 0."""
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    write(first, documents("a", 5))
    for count in (5, 3, 500):
        write(second, documents("b", count))
        both = joined(tmp_path / f"both.{suffix}", first, second)
        with pytest.raises(InvalidInputError) as refused:
            list(read_documents(both))
        assert len(str(refused.value).splitlines()) == 1
    assert len(list(read_documents(first))) == 5


@pytest.mark.parametrize(
    ("write", "suffix"), [(arrow_stream, "arrow"), (gzipped, "jsonl.gz"), (zstandard, "jsonl.zst")]
)
def test_of_two_streams_both_are_read(write: Write, suffix: str, tmp_path: Path) -> None:
    """A reader of Arrow streams stopped at the end of the first."""
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    write(first, documents("a", 5))
    write(second, documents("b", 3))
    both = joined(tmp_path / f"both.{suffix}", first, second)
    assert [d.id for d in read_documents(both)] == ["a0", "a1", "a2", "a3", "a4", "b0", "b1", "b2"]
    with pytest.raises(InvalidInputError):
        list(read_documents(joined(both, first, tail=b"something else\n")))


@pytest.mark.parametrize("suffix", ["arrow", "parquet", "csr"])
def test_two_files_of_the_same_vectors_are_not_read_as_one(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"v.{suffix}"
    write_vectors(path, made.vectors(1, 5, 30))
    assert len(read_vectors(path).vectors) == 5
    with pytest.raises(InvalidInputError):
        read_vectors(joined(tmp_path / f"w.{suffix}", path, path))


def test_a_zip_begins_and_ends_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    eye = np.eye(3, dtype=np.float32)
    np.savez(path, data=eye.diagonal(), indices=[0, 1, 2], indptr=[0, 1, 2, 3], shape=[3, 3])
    assert len(import_vectors(path).vectors) == 3
    for tail, parts in ((b"", (path, path)), (b"\0" * 100, (path,)), (b"more", (path,))):
        with pytest.raises(InvalidInputError, match="several files one behind the other"):
            import_vectors(joined(tmp_path / "b.npz", *parts, tail=tail))
    weights = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(weights, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    assert read_torch_file(weights) == {}
    with pytest.raises(InvalidInputError, match="several files one behind the other"):
        read_torch_file(joined(tmp_path / "two.bin", weights, weights))


def test_a_seam_is_seen_wherever_blocks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    parquet(path, documents("a", 5))
    both = joined(tmp_path / "b.parquet", path, path)
    for block in (1, 7, 10, 11, 64):
        monkeypatch.setattr("splade_engine.files.ends._BLOCK", block)
        check_one_table(path)
        with pytest.raises(InvalidInputError):
            check_one_table(both)
    text = tmp_path / "text.parquet"
    parquet(text, pa.table({"id": ["1"], "text": ["files begin with PAR1PAR1 or ARROW1ARROW1"]}))
    assert [d.id for d in read_documents(text)] == ["1"], "what only looks like a seam is text"
