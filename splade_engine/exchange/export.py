"""`export_index`: the vectors of an index and queries weighed for it, as another system loads them.

The folder that is made holds files for the system's own bulk loading, its schema, the bodies of queries, a
README with the commands, and `record.json`: which index, what was rounded or cut, and how much of the true
hits is left when the system searches exactly over what it keeps.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import flag, many, path_of, whole
from splade_engine.errors import IndexExistsError, InvalidInputError
from splade_engine.exchange.record import NUMBERS, RECORD, TOKENS, digests_of_export
from splade_engine.exchange.rounding import Rounding, factor
from splade_engine.exchange.target import BATCH, Export, Largest, Target, safe_names
from splade_engine.exchange.targets import TARGETS
from splade_engine.files import atomic_folder, check_replaceable, refuse_ours
from splade_engine.index import BuildConfig, IndexReader, SparseIndex
from splade_engine.index.tuning import queries_from_documents
from splade_engine.progress import Progress, ProgressBar
from splade_engine.vectors import SparseVectors
from splade_engine.vectors.checks import checked_vocabulary

SCALE = 100.0  # of whole numbers: two decimals of a weight
SAMPLE = 200  # queries made from documents, where none are given, to measure what is lost


@dataclass(frozen=True)
class Loss:
    """What an exact search over the exported vectors finds of the true hits."""

    # queries asked, and whether they were made from documents
    queries: int
    made: bool
    k: int
    # share of the true top k that is found, over all queries together
    recall: float
    # queries whose hits are the same, in the same order
    same: int


@dataclass(frozen=True)
class ExportRecord:
    """What was exported: `record.json`."""

    target: str
    title: str
    # fingerprint of the index, and the record of its encoder
    index: str
    encoder: dict[str, str | int] | None
    documents: int
    entries: int
    n_terms: int
    # what they are called where a file names them: `tokens`, or `numbers` without a vocabulary
    terms: str
    queries: int
    # how weights are kept, and what they are multiplied by
    document_weights: str
    document_scale: float
    query_weights: str
    query_scale: float
    # what was cut or rounded to nothing, counted
    lost: dict[str, int]
    loss: Loss | None
    # the digest of each file by its path here; an import compares it
    files: dict[str, str]


def export_index(
    index: SparseIndex,
    target: str,
    folder: str | Path,
    *,
    vocabulary: Sequence[str] | None = None,
    queries: SparseVectors | None = None,
    query_ids: Sequence[str] | None = None,
    k: int = 10,
    top_k: int | None = None,
    scale: float = SCALE,
    measure: bool = True,
    overwrite: bool = False,
    progress: Progress = False,
) -> ExportRecord:
    """Write an index for another system into a folder of its own.

    Args:
        index: what to export; of a collection, all shards.
        target: a name of `TARGETS`.
        folder: made, and complete when it appears.
        vocabulary: token of each term; without it terms are written as numbers.
        queries: as the engine asks them (`SearchEngine.encode_queries`): weighed for this collection.
        query_ids: one per query; default "0", "1", ...
        k: hits that the written queries ask for, and at which the loss is measured.
        top_k: keep so many of the heaviest terms of a document; the target's limit if that is lower.
        scale: what weights are multiplied by where the target takes whole numbers.
        measure: whether the loss is measured, where there is any: that builds and searches an index.
        overwrite: replace an export that is at `folder`.
        progress: see `Progress`.

    Raises:
        InvalidInputError: an unknown target; queries of another vocabulary or number; none where the target
            needs them; no documents.
        IndexExistsError: something is at `folder`.
        StorageError: the disk refuses; nothing is left then.
    """
    chosen = target_named(target)
    scale, k = factor(scale), whole("k", k, 1)
    top_k = None if top_k is None else whole("top_k", top_k, 1)
    measure, overwrite = flag("measure", measure), flag("overwrite", overwrite)
    reader = index.reader
    names = _checked_vocabulary(vocabulary, reader)
    asked, ids = _checked_queries(queries, query_ids, reader)
    if chosen.needs_queries and not ids:
        raise InvalidInputError(f"export: {target} needs queries")
    if not len(reader):
        raise InvalidInputError(f"{reader.path}: no documents to export")
    limits = chosen.limits
    if top_k is not None:
        limits = replace(limits, document_terms=min(top_k, limits.document_terms or top_k))
    largest = Largest(_largest(reader), float(asked.weights.max(initial=0.0)), scale)
    documents, rounded = chosen.roundings(largest)
    path = path_of("folder", folder)
    if path.exists() and not overwrite and (not path.is_dir() or any(path.iterdir())):
        raise IndexExistsError(f"{path}: exists already; choose another name or overwrite it")
    refuse_ours(path)
    check_replaceable(path, RECORD)
    with (
        ProgressBar(progress, len(reader), label="export", unit=" docs") as bar,
        atomic_folder(path, overwrite=overwrite, mark=RECORD) as made,
    ):
        export = Export(
            folder=made,
            reader=reader,
            limits=limits,
            documents=documents,
            queries=rounded,
            names=safe_names(names, reader.n_terms),
            query_ids=ids,
            query_vectors=asked,
            k=k,
            name=_collection_name(reader.path),
            bar=bar,
            allowed=_allowed_terms(reader, limits.vocabulary),
        )
        export.fit_queries()
        chosen.write(export)
        cut = {what: n for what, n in export.lost.items() if n and not what.endswith("without terms")}
        lossless = documents.exact and rounded.exact and not cut
        loss = None if lossless or not measure else _loss(export, queries is None or not ids, asked)
        record = ExportRecord(
            target=chosen.name,
            title=chosen.title,
            index=index.info().fingerprint,
            encoder=None if reader.encoder is None else dict(reader.encoder),
            documents=len(reader) - export.lost["documents without terms"],
            entries=_entries(reader) - export.lost_entries,
            n_terms=reader.n_terms,
            terms=NUMBERS if names is None else TOKENS,
            queries=len(export.query_ids),
            document_weights=documents.name,
            document_scale=documents.scale,
            query_weights=rounded.name,
            query_scale=rounded.scale,
            lost={what: n for what, n in sorted(export.lost.items()) if n},
            loss=loss,
            files=digests_of_export(made),
        )
        export.json(RECORD, asdict(record))
        export.text("README.md", readme(chosen, record, export, lossless))
    return record


def readme(target: Target, record: ExportRecord, export: Export, lossless: bool) -> str:
    """The text of `README.md`: what is here, the commands, what is lost."""
    lines = [f"# {record.documents:,} documents for {target.title}", ""]
    commands = target.readme.strip()
    for word, value in (("NAME", export.name), ("N_TERMS", record.n_terms), ("TOP_K", export.k)):
        commands = commands.replace(f"<{word}>", str(value))
    lines += [commands, ""]
    if "queries.jsonl" in commands and not export.query_ids:
        lines += ["There is no `queries.jsonl` here: `splade-engine export --queries FILE` writes it.", ""]
    lines += ["## What is kept", ""]
    lines.append(f"- Weights of documents: {_kept(export.documents)}; of queries: {_kept(export.queries)}.")
    lines += [f"- {what}: {n:,}" for what, n in record.lost.items()]
    loss = record.loss
    if loss is not None:
        of = "queries made from documents" if loss.made else "of these queries"
        lines.append(
            f"- An exact search over what is kept finds {loss.recall:.4f} of the true top {loss.k} "
            f"({loss.queries} {of}; {loss.same} of them with the same hits in the same order)."
        )
    elif lossless:
        lines.append("- Nothing is lost: an exact search gives the hits of `splade-engine search --exact`.")
    lines.append("- Queries carry the weights of this collection. Leave the system's own idf switched off.")
    return "\n".join(lines) + "\n"


def _kept(rounding: Rounding) -> str:
    return "as they are" if rounding.exact else rounding.name


def target_named(name: str) -> Target:
    """The target of this name.

    Raises:
        InvalidInputError: there is none.
    """
    found = TARGETS.get(name)
    if found is None:
        raise InvalidInputError(f"export: no target {name!r:.40}; there are {', '.join(TARGETS)}")
    return found


def _checked_vocabulary(vocabulary: Sequence[str] | None, reader: IndexReader) -> Sequence[str] | None:
    if vocabulary is None:
        return None
    vocabulary = checked_vocabulary(vocabulary)
    if len(vocabulary) != reader.n_terms:
        raise InvalidInputError(
            f"vocabulary: {len(vocabulary)} tokens, but the index has {reader.n_terms} terms"
        )
    return vocabulary


def _checked_queries(
    queries: SparseVectors | None, ids: Sequence[str] | None, reader: IndexReader
) -> tuple[SparseVectors, list[str]]:
    if queries is None:
        return SparseVectors.empty(reader.n_terms), []
    if not isinstance(queries, SparseVectors) or queries.n_terms != reader.n_terms:
        raise InvalidInputError(f"queries: vectors over the {reader.n_terms} terms of the index are expected")
    if ids is None:
        return queries, [str(i) for i in range(len(queries))]
    named = list(many("query_ids", ids))
    if len(named) != len(queries) or len(set(named)) != len(named):
        raise InvalidInputError(f"query_ids: {len(set(named))} different ids for {len(queries)} queries")
    return queries, named


def _collection_name(folder: Path) -> str:
    """Letters, digits and hyphens, beginning with a letter: a name that every system takes."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:40]
    return name if name[:1].isalpha() else f"index-{name}".strip("-")


def _chunks(reader: IndexReader) -> Any:
    ordinals = reader.snapshot.live_ordinals()
    for first in range(0, len(ordinals), BATCH):
        yield reader.vectors(ordinals[first : first + BATCH])


def _largest(reader: IndexReader) -> float:
    return max((float(part.weights.max(initial=0.0)) for part in _chunks(reader)), default=0.0)


def _entries(reader: IndexReader) -> int:
    return int(reader.document_frequencies().sum())


def _allowed_terms(reader: IndexReader, most: int | None) -> NDArray[np.bool_] | None:
    """The terms that a system with a limited vocabulary gets: those in the most documents."""
    frequencies = reader.document_frequencies()
    if most is None or int((frequencies > 0).sum()) <= most:
        return None
    allowed = np.zeros(len(frequencies), bool)
    allowed[np.argsort(-frequencies, kind="stable")[:most]] = True
    return allowed


def _loss(export: Export, made: bool, asked: SparseVectors) -> Loss:
    """Search what the target keeps, exactly, and compare with the exact hits over what is in the index."""
    reader, k = export.reader, min(export.k, len(export.reader))
    queries = queries_from_documents(reader.snapshot, SAMPLE, 0) if made else asked
    limit = export.limits.query_terms
    counted = export.lost.copy()
    parts = [export.documents.vectors(export.within_limits(part)) for part in _chunks(reader)]
    export.lost.clear()
    export.lost.update(counted)  # the documents were counted when they were written
    sent = export.queries.vectors(queries.top_k(limit) if limit else queries)
    truth = reader.search(queries, k, exact=True).ids
    with tempfile.TemporaryDirectory(prefix=".measure-", dir=export.folder) as scratch:
        kept = SparseIndex.build(Path(scratch) / "ix", parts, reader.ids(), config=BuildConfig("float32"))
        found = kept.search(sent, k, exact=True).ids
    hits = sum(len(set(a) & set(b)) for a, b in zip(found, truth, strict=True))
    wanted = sum(map(len, truth))
    same = sum(a == b for a, b in zip(found, truth, strict=True))
    return Loss(len(queries), made, k, hits / wanted if wanted else 1.0, same)
