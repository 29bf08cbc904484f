"""`sync`: an index kept up to date with a folder, in one commit and with as little encoding as possible.

Each passage remembers where its file was and a hash of the content (`collections.folders.FileState`), in the
index itself: there is no second file that could disagree with it, and a process that is killed leaves the
index as it was. What has to be done is found by `sync_plan`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_engine.arguments import flag, shown
from splade_engine.collections.beir import found_corpus
from splade_engine.collections.corpus import Corpus, FileCorpus
from splade_engine.collections.passages import Passages
from splade_engine.collections.readers.decoding import checked_encoding
from splade_engine.engine import changes
from splade_engine.engine.measure import measure
from splade_engine.engine.sync_plan import SyncPlan, sync_plan
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.progress import Progress, check_progress

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.engine.engine import SearchEngine
    from splade_engine.index.reader import IndexReader


@dataclass(frozen=True)
class SyncReport:
    """What a `sync` did, or would do. Files are named by their path below the folder."""

    added: Sequence[str] = ()
    changed: Sequence[str] = ()
    # how many files are as the index has them
    unchanged: int = 0
    # files that are gone: deleted from the index (`removed`), or left in it (`missing`)
    removed: Sequence[str] = ()
    missing: Sequence[str] = ()
    # (path, why) of what could not be read; the index keeps what it had
    failed: Sequence[tuple[str, str]] = ()
    # what would help some of them
    advice: Sequence[str] = ()
    # files without text
    empty: Sequence[str] = ()
    # suffix -> number of files of kinds that are not read
    skipped: Mapping[str, int] = field(default_factory=dict)
    # folders that are links, which are not followed; the index keeps what it had of them
    linked: Sequence[str] = ()
    # passages written and deleted by the commit
    written: int = 0
    deleted: int = 0
    dry_run: bool = False
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        facts = asdict(self)
        return {**facts, "failed": [{"path": path, "reason": why} for path, why in self.failed]}


def sync(
    reader: IndexReader | None,
    engine: Callable[[], SearchEngine],
    folder: str | Path,
    *,
    passages: Passages | int | None = None,
    encoding: str | None = None,
    name: str | None = None,
    prune: bool = False,
    dry_run: bool = False,
    progress: Progress = False,
    **encode_options: Any,
) -> SyncReport:
    """Bring an index up to the files of a folder.

    Args:
        reader: of the index as it is published now; None: it holds nothing yet.
        engine: opens the index with its encoder; called only where something has to be encoded or deleted.
        folder: of files, see `collections/folders.py`.
        passages: how files are cut; None: as they were before, in a new index the default.
        encoding: how text files that are not UTF-8 are decoded; None: they count as failed, and those that
            the index holds already stay as they are.
        name: what the folder is known by; None: its place. A folder with a name can move.
        prune: delete what the index holds of files that are gone.
        dry_run: change nothing, and tell what would be done.
        progress: see `Progress`.
        encode_options: for `SparseEncoder.encode_documents`.

    Raises:
        DatasetError: there is no such folder, or it holds records and not files.
        InvalidInputError: the index holds a file of that path from another folder; or nothing is left of the
            folder, and `prune` would delete everything.
        IndexLockedError, StorageError: nothing has changed then; what was encoded is kept.
    """
    start = time.perf_counter()
    prune, dry_run = flag("prune", prune), flag("dry_run", dry_run)
    check_progress(progress)
    encoding = checked_encoding(encoding)
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise InvalidInputError(f"name: a text is expected, got {shown(name)}")
    folder = Path(folder)
    how = passages if passages is None or isinstance(passages, Passages) else Passages(passages)
    plan = sync_plan(reader, _checked_folder(folder), how, encoding, name, progress)
    if prune and plan.gone and not (plan.new or plan.changed or plan.unchanged):
        raise InvalidInputError(
            f"{folder}: none of its {len(plan.gone):,} files is there any more; if it is mounted and this "
            "is right, delete the index"
        )
    scanned = plan.scanned
    report = SyncReport(
        added=[file.path for file in plan.new],
        changed=[file.path for file in plan.changed],
        unchanged=plan.unchanged,
        removed=plan.gone if prune else [],
        missing=[] if prune else plan.gone,
        failed=scanned.failed,
        advice=scanned.advice,
        skipped={suffix: count for suffix, (count, _) in scanned.skipped.items()},
        linked=scanned.linked,
        dry_run=dry_run,
    )
    corpus = FileCorpus(folder, [*plan.new, *plan.changed], plan.how, encoding=encoding, name=name)
    if dry_run:
        corpus.survey(progress)
        _check_ids(reader, corpus, plan)
        return _timed(_as_read(report, corpus), start)
    if not (plan.new or plan.changed or report.removed):
        return _timed(report, start)
    opened = engine()
    try:
        return _timed(_applied(report, plan, reader, opened, corpus, progress, encode_options), start)
    except InvalidInputError:
        newest = opened.index.refresh().reader
        if reader is None or newest.generation == reader.generation:
            raise
    # another process has put in one of these files meanwhile, so that something else is to be done
    return sync(
        newest,
        engine,
        folder,
        passages=how,
        encoding=encoding,
        name=name,
        prune=prune,
        progress=progress,
        **encode_options,
    )


def build(
    path: Path,
    folder: Path,
    encoder: SparseEncoder,
    *,
    passages: Passages | int | None = None,
    encoding: str | None = None,
    name: str | None = None,
    prune: bool = False,
    progress: Progress = False,
    **encode_options: Any,
) -> tuple[SearchEngine, SyncReport]:
    """Make an index of a folder that `sync` keeps up from then on; arguments and errors as there.

    Raises:
        DatasetError: no file of the folder has text that can be read.
    """
    from splade_engine.engine.engine import SearchEngine

    start = time.perf_counter()
    corpus = Corpus(_checked_folder(folder), passages=passages, encoding=encoding, name=name)
    engine = SearchEngine.build(path, corpus, encoder, progress=progress, **encode_options)
    found = corpus.report
    added = dict.fromkeys(str(document.metadata["path"]) for document in corpus)
    report = SyncReport(
        added=list(added),
        failed=found.failed,
        advice=found.advice,
        empty=found.empty,
        skipped={suffix: count for suffix, (count, _) in found.skipped.items()},
        linked=found.linked,
        written=len(engine),
    )
    return engine, _timed(report, start)


def _applied(
    report: SyncReport,
    plan: SyncPlan,
    reader: IndexReader | None,
    engine: SearchEngine,
    corpus: FileCorpus,
    progress: Progress,
    options: Mapping[str, Any],
) -> SyncReport:
    engine._refuse_shared()
    measure(corpus, engine.encoder)
    corpus.survey(progress)
    _check_ids(reader, corpus, plan)
    report = _as_read(report, corpus)
    going = [*report.removed, *report.changed]
    drop = [id for path in going for id in plan.held[path].ids]
    written = corpus.survey().n_docs
    if written:
        changes.update(engine.index, engine.encoder, corpus, drop, progress, options, alone=True)
    elif drop:
        changes.when_free(engine.path, lambda: engine.index.update([], drop=drop))
    return replace(report, written=written, deleted=len(drop))


def _as_read(report: SyncReport, corpus: FileCorpus) -> SyncReport:
    """The report, when the texts of new and changed files have been read: of some there is none."""
    failed, empty = {path for path, _ in corpus.report.failed}, set(corpus.report.empty)
    return replace(
        report,
        added=[path for path in report.added if path not in failed and path not in empty],
        changed=[path for path in report.changed if path not in failed],
        failed=[*report.failed, *corpus.report.failed],
        advice=list(dict.fromkeys((*report.advice, *corpus.report.advice))),
        empty=corpus.report.empty,
    )


def _check_ids(reader: IndexReader | None, corpus: FileCorpus, plan: SyncPlan) -> None:
    """Refuse to replace a record that happens to have the id of a file or of its passage."""
    if reader is None:
        return
    ours = {id for there in plan.held.values() for id in there.ids}
    for document in corpus:
        if document.id in reader and document.id not in ours:
            raise InvalidInputError(
                f"{reader.path}: holds a record {document.id!r:.200}, which is the id of a file in the "
                "folder; give the folder an index of its own, or the record another id"
            )


def _checked_folder(folder: Path) -> Path:
    if not folder.is_dir():
        what = "is a file, a folder is needed" if folder.exists() else "no such folder"
        raise DatasetError(f"{folder}: {what}")
    records = found_corpus(folder)
    if records is not None:
        raise DatasetError(
            f"{folder}: holds records ({records.name}) and not files; add --replace takes them in"
        )
    return folder


def _timed(report: SyncReport, start: float) -> SyncReport:
    return SyncReport(**{**vars(report), "seconds": time.perf_counter() - start})
