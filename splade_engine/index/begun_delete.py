"""What a delete of a collection was about, until it has got through all shards.

It is a commit in each shard that holds some of the documents. Where a later shard refuses, the documents of
the earlier ones are gone. The same call once more has to delete the others, and not to refuse the ids that
are no longer there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from splade_engine.arguments import shown
from splade_engine.errors import SpladeEngineError
from splade_engine.files import disk_errors, read_json, write_json

DELETING = "deleting.json"
_MOST_BYTES = 1 << 32
_SHOWN = 3  # ids that a message names


def begun(folder: Path) -> frozenset[str]:
    """The ids of deletes that did not end; none where all did."""
    file = folder / DELETING
    if not file.exists():
        return frozenset()
    try:
        return frozenset(map(str, read_json(file, most=_MOST_BYTES)["ids"]))
    except (SpladeEngineError, KeyError, TypeError):  # of nobody
        return frozenset()


def begin(folder: Path, ids: Iterable[str]) -> None:
    """Note what is deleted; only who holds the collection's lock may.

    Raises:
        StorageError: the disk refuses.
    """
    write_json(folder / DELETING, {"ids": sorted(begun(folder).union(ids))}, indent=None)


def end(folder: Path, ids: Iterable[str]) -> None:
    """Forget these ids: they are gone from all shards.

    Raises:
        StorageError: the disk refuses.
    """
    before = begun(folder)
    left = before.difference(ids)
    if left and left != before:
        write_json(folder / DELETING, {"ids": sorted(left)}, indent=None)
    elif not left:
        with disk_errors(folder / DELETING):
            (folder / DELETING).unlink(missing_ok=True)


def told(parts: Mapping[int, Sequence[str]], done: Collection[int], before: Sequence[str]) -> str:
    """How far a delete has come, for the message of what stopped it; empty where nothing is gone.

    Args:
        parts: the ids that each shard holds, by its number.
        done: the numbers of the shards that have deleted theirs.
        before: ids that an earlier call has deleted.
    """
    gone = [*before, *(id for number, ids in parts.items() if number in done for id in ids)]
    left = [id for number, ids in parts.items() if number not in done for id in ids]
    return f"deleted: {_some(gone)}; not deleted: {_some(left)}" if gone else ""


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return ", ".join(map(shown, ids[:_SHOWN])) + more
