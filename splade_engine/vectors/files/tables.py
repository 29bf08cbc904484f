"""Our own layouts: Arrow and Parquet, one row per vector, with a checksum of all that the file says."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from splade_engine.errors import InvalidInputError, reason_of
from splade_engine.files import check_one_table, digest, digest_of_json, parsed_json
from splade_engine.plain_text import shortened
from splade_engine.vectors.files.vector_file import NO_CHECKSUM, VectorFile
from splade_engine.vectors.sparse_vectors import SparseVectors

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

_KEY = b"splade_engine"
_N_TERMS_KEY = b"splade_engine.n_terms"  # what earlier releases wrote, and others may


def write_arrow(file: IO[bytes], content: VectorFile) -> None:
    """Write the file format of Arrow IPC."""
    import pyarrow as pa

    table = _table(content)
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def write_parquet(file: IO[bytes], content: VectorFile) -> None:
    """Write Parquet, compressed with zstd."""
    import pyarrow.parquet as pq

    pq.write_table(_table(content), file, compression="zstd")


def read_arrow(path: Path, vocabulary: Sequence[str] | None = None) -> VectorFile:
    """Read an Arrow file; it numbers its terms, so that no vocabulary is needed."""
    import pyarrow as pa

    return _read(path, lambda file: pa.ipc.open_file(file).read_all())


def read_parquet(path: Path, vocabulary: Sequence[str] | None = None) -> VectorFile:
    """Read a Parquet file; it numbers its terms, so that no vocabulary is needed."""
    import pyarrow.parquet as pq

    return _read(path, pq.read_table)


def _table(content: VectorFile) -> pa.Table:
    import pyarrow as pa

    vectors, ids = content.vectors, content.ids or []
    columns = {
        "id": pa.array(ids, pa.large_string()),
        "terms": pa.LargeListArray.from_arrays(vectors.indptr, pa.array(vectors.terms)),
        "weights": pa.LargeListArray.from_arrays(vectors.indptr, pa.array(vectors.weights)),
    }
    record: dict[str, Any] = {"n_terms": vectors.n_terms, "encoder": content.encoder}
    record["checksum"] = _checksum(vectors, ids, content.encoder)
    return pa.table(columns).replace_schema_metadata({_KEY: json.dumps(record)})


def _checksum(vectors: SparseVectors, ids: Sequence[str], encoder: Any) -> str:
    """Of everything that a file says: its ids, its vectors, and what made them."""
    names = json.dumps(list(ids)).encode()
    arrays = [
        digest(np.ascontiguousarray(array, dtype))
        for array, dtype in ((vectors.indptr, "<i8"), (vectors.terms, "<i4"), (vectors.weights, "<f4"))
    ]
    return digest_of_json([vectors.n_terms, digest(names), *arrays, encoder])


def _read(path: Path, open_table: Callable[[pa.NativeFile], pa.Table]) -> VectorFile:
    import pyarrow as pa

    try:
        # Python's file only says why it cannot be opened. Arrow's threads would let go of its buffers when
        # they like, and one that does so while the interpreter ends aborts the process
        with path.open("rb"), pa.OSFile(os.fsencode(path)) as file:
            table = open_table(file)
        check_one_table(path)
        # Arrow trusts its files: 4 % of single-bit flips crash a reader that does not validate
        table.validate(full=True)
        record = _record(table.schema.metadata or {})
        n_terms = int(record["n_terms"])
        columns = {name: table[name].combine_chunks() for name in ("id", "terms", "weights")}
    except InvalidInputError:
        raise
    except (pa.ArrowException, KeyError, ValueError, OverflowError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk: Arrow's own have no number
            raise
        reason = shortened(reason_of(error), 200)
        raise InvalidInputError(f"{path}: not a vector file of splade-engine ({reason})") from None
    for name, column in columns.items():
        if (wanted := _wrong_type(name, column.type)) is not None:
            raise InvalidInputError(f"{path}: column {name} must hold {wanted}, it holds {column.type}")
        if column.null_count or (name != "id" and column.flatten().null_count):
            raise InvalidInputError(f"{path}: column {name} has an empty cell")
    ids, terms, weights = columns["id"].to_pylist(), columns["terms"], columns["weights"]
    offsets = np.asarray(terms.offsets, dtype=np.int64)
    if not np.array_equal(offsets, np.asarray(weights.offsets, dtype=np.int64)):
        raise InvalidInputError(f"{path}: columns terms and weights differ in length")
    vectors = SparseVectors.adopt(offsets - offsets[0], _flat(terms), _flat(weights), n_terms)
    checksum, encoder = record.get("checksum"), record.get("encoder")
    if checksum is None:
        logger.info("%s: %s", path, NO_CHECKSUM)
    elif checksum != _checksum(vectors, ids, encoder):
        raise InvalidInputError(f"{path}: damaged: its vectors, ids or encoder do not match its checksum")
    return VectorFile(vectors, ids, encoder=encoder)


def _wrong_type(name: str, kind: Any) -> str | None:
    """What the column has to hold instead; None where it does."""
    import pyarrow.types as t

    if name == "id":
        text = kind.value_type if t.is_dictionary(kind) else kind
        return None if t.is_string(text) or t.is_large_string(text) else "text"
    listed = t.is_list(kind) or t.is_large_list(kind)
    if name == "terms":
        return None if listed and t.is_integer(kind.value_type) else "lists of whole numbers"
    is_number = listed and (t.is_floating(kind.value_type) or t.is_integer(kind.value_type))
    return None if is_number else "lists of numbers"


def _record(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What the schema says of the vectors: n_terms, and in our own files their checksum and encoder.

    Raises:
        KeyError: if it says nothing.
        ValueError: if it cannot be read.
    """
    if _KEY not in metadata:
        return {"n_terms": metadata[_N_TERMS_KEY]}
    try:
        record = parsed_json(metadata[_KEY])
    except RecursionError:
        raise ValueError("its record is nested too deeply") from None
    if not isinstance(record, dict) or set(record) != {"n_terms", "encoder", "checksum"}:
        raise ValueError("its record is incomplete")
    if not isinstance(record["n_terms"], int) or not isinstance(record["checksum"], str):
        raise ValueError("its record is incomplete")
    return record


def _flat(column: Any) -> Any:
    return column.flatten().to_numpy(zero_copy_only=False)
