"""`sync`: an index kept up to date with a folder, in one commit and with as little encoding as possible.

Each passage remembers where its file was and a hash of the content (`collections.folders.FileState`), in the
index itself: there is no second file that could disagree with it, and a process that is killed leaves the
index as it was. What decides:

* A file is changed where its content is another, or it was cut in another way. Times and sizes decide
  nothing.
* A file that cannot be read keeps what the index holds of it.
* A file that is gone is deleted from the index with `prune` alone, and only if the scan covered its place:
  files of other folders, documents that are no files, and what lies below a folder that could not be opened
  stay.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_engine.arguments import flag, shown
from splade_engine.collections.beir import BEIR_CORPUS
from splade_engine.collections.corpus import Corpus, FileCorpus
from splade_engine.collections.cutting import is_passage_of
from splade_engine.collections.folders import (
    FileReading,
    FileState,
    FolderReport,
    SourceFile,
    origin_of,
    read_bytes,
    scan,
)
from splade_engine.collections.metadata import FILE_STATE
from splade_engine.collections.passages import PARENT, Passages
from splade_engine.collections.readers.decoding import checked_encoding
from splade_engine.engine import changes
from splade_engine.engine.measure import measure
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.progress import Progress, ProgressBar, check_progress

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


@dataclass
class _Held:
    """What the index holds of one file."""

    ids: list[str] = field(default_factory=list)
    states: set[FileState | None] = field(default_factory=set)


@dataclass(frozen=True)
class _Plan:
    """Which files are read, and whose old passages go."""

    origin: str
    how: Passages
    new: list[SourceFile]
    changed: list[SourceFile]
    unchanged: int
    gone: list[str]
    held: dict[str, _Held]
    scanned: FolderReport


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
    plan = _plan(reader, _checked_folder(folder), how, encoding, name, progress)
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
    plan: _Plan,
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
        engine.index.update([], drop=drop)
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


def _plan(
    reader: IndexReader | None,
    folder: Path,
    how: Passages | None,
    encoding: str | None,
    name: str | None,
    progress: Progress,
) -> _Plan:
    origin = origin_of(folder, name)
    held = {} if reader is None else _held(reader)
    reading = FileReading(how or _as_before(held, origin), encoding=checked_encoding(encoding), name=name)
    scanned = FolderReport()
    files = list(scan(folder, scanned))
    unreadable = [f"{path}/" for path in (*(path for path, _ in scanned.failed), *scanned.linked)]
    new, changed, unchanged, seen = [], [], 0, set()
    with ProgressBar(progress, len(files), label="compare", unit="file") as bar:
        for file in files:
            seen.add(file.path)
            bar.advance()
            there = held.get(file.path)
            try:
                state = reading.state(read_bytes(file), origin)
            except DatasetError as error:
                scanned.fail(file, error)
                continue
            if there is None:
                new.append(file)
            elif {_comparable(s, encoding) for s in there.states} == {state}:
                unchanged += 1
            else:
                _check_origin(folder, file.path, there, origin)
                changed.append(file)
    ours = (path for path, there in held.items() if any(s and s.origin == origin for s in there.states))
    gone = [path for path in ours if path not in seen and not path.startswith(tuple(unreadable))]
    gone = [] if "./" in unreadable else gone
    return _Plan(origin, reading.passages, new, changed, unchanged, sorted(gone), held, scanned)


def _held(reader: IndexReader) -> dict[str, _Held]:
    """What the index holds of files, by path; indexes of earlier releases know no state of them."""
    table = reader.text_columns(PARENT, "path", FILE_STATE)
    held: dict[str, _Held] = {}
    known: dict[str, FileState | None] = {}
    rows = zip(*(table[name].to_pylist() for name in ("id", PARENT, "path", FILE_STATE)), strict=True)
    for id, parent, path, state in rows:
        if path is None or (parent or path) != path or not is_passage_of(id, path):
            continue  # a record, whatever its fields are called
        there = held.setdefault(path, _Held())
        there.ids.append(id)
        if state not in known:
            known[state] = FileState.parse(state) if state else None
        there.states.add(known[state])
    return held


def _comparable(state: FileState | None, encoding: str | None) -> FileState | None:
    """A state as it is compared: how a file was decoded does not matter to whoever names no encoding."""
    return state if state is None or encoding is not None else replace(state, encoding="")


def _as_before(held: Mapping[str, _Held], origin: str) -> Passages:
    """How most files of this folder were cut."""
    states = (state for there in held.values() for state in there.states)
    counts = Counter((s.tokens, s.overlap) for s in states if s is not None and s.origin == origin)
    return Passages(*counts.most_common(1)[0][0]) if counts else Passages()


def _check_origin(folder: Path, path: str, there: _Held, origin: str) -> None:
    others = {state.origin for state in there.states if state is not None} - {origin}
    if others:
        raise InvalidInputError(
            f"{folder}: the index holds {path!r} from another folder, or this one has moved; give the "
            "--name that it was synced by, an index of its own, or take the files over with add --replace"
        )


def _check_ids(reader: IndexReader | None, corpus: FileCorpus, plan: _Plan) -> None:
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
    records = next((name for name in BEIR_CORPUS if (folder / name).is_file()), None)
    if records is not None:
        raise DatasetError(f"{folder}: holds records ({records}) and not files; add --replace takes them in")
    return folder


def _timed(report: SyncReport, start: float) -> SyncReport:
    return SyncReport(**{**vars(report), "seconds": time.perf_counter() - start})
