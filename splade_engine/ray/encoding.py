"""`encode`: a column of texts of a Ray dataset to sparse vectors, by a pool of actors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from splade_engine.errors import InvalidInputError
from splade_engine.ray.cluster import DEFAULT_POOL, Pool, connected, made_encoder

if TYPE_CHECKING:
    import ray.data

BATCH = 256  # texts that an actor encodes at a time
_MADE = ("terms", "weights")  # columns


class _Encode:
    """An actor: loads its encoder once."""

    def __init__(
        self,
        source: Any,
        load: dict[str, Any],
        columns: dict[str, str | None],
        options: dict[str, Any],
    ) -> None:
        self._encoder = made_encoder(source, load)
        self._columns = columns
        self._options = options

    def __call__(self, table: pa.Table) -> pa.Table:
        title, text = self._columns["title"], self._columns["text"]
        texts = [value or "" for value in table.column(text).to_pylist()]
        if title is not None:
            titles = [value or "" for value in table.column(title).to_pylist()]
            texts = [f"{a} {b}".strip() for a, b in zip(titles, texts, strict=True)]
        vectors = self._encoder.encode_documents(texts, **self._options)
        ptr = pa.array(vectors.indptr.astype("int32"))
        terms = pa.ListArray.from_arrays(ptr, pa.array(vectors.terms))
        weights = pa.ListArray.from_arrays(ptr, pa.array(vectors.weights))
        for name, column in zip(_MADE, (terms, weights), strict=True):
            table = table.append_column(name, column)
        return table


def encode(
    dataset: ray.data.Dataset,
    encoder: str | Path | Callable[[], Any] | None = None,
    *,
    id: str = "id",
    text: str = "text",
    title: str | None = None,
    pool: Pool = DEFAULT_POOL,
    batch_size: int = BATCH,
    load: dict[str, Any] | None = None,
    **options: Any,
) -> ray.data.Dataset:
    """The dataset with the columns `terms` (list of int32) and `weights` (list of float32) beside its own.

    Args:
        dataset: rows with an id and a text; other columns pass through.
        encoder: a folder or hub id, None for the bundled one, or a function that makes one in an actor.
        id: name of the column of ids, which must be text: "007" and 7 are two ids.
        text: name of the column of texts.
        title: name of a column that is read before the text.
        pool: the actors.
        batch_size: texts that an actor takes at a time.
        load: for `SparseEncoder.load` (`device`, `max_length`).
        options: for `encode_documents` (`top_k`, `batch_tokens`).

    Raises:
        MissingExtraError: Ray is not installed.
        InvalidInputError: a column is missing, or named `terms` or `weights`; the ids are numbers; the pool
            would take every processor.
    """
    connected()
    from ray.data import ActorPoolStrategy

    check_columns(dataset, id, [text, *([title] if title else [])])
    for name in _MADE:
        if name in dataset.schema().names:
            raise InvalidInputError(f"ray: the dataset has a column {name!r} already; rename or drop it")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InvalidInputError(f"ray: batch_size must be at least 1, got {batch_size!r}")
    source = str(encoder) if isinstance(encoder, Path) else encoder
    columns = {"title": title, "text": text}
    resources: dict[str, Any] = {"num_gpus": pool.gpus} if pool.gpus else {}
    return dataset.map_batches(
        _Encode,
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=pool.size()),
        num_cpus=pool.cpus,
        fn_constructor_args=(source, load or {}, columns, options),
        **resources,
    )


def check_columns(dataset: ray.data.Dataset, id: str, texts: list[str]) -> None:
    """Check that a dataset has a column of text ids, and columns of texts.

    Raises:
        InvalidInputError: naming the column and its type.
    """
    schema = dataset.schema()
    types = dict(zip(schema.names, schema.types, strict=True)) if schema is not None else {}
    for name in (id, *texts):
        if name not in types:
            there = ", ".join(types)[:200] or "no rows"
            raise InvalidInputError(f"ray: no column {name!r}; the dataset has {there}")
    kind = types[id]
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InvalidInputError(
            f"ray: the ids in column {id!r} are {kind}, and an id is text; read them as text (read_parquet), "
            "or cast the column"
        )
