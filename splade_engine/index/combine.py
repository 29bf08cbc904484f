"""Indexes that were built apart: whether they go together, and how they become one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

from splade_engine.errors import EncoderMismatchError, InvalidInputError
from splade_engine.files import atomic_folder, disk_errors, neighbour
from splade_engine.index.arguments import check_budget
from splade_engine.index.auto_lists import chosen_lists
from splade_engine.index.config import BuildConfig, stored_build_config
from splade_engine.index.disk.manifest import MAX_DOCS, MAX_SEGMENTS
from splade_engine.index.disk.own_encoder import own_encoder
from splade_engine.index.disk.payload import check_joined
from splade_engine.index.disk.publish import new_index
from splade_engine.index.disk.records import Manifest, SegmentRecord
from splade_engine.index.merge import groups, join_group
from splade_engine.index.opening import live_twin
from splade_engine.index.reader import IndexReader
from splade_engine.index.segment.segment import copy_segment
from splade_engine.vectors.encoder_record import describe_difference, same_encoder


def merge(
    folder: Path,
    parts: Sequence[IndexReader],
    config: BuildConfig | None,
    *,
    overwrite: bool,
    threads: int,
    memory: int | None,
) -> None:
    """Write the live documents of all parts as an index of their own, see `SparseIndex.merge`."""
    check_budget(threads, memory)
    check_together(parts)
    if any(part.path.resolve() == folder.resolve() for part in parts):
        raise InvalidInputError(f"{folder}: is one of the parts; merge into another folder")
    chosen = _common_config(parts) if config is None else config
    n_docs = sum(part.snapshot.manifest.live for part in parts)
    chosen = replace(chosen, lists=chosen_lists(chosen.lists, n_docs))
    segments = [s for part in parts for s in part.snapshot.segments if s.record.live]
    if not segments:
        raise InvalidInputError(f"{folder}: the parts hold no documents")
    if sum(s.record.live for s in segments) > MAX_DOCS:
        raise InvalidInputError(f"{folder}: more than {MAX_DOCS} documents; open the parts as shards instead")
    as_stored = all(stored_build_config(p.snapshot.manifest.config) == chosen for p in parts)
    with new_index(folder, overwrite=overwrite) as writer:
        records: list[SegmentRecord] = []
        for group in groups(segments, memory):
            if len(group) == 1 and group[0].live is None and as_stored:
                records.append(copy_segment(writer, group[0]))
            else:
                records.append(join_group(writer, group, chosen, threads, memory))
        if len(records) > MAX_SEGMENTS:
            raise InvalidInputError(f"memory: {memory} MiB leave more than {MAX_SEGMENTS} segments")
        manifest = Manifest(
            generation=writer.generation,
            n_terms=parts[0].n_terms,
            segments=tuple(records),
            encoder=parts[0].encoder,
            config=chosen.to_record(),
        )
        with _encoder_of(folder, parts) as carried:
            writer.commit_new(manifest, carried)


@contextmanager
def _encoder_of(folder: Path, parts: Sequence[IndexReader]) -> Iterator[Path | None]:
    """A copy of the encoder that lies in the folder of a part, beside the new index; None where none does."""
    own = (own_encoder(part.path, part.generation) for part in parts)
    carried = next(filter(None, own), None)
    if carried is None:
        yield None
        return
    with disk_errors(folder):
        copy = neighbour(folder, "tmp")
        try:
            with atomic_folder(copy) as made:
                shutil.copytree(carried, made, dirs_exist_ok=True)
            yield copy
        finally:
            shutil.rmtree(copy, ignore_errors=True)


def check_together(parts: Sequence[IndexReader]) -> None:
    """Check that documents of these indexes can be ranked together.

    They have one vocabulary, one encoder, payload columns of one type, and every id once.

    Raises:
        InvalidInputError: naming the two indexes and what differs, or the id that both hold.
        EncoderMismatchError: their vectors are of two encoders.
    """
    if not parts:
        raise InvalidInputError("no index is given")
    for i, a in enumerate(parts):
        for b in parts[:i]:
            check_pair(b, a)
    check_payloads(parts)


def check_pair(a: IndexReader, b: IndexReader) -> None:
    """Check that two indexes have one vocabulary, one encoder, and no id in common.

    Raises:
        InvalidInputError, EncoderMismatchError: as `check_together`.
    """
    if a.path.resolve() == b.path.resolve():
        raise InvalidInputError(f"{b.path}: is given twice")
    check_encoders(a, b)
    for one in b.snapshot.segments:
        for two in a.snapshot.segments:
            twice = live_twin(one, two)
            if twice is not None:
                raise InvalidInputError(f"{b.path}: holds a document {twice!r}, and {a.path} too")


def check_payloads(parts: Sequence[IndexReader]) -> None:
    """Check that every payload column is of one type.

    Raises:
        InvalidInputError: naming the column that is not.
    """
    payloads = [s.payload for part in parts for s in part.snapshot.segments]
    check_joined([payload.table for payload in payloads if payload is not None])


def check_encoders(a: IndexReader, b: IndexReader) -> None:
    """Check that two indexes have one vocabulary and one encoder, which takes no time.

    Raises:
        InvalidInputError, EncoderMismatchError: as `check_together`.
    """
    if a.n_terms != b.n_terms:
        raise InvalidInputError(
            f"{b.path}: vectors over {b.n_terms} terms, those of {a.path} over {a.n_terms}"
        )
    if a.encoder is None and b.encoder is None:
        return
    if a.encoder is None or b.encoder is None:
        nameless = a if a.encoder is None else b
        raise EncoderMismatchError(
            f"{nameless.path}: does not say which encoder made its vectors, the other does"
        )
    if not same_encoder(a.encoder, b.encoder):
        what = describe_difference(a.encoder, b.encoder)
        raise EncoderMismatchError(f"{b.path}: its vectors are not of the encoder of {a.path} ({what})")


def _common_config(parts: Sequence[IndexReader]) -> BuildConfig:
    """How all parts were built.

    Raises:
        InvalidInputError: they were built differently.
    """
    first = stored_build_config(parts[0].snapshot.manifest.config)
    for part in parts[1:]:
        other = stored_build_config(part.snapshot.manifest.config)
        for name in (field.name for field in fields(BuildConfig)):
            a, b = getattr(first, name), getattr(other, name)
            if a != b:
                raise InvalidInputError(
                    f"{part.path}: was built with {name} {b}, {parts[0].path} with {a}; say which the merged "
                    "index shall have"
                )
    return first
