"""`SparseVectors` on disk, in our own format and in those of the field.

| suffix           | layout                                                                                |
|------------------|---------------------------------------------------------------------------------------|
| .arrow, .parquet | ours: columns id (string), terms (list<int32>), weights (list<float32>)               |
| .jsonl[.gz]      | {"id", "vector": {token: weight}}: Seismic (real weights) or Anserini (whole, x 100)  |
| .csr             | BigANN: int64 rows, columns, nnz; int64 indptr; int32 indices; float32 data; no ids   |

Our own layouts carry a checksum of the vectors and ids, and the fingerprint of the encoder that made them,
as JSON under the key `splade_engine` of the schema: a file that was damaged is refused, and so is another
encoder. The layouts of others have no place for either; the log says so when one is read (gzip's own checksum
covers .gz files). `splade_engine.n_terms`, a key with the number of terms alone, is read as well.

Anserini's JsonVectorCollection stores weights times 100, rounded; a weight below 0.005 is lost there.
Sources: Anserini's JsonVectorCollection, Seismic's jsonl input, big-ann-benchmarks' sparse track.
"""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from splade_engine.arguments import check_many
from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.files import atomic_file, digest, digest_of_json
from splade_engine.plain_text import shortened
from splade_engine.vectors.sparse_vectors import SparseVectors

logger = logging.getLogger(__name__)

Format = Literal["arrow", "parquet", "seismic", "anserini", "csr"]

ANSERINI_SCALE = 100.0
NO_CHECKSUM = "carries no checksum: damage that leaves it readable cannot be told"
_KEY = b"splade_engine"
_N_TERMS_KEY = b"splade_engine.n_terms"  # what earlier releases wrote, and others may
_SUFFIXES: dict[str, Format] = {".arrow": "arrow", ".parquet": "parquet", ".jsonl": "seismic", ".csr": "csr"}


@dataclass(frozen=True)
class VectorFile:
    """What a vector file holds."""

    vectors: SparseVectors
    # `ids[i]` names row i; None where the format has no ids
    ids: list[str] | None
    # token of each term id, where the file names tokens
    vocabulary: list[str] | None = None
    # record of the encoder that made the vectors; None where the file does not say
    encoder: dict[str, str | int] | None = None


def write_vectors(
    path: str | Path,
    vectors: SparseVectors,
    ids: Sequence[str] | None = None,
    vocabulary: Sequence[str] | None = None,
    *,
    format: Format | None = None,
    encoder: Mapping[str, str | int] | None = None,
) -> None:
    """Write a batch atomically, in the format of the path's suffix unless `format` says otherwise.

    Args:
        path: the file to write or replace.
        vectors: the batch.
        ids: one string per row; default "0", "1", ...
        vocabulary: token of each term id; the JSONL formats need it.
        format: overrides the suffix ("anserini" for .jsonl files of whole numbers).
        encoder: record of the encoder that made them (`encoder_record`), kept in our own layouts.

    Raises:
        InvalidInputError: wrong number of ids, no vocabulary for JSONL, unknown suffix.
        StorageError: the disk refused.
    """
    path = Path(path)
    kind = format or format_of(path)
    _check_names(ids, vocabulary)
    names = [str(i) for i in range(len(vectors))] if ids is None else list(ids)
    if len(names) != len(vectors):
        raise InvalidInputError(f"{path}: {len(names)} ids for {len(vectors)} vectors")
    if kind in ("seismic", "anserini") and vocabulary is None:
        raise InvalidInputError(f"{path}: the {kind} format names tokens, so it needs the vocabulary")
    with atomic_file(path) as file:
        if kind in ("arrow", "parquet"):
            _write_table(file, vectors, names, kind, encoder)
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
    _check_names(None, vocabulary)
    if kind not in ("arrow", "parquet") and path.suffix != ".gz":
        logger.info("%s: %s", path, NO_CHECKSUM)
    with _reading(path):
        if kind in ("arrow", "parquet"):
            return _read_table(path, kind)
        if kind == "csr":
            return VectorFile(_read_csr(path), None)
        return _read_jsonl(path, vocabulary, ANSERINI_SCALE if kind == "anserini" else 1.0)


def _check_names(ids: Sequence[str] | None, vocabulary: Sequence[str] | None) -> None:
    if ids is not None:
        check_many("ids", ids)
    if vocabulary is not None:
        check_many("vocabulary", vocabulary, "tokens")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Put the file's name into whatever goes wrong while it is read."""
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
        raise InvalidInputError(f"{path}: not a regular file")
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


def _write_table(
    file: IO[bytes],
    vectors: SparseVectors,
    ids: list[str],
    kind: Format,
    encoder: Mapping[str, str | int] | None,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.array(ids, pa.large_string()),
        "terms": pa.LargeListArray.from_arrays(vectors.indptr, pa.array(vectors.terms)),
        "weights": pa.LargeListArray.from_arrays(vectors.indptr, pa.array(vectors.weights)),
    }
    record: dict[str, Any] = {
        "n_terms": vectors.n_terms,
        "encoder": None if encoder is None else dict(encoder),
    }
    record["checksum"] = _checksum(vectors, ids, record["encoder"])
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(record)})
    if kind == "parquet":
        pq.write_table(table, file, compression="zstd")
    else:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def _checksum(vectors: SparseVectors, ids: Sequence[str], encoder: Any) -> str:
    """Of everything that a file says: its ids, its vectors, and what made them."""
    names = json.dumps(list(ids)).encode()
    arrays = [
        digest(np.ascontiguousarray(array, dtype))
        for array, dtype in ((vectors.indptr, "<i8"), (vectors.terms, "<i4"), (vectors.weights, "<f4"))
    ]
    return digest_of_json([vectors.n_terms, digest(names), *arrays, encoder])


def _read_table(path: Path, kind: Format) -> VectorFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            table = pq.read_table(file) if kind == "parquet" else pa.ipc.open_file(file).read_all()
        # Arrow trusts its files: 4 % of single-bit flips crash a reader that does not validate
        table.validate(full=True)
        record = _record(table.schema.metadata or {})
        n_terms = int(record["n_terms"])
        columns = {name: table[name].combine_chunks() for name in ("id", "terms", "weights")}
    except (pa.ArrowException, KeyError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInputError(
            f"{path}: not a vector file of splade-engine ({shortened(reason, 200)})"
        ) from None
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
    return None if listed and t.is_floating(kind.value_type) else "lists of numbers"


def _record(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What the schema says of the vectors: n_terms, and in our own files their checksum and encoder.

    Raises:
        KeyError: if it says nothing.
        ValueError: if it cannot be read.
    """
    if _KEY not in metadata:
        return {"n_terms": metadata[_N_TERMS_KEY]}
    try:
        record = json.loads(metadata[_KEY])
    except RecursionError:
        raise ValueError("its record is nested too deeply") from None
    if not isinstance(record, dict) or set(record) != {"n_terms", "encoder", "checksum"}:
        raise ValueError("its record is incomplete")
    if not isinstance(record["n_terms"], int) or not isinstance(record["checksum"], str):
        raise ValueError("its record is incomplete")
    return record


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
    return SparseVectors.adopt(ptr, terms, weights, n_terms)


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
    out: Any = file
    if compress:  # without time and name of the temporary file: the same vectors give the same bytes
        out = gzip.GzipFile("", mode="wb", fileobj=file, mtime=0)
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
    places: dict[str, int] = {}
    rows: list[dict[str, float]] = []
    for number, line in _lines(path):
        name, row = _parsed(path, number, line)
        if (first := places.setdefault(name, number)) != number:
            raise InvalidInputError(
                f"{path}, line {number}: duplicate id {_quoted(name)}, first on line {first}"
            )
        ids.append(name)
        rows.append({token: weight / scale for token, weight in row.items()} if scale != 1 else row)
    tokens = list(vocabulary) if vocabulary is not None else sorted({token for row in rows for token in row})
    if not tokens:
        raise InvalidInputError(f"{path}: no vectors, and no vocabulary given")
    return VectorFile(SparseVectors.from_token_dicts(rows, tokens), ids, tokens)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    if path.suffix == ".gz" and path.stat().st_size == 0:  # Python reads it as a stream of no members
        raise EOFError
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
    except RecursionError:
        raise InvalidInputError(f"{place}: nested too deeply") from None
    except ValueError:  # of more digits than Python converts
        raise InvalidInputError(f"{place}: a number is too large") from None
    if not isinstance(record, dict) or not isinstance(record.get("vector"), dict):
        raise InvalidInputError(f'{place}: expected an object with "id" and "vector"')
    name = record.get("id")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)  # Seismic's own writer stores integer ids
    if not isinstance(name, str):
        raise InvalidInputError(f"{place}: id {_quoted(name)} is not a string")
    for token, weight in record["vector"].items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise InvalidInputError(f"{place}: token {_quoted(token)} has the weight {_quoted(weight)}")
    return name, record["vector"]


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        again = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidInputError(f"{_quoted(again)} occurs twice")
    return out


def _quoted(value: Any) -> str:
    """A value as an error shows it: recognisable, and not a page long."""
    return shortened(repr(value), 80)
