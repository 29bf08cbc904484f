"""`splade-engine sync`: an index kept up to date with a folder of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress
from splade_engine.errors import IndexNotFoundError, SpladeEngineError
from splade_engine.extras import needed

if TYPE_CHECKING:
    from splade_engine.engine import SearchEngine
    from splade_engine.engine.sync import SyncReport
    from splade_engine.index import SparseIndex

_SHOWN = 10  # files of each kind that are named


def run(
    source: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of files.")],
    folder: options.IndexFolder,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete what the index holds of files that are gone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and sync whenever files change.")] = False,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="What the folder is known by, so that it can move."),
    ] = None,
    encoder: options.IndexEncoder = None,
    passages: options.PassageTokens = None,
    overlap: options.Overlap = 0,
    encoding: options.FileEncoding = None,
    max_terms: options.MaxTerms = None,
    batch_tokens: options.BatchTokens = None,
    as_json: options.Json = False,
) -> None:
    """Make an index of a folder, or bring it up to date: only what has changed is encoded.

    Files are compared by their content. New and changed ones are encoded, all in one commit. If a file cannot
    be read, it is named, and the index keeps what it has of it. A file that is gone stays in the index until
    --prune deletes it. Only files of this folder are deleted: others, and records, stay.

    \b
    Examples:
      splade-engine sync ~/notes notes-index --prune
      splade-engine sync ~/notes notes-index --dry-run --json
      splade-engine sync ~/notes notes-index --prune --watch
    """
    from splade_engine.collections.passages import DEFAULT_TOKENS, Passages

    how: dict[str, Any] = {
        "passages": Passages(passages or DEFAULT_TOKENS, overlap) if passages or overlap else None,
        "encoding": encoding,
        "name": name,
        "prune": prune,
        "progress": shows_progress(),
        **options.encode_options(max_terms, batch_tokens),
    }
    target = _Target(folder, encoder)

    def once() -> None:
        _write(target.sync(source, dry_run=dry_run, **how), folder, as_json, line=watch)

    once()
    if watch:
        _watch(source, once)


class _Target:
    """The index, made by the first files; its encoder is loaded when there is something to encode."""

    def __init__(self, folder: Path, encoder: str | None) -> None:
        self._folder, self._encoder = folder, encoder
        self._index: SparseIndex | None = None
        self._engine: SearchEngine | None = None

    def sync(self, source: Path, **how: Any) -> SyncReport:
        from splade_engine.engine.sync import sync
        from splade_engine.index import SparseIndex

        if self._index is None:
            try:
                self._index = SparseIndex.open(self._folder)
            except IndexNotFoundError:
                if self._folder.exists() and any(self._folder.iterdir()):
                    raise
                return self._first(source, **how)
        return sync(self._index.refresh().reader, self._opened, source, **how)

    def _opened(self) -> SearchEngine:
        from splade_engine.engine import SearchEngine

        if self._engine is None:
            self._engine = SearchEngine.open(self._folder, options.named_encoder(self._encoder))
            self._index = self._engine.index
        return self._engine

    def _first(self, source: Path, *, dry_run: bool, **how: Any) -> SyncReport:
        """Make the index of all files: what a scan finds, and then what could not be read."""
        from splade_engine.engine.sync import build, sync

        if dry_run:
            return sync(None, self._opened, source, dry_run=True, **how)
        self._engine, report = build(self._folder, source, options.load_encoder(self._encoder), **how)
        self._index = self._engine.index
        return report


def _watch(source: Path, once: Callable[[], None]) -> None:
    """Sync after every change; what goes wrong is said, and the next change tries again."""
    with needed("--watch"):
        import watchfiles
    output.note(f"Watching {source}; Ctrl-C ends it")
    for _ in watchfiles.watch(source, debounce=2000, step=200, ignore_permission_denied=True):
        try:
            once()
        except SpladeEngineError as error:
            output.complain(output.message(f"splade-engine: {error}"))


def _write(report: SyncReport, folder: Path, as_json: bool, *, line: bool) -> None:
    if as_json:
        output.write_json({"path": str(folder), **report.to_dict()}, indent=None if line else 2)
        return
    for what in ("added", "changed", "removed", "missing", "empty"):
        _named(what, list(getattr(report, what)))
    for path, why in report.failed:  # each of them: what is not told here is told nowhere
        output.write(f"  failed   {path}: {why}")
    counts = [f"{len(getattr(report, what)):,} {what}" for what in ("added", "changed", "removed", "failed")]
    counts.insert(2, f"{report.unchanged:,} unchanged")
    would = "would be: " if report.dry_run else ""
    output.write(f"{folder}: {would}{', '.join(counts)}; {report.seconds:.1f} s")
    if report.missing:
        output.note(f"files that are gone: {len(report.missing):,}; --prune deletes them from the index")
    if report.skipped:
        kinds = ", ".join(
            f"{count} {suffix or 'without a suffix'}" for suffix, count in report.skipped.items()
        )
        output.note(f"Not read: {kinds}")
    if report.linked:
        output.note(f"Not followed, as they are links: {', '.join(report.linked)}")


def _named(what: str, paths: list[str]) -> None:
    for path in paths[:_SHOWN]:
        output.write(f"  {what:<8} {path}")
    if len(paths) > _SHOWN:
        output.write(f"  {what:<8} and {len(paths) - _SHOWN:,} more")
