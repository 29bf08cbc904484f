"""`SparseVectors` on disk, in our own format and in those of the field.

| suffix           | layout                                                                                |
|------------------|---------------------------------------------------------------------------------------|
| .arrow, .parquet | ours: columns id (string), terms (list<int32>), weights (list<float32>)               |
| .jsonl[.gz]      | {"id", "vector": {token: weight}}: Seismic (real weights) or Anserini (whole, x 100)  |
| .csr             | BigANN: int64 rows, columns, nnz; int64 indptr; int32 indices; float32 data; no ids   |

Anserini's JsonVectorCollection stores weights times 100, rounded; a weight below 0.005 is lost there.
Sources: Anserini's JsonVectorCollection, Seismic's jsonl input, big-ann-benchmarks' sparse track.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.files import atomic_file
from splade_engine.vectors.sparse_vectors import SparseVectors

Format = Literal["arrow", "parquet", "seismic", "anserini", "csr"]

ANSERINI_SCALE = 100.0
_N_TERMS_KEY = b"splade_engine.n_terms"
_SUFFIXES: dict[str, Format] = {".arrow": "arrow", ".parquet": "parquet", ".jsonl": "seismic", ".csr": "csr"}


@dataclass(frozen=True)
class VectorFile:
    """What a vector file holds: `ids[i]` names row i (None where the format has no ids)."""

    vectors: SparseVectors
    ids: list[str] | None
    vocabulary: list[str] | None = None


def write_vectors(
    path: str | Path,
    vectors: SparseVectors,
    ids: Sequence[str] | None = None,
    vocabulary: Sequence[str] | None = None,
    *,
    format: Format | None = None,
) -> None:
    """Write a batch atomically, in the format of the path's suffix unless `format` says otherwise.

    Args:
        path: the file to write or replace.
        vectors: the batch.
        ids: one string per row; default "0", "1", ...
        vocabulary: token of each term id; the JSONL formats need it.
        format: overrides the suffix ("anserini" for .jsonl files of whole numbers).

    Raises:
        InvalidInputError: wrong number of ids, no vocabulary for JSONL, unknown suffix.
        StorageError: the disk refused.
    """
    path = Path(path)
    kind = format or format_of(path)
    names = [str(i) for i in range(len(vectors))] if ids is None else list(ids)
    if len(names) != len(vectors):
        raise InvalidInputError(f"{path}: {len(names)} ids for {len(vectors)} vectors")
    if kind in ("seismic", "anserini") and vocabulary is None:
        raise InvalidInputError(f"{path}: the {kind} format names tokens, so it needs the vocabulary")
    with atomic_file(path) as file:
        if kind in ("arrow", "parquet"):
            _write_table(file, vectors, names, kind)
        elif kind == "csr":
            np.array([len(vectors), vectors.n_terms, vectors.nnz], "<i8").tofile(file)
            for array, dtype in ((vectors.indptr, "<i8"), (vectors.terms, "<i4"), (vectors.weights, "<f4")):
                array.astype(dtype, copy=False).tofile(file)
        else:
            assert vocabulary is not None
            _write_jsonl(file, vectors, names, vocabulary, kind, compress=path.suffix == ".gz")


def read_vectors(
    path: str | Path, vocabulary: Sequence[str] | None = None, *, format: Format | None = None
) -> VectorFile:
    """Read a batch; everything in it is validated.

    Args:
        path: the file.
        vocabulary: token of each term id, for JSONL files; without it the vocabulary is made of the tokens
            that occur, sorted, and comes back in the result.
        format: overrides the suffix ("anserini" for .jsonl files of whole numbers).

    Raises:
        InvalidInputError: naming the file and the line or row of what is wrong.
        StorageError: the file cannot be opened.
    """
    path = Path(path)
    kind = format or format_of(path)
    with _reading(path):
        if kind in ("arrow", "parquet"):
            return _read_table(path, kind)
        if kind == "csr":
            return VectorFile(_read_csr(path), None)
        return _read_jsonl(path, vocabulary, ANSERINI_SCALE if kind == "anserini" else 1.0)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Put the file's name into whatever goes wrong while it is read."""
    try:
        yield
    except InvalidInputError as error:
        text = str(error)
        raise InvalidInputError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InvalidInputError(f"{path}: the gzip stream is damaged or cut short") from None
    except OSError as error:
        raise StorageError(error.errno, f"cannot read {path}: {error.strerror or error}") from error


def format_of(path: Path) -> Format:
    """The format of a file by its suffix.

    Raises:
        InvalidInputError: for an unknown one.
    """
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix not in _SUFFIXES or (path.suffix == ".gz" and suffix != ".jsonl"):
        known = ", ".join(_SUFFIXES)
        raise InvalidInputError(
            f"{path}: unknown vector file type {path.suffix!r}; one of {known}, .jsonl.gz"
        )
    return _SUFFIXES[suffix]


# ---- Arrow ----------------------------------------------------------------------------------------------


def _write_table(file: IO[bytes], vectors: SparseVectors, ids: list[str], kind: Format) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.array(ids, pa.large_string()),
        "terms": pa.LargeListArray.from_arrays(vectors.indptr, pa.array(vectors.terms)),
        "weights": pa.LargeListArray.from_arrays(vectors.indptr, pa.array(vectors.weights)),
    }
    table = pa.table(columns).replace_schema_metadata({_N_TERMS_KEY: str(vectors.n_terms)})
    if kind == "parquet":
        pq.write_table(table, file, compression="zstd")
    else:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def _read_table(path: Path, kind: Format) -> VectorFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            table = pq.read_table(file) if kind == "parquet" else pa.ipc.open_file(file).read_all()
        # Arrow trusts its files: 4 % of single-bit flips crash a reader that does not validate
        table.validate(full=True)
        n_terms = int((table.schema.metadata or {})[_N_TERMS_KEY])
        ids = table["id"].combine_chunks().to_pylist()
        terms, weights = (table[name].combine_chunks() for name in ("terms", "weights"))
    except (pa.ArrowException, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInputError(f"{path}: not a vector file of splade-engine ({reason})") from None
    for name, column in (("id", table["id"]), ("terms", terms), ("weights", weights)):
        if column.null_count:
            raise InvalidInputError(f"{path}: column {name} has an empty cell")
    offsets = np.asarray(terms.offsets, dtype=np.int64)
    if not np.array_equal(offsets, np.asarray(weights.offsets, dtype=np.int64)):
        raise InvalidInputError(f"{path}: columns terms and weights differ in length")
    ptr = offsets - offsets[0]
    return VectorFile(SparseVectors(ptr, _flat(terms), _flat(weights), n_terms), ids)


def _flat(column: Any) -> Any:
    return column.flatten().to_numpy(zero_copy_only=False)


# ---- BigANN ---------------------------------------------------------------------------------------------


def _read_csr(path: Path) -> SparseVectors:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = np.fromfile(file, "<i8", 3)
        if len(header) < 3 or header.min() < 0:
            raise InvalidInputError(f"{path}: no header of three counts")
        rows, n_terms, nnz = (int(x) for x in header)
        expected = 24 + 8 * (rows + 1) + 8 * nnz
        if size != expected:
            raise InvalidInputError(f"{path}: {size} bytes, but its header announces {expected}")
        ptr = np.fromfile(file, "<i8", rows + 1)
        terms = np.fromfile(file, "<i4", nnz)
        weights = np.fromfile(file, "<f4", nnz)
    return SparseVectors(ptr, terms, weights, n_terms)


# ---- JSON lines -----------------------------------------------------------------------------------------


def _write_jsonl(
    file: IO[bytes],
    vectors: SparseVectors,
    ids: list[str],
    vocabulary: Sequence[str],
    kind: Format,
    *,
    compress: bool,
) -> None:
    # mtime=0: the same vectors give the same bytes
    out: IO[bytes] = gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if compress else file  # type: ignore[assignment]
    for name, row in zip(ids, vectors.to_token_dicts(vocabulary), strict=True):
        if kind == "anserini":
            whole = {token: round(weight * ANSERINI_SCALE) for token, weight in row.items()}
            record = {"id": name, "content": "", "vector": {t: w for t, w in whole.items() if w}}
        else:
            record = {"id": name, "vector": {t: float(f"{w:.9g}") for t, w in row.items()}}
        out.write(json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n")
    if compress:
        out.close()


def _read_jsonl(path: Path, vocabulary: Sequence[str] | None, scale: float) -> VectorFile:
    ids: list[str] = []
    rows: list[dict[str, float]] = []
    for number, line in _lines(path):
        name, row = _parsed(path, number, line)
        ids.append(name)
        rows.append({token: weight / scale for token, weight in row.items()} if scale != 1 else row)
    tokens = list(vocabulary) if vocabulary is not None else sorted({token for row in rows for token in row})
    if not tokens:
        raise InvalidInputError(f"{path}: no vectors, and no vocabulary given")
    return VectorFile(SparseVectors.from_token_dicts(rows, tokens), ids, tokens)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _parsed(path: Path, number: int, line: bytes) -> tuple[str, dict[str, float]]:
    place = f"{path}, line {number}"
    try:
        record = json.loads(line.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError:
        raise InvalidInputError(f"{place}: not UTF-8") from None
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"{place}: not JSON ({error.msg}, column {error.colno})") from None
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("vector"), dict):
        raise InvalidInputError(f'{place}: expected an object with "id" and "vector"')
    name = record.get("id")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)  # Seismic's own writer stores integer ids
    if not isinstance(name, str):
        raise InvalidInputError(f"{place}: id {name!r} is not a string")
    for token, weight in record["vector"].items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise InvalidInputError(f"{place}: token {token!r} has the weight {weight!r}")
    return name, record["vector"]


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        again = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidInputError(f"{again!r} occurs twice")
    return out
