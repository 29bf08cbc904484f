"""The work folder of an encoding: who may work in it, and under which plan.

It holds `plan.json` (see `EncodingPlan`), the finished shards (see `Shard`) and locks. Whoever encodes all of
a corpus holds `lock` from beginning to end. Whoever encodes a part of it holds `lock` only while the plan is
agreed on, and then the lock of the shard at work (`lock-00007`), so that many parts can be encoded at once.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

from splade_engine.engine.encoding.plan import EncodingPlan
from splade_engine.engine.encoding.shard import remove_shards, shard_files
from splade_engine.errors import IndexLockedError, InvalidInputError, StorageError
from splade_engine.files import ours
from splade_engine.locks import HeldLock, holder_runs, lock_holder, take_lock

logger = logging.getLogger(__name__)

_PLAN, _LOCK = ours.ENCODING, "lock"


def locked_folder(folder: Path, *, wait: float = 0.0) -> HeldLock:
    """Make the folder unless it is there, and take its lock.

    Args:
        folder: the work folder.
        wait: seconds to wait for whoever holds the lock.

    Raises:
        InvalidInputError: it is a file, or holds something else.
        IndexLockedError: another process holds the lock.
    """
    while True:
        _make_folder(folder)
        try:
            lock = take_lock(folder / _LOCK, timeout=wait)
        except StorageError:
            if folder.exists():
                raise
            continue  # another process was done with the folder, and removed it under us
        if lock is None:
            holder = lock_holder(folder / _LOCK)
            raise IndexLockedError(f"{folder}: another process is encoding into it (process {holder})")
        if (folder / _LOCK).exists():
            return lock
        lock.release()  # of a file that has no name any more: it keeps nobody out


def locked_shard(folder: Path, number: int) -> HeldLock:
    """Take the lock of a shard.

    Raises:
        IndexLockedError: another process is encoding it.
    """
    lock = take_lock(_shard_lock(folder, number))
    if lock is None:
        raise _busy(folder, _shard_lock(folder, number))
    return lock


def refuse_busy_shards(folder: Path) -> None:
    """Check that no part is being encoded; whoever asks holds `lock`, so none can begin meanwhile.

    Raises:
        IndexLockedError: one is.
    """
    for path in sorted(folder.glob("lock-*")):
        lock = take_lock(path)
        if lock is None:
            raise _busy(folder, path)
        lock.release()


def agreed_plan(
    folder: Path, plan: EncodingPlan, *, keep_shard_docs: bool, restart: bool, alone: bool
) -> EncodingPlan:
    """The plan in the folder if it is the same work, else ours in an emptied folder, else an error.

    Args:
        folder: the work folder, whose lock is held.
        plan: of the corpus at hand.
        keep_shard_docs: whether the shard size of the folder is taken.
        restart: begin anew where the work in the folder is another.
        alone: whether it is known that no other process works there.

    Raises:
        InvalidInputError: the work in the folder is another.
        IndexLockedError: it would have to be removed while another process is at it.
    """
    if alone:
        for left_over in folder.glob(".*.tmp"):  # of a process that was killed
            left_over.unlink(missing_ok=True)
    file = folder / _PLAN
    if file.exists():
        refusal = None
        try:
            begun = EncodingPlan.read(file)
            if keep_shard_docs:
                plan = replace(plan, shard_docs=begun.shard_docs)
            refusal = plan.refusal(folder, begun)
        except InvalidInputError as error:
            refusal = error
        if refusal is None:
            return plan
        if not restart and shard_files(folder):
            raise refusal
        refuse_busy_shards(folder)
        logger.info("%s: starting anew (%s)", folder, refusal)
        file.unlink(missing_ok=True)
        remove_shards(folder)
    plan.write(file)
    return plan


def remove_remains(folder: Path) -> None:
    """Remove a work folder in which no shard was finished: a corrected command starts without it.

    Whoever calls holds `lock`; a folder in which another process is encoding stays.
    """
    if any(shard.name.startswith("shard-") for shard in shard_files(folder)):
        return
    try:
        refuse_busy_shards(folder)
    except IndexLockedError:
        return
    if not set(folder.iterdir()) - _ours(folder):
        shutil.rmtree(folder, ignore_errors=True)


def unfinished(start: Path) -> list[Path]:
    """Work folders whose names begin so, and whose process has ended."""
    found = (p for p in start.parent.iterdir() if p.name.startswith(start.name) and (p / _PLAN).is_file())
    return sorted(folder for folder in found if not holder_runs(folder / _LOCK))


def tell_what_stays(folder: Path) -> None:
    """Say that a work folder is kept, and what for; nothing where it is not there any more."""
    if folder.is_dir():
        logger.info(
            "%s keeps what was encoded: the same call goes on from there; delete it to give that up", folder
        )


def _shard_lock(folder: Path, number: int) -> Path:
    return folder / f"lock-{number:05d}"


def _busy(folder: Path, lock: Path) -> IndexLockedError:
    number = int(lock.name.removeprefix("lock-"))
    return IndexLockedError(
        f"{folder}: another process is encoding shard {number} of it (process {lock_holder(lock)})"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InvalidInputError(f"{folder}: is a file, a folder is needed") from None
    except OSError as error:
        raise StorageError(error.errno, f"cannot make {folder}: {error.strerror}") from error
    foreign = sorted(set(folder.iterdir()) - _ours(folder))
    if foreign and not (folder / _PLAN).exists():
        raise InvalidInputError(f"{folder}: holds other files ({foreign[0].name}); an empty folder is needed")


def _ours(folder: Path) -> set[Path]:
    # temporary files of a process that was killed are ours too
    named = {folder / _LOCK, folder / _PLAN}
    return named.union(shard_files(folder), folder.glob("lock-*"), folder.glob(".*.tmp"))
