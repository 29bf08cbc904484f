"""The changes that crash tests interrupt: each leads from one known index to another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from splade_engine.errors import IndexNotFoundError
from splade_engine.index import SearchConfig, SparseIndex, changes
from splade_engine.index.disk.publish import IndexWriter, read_manifest
from splade_engine.index.disk.records import TuningRecord
from tests.attacks import victim
from tests.index import made

BATCH, TABLE = made.vectors(31, 12), made.payload(12, 200)
NEW = made.vectors(32, 25)


def build(folder: Path) -> None:
    """A first build, into a folder that does not exist."""
    SparseIndex.build(folder, NEW, payload=made.payload(25), threads=1)


def overwrite(folder: Path) -> None:
    """A build over an index."""
    SparseIndex.build(folder, NEW, payload=made.payload(25), overwrite=True, threads=1)


def add(folder: Path) -> None:
    """New documents."""
    SparseIndex.open(folder).add(BATCH, [f"a{i}" for i in range(12)], payload=TABLE, threads=1)


def update(folder: Path) -> None:
    """Documents that replace others: tombstones and a new segment in one commit."""
    SparseIndex.open(folder).update(
        BATCH, [*(str(i) for i in range(20, 30)), "x", "y"], payload=TABLE, threads=1
    )


def delete(folder: Path) -> None:
    """Tombstones."""
    SparseIndex.open(folder).delete(["0", "40", "n7"])


def compact(folder: Path) -> None:
    """All segments into one."""
    SparseIndex.open(folder).compact(threads=1)


def other_lists(folder: Path) -> None:
    """All segments into one, with posting lists of another kind; what was tuned is dropped."""
    SparseIndex.open(folder).compact(threads=1, lists="blocks")


def tune(folder: Path) -> None:
    """A manifest with other settings, and no new file."""
    record = TuningRecord(3, 0.5, 0.75, 12.5, 5, asdict(SearchConfig(n_candidates=9)))
    changes.store_tuning(folder, [record], read_manifest(folder)[0])


CHANGES: dict[str, Callable[[Path], None]] = {
    change.__name__: change for change in (build, overwrite, add, update, delete, compact, other_lists, tune)
}


def start(name: str, pristine: Path, folder: Path) -> None:
    """The folder as the change finds it."""
    if folder.exists():
        shutil.rmtree(folder)
    if name != "build":
        shutil.copytree(pristine, folder)


def look(folder: Path) -> int | None:
    """What the index answers; None where there is no index (before a first build)."""
    try:
        return victim.answers(folder)
    except IndexNotFoundError:
        return None


def expected(name: str, pristine: Path, folder: Path) -> tuple[int | None, int | None]:
    """What the index answers before and after the change."""
    start(name, pristine, folder)
    before = look(folder)
    CHANGES[name](folder)
    return before, look(folder)


def clean_up(folder: Path) -> None:
    """What the next writer does first, after which only files of the index are there."""
    if not folder.exists():
        return
    try:
        with IndexWriter(folder):
            pass
        manifest, _ = read_manifest(folder)
    except IndexNotFoundError:
        return  # remains of a first build: the next build removes them
    names = {p.name for p in folder.iterdir()}
    assert names == {*manifest.file_names(), "manifest.json", "write.lock"}, f"left behind: {sorted(names)}"
