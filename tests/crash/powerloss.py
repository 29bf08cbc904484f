"""Test 7: the power fails. What was not flushed may be on the disk, or not, or in part, in any combination.

A change is run once, with notes of every write, rename, deletion and flush. Then the state of the disk
after a prefix of the notes is made up: what is certain (flushed content, names in flushed folders), and for
everything else a random choice. The index must be there, old or new; new if the change had returned.

The page cache survives `kill -9`, so only this test can tell whether a flush is missing. Its self-check
takes each flush out in turn and has to see indexes that cannot be read.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from splade_engine.errors import IndexCorruptError, IndexNotFoundError
from tests.attacks import victim
from tests.attacks.trials import Tally, scratch
from tests.crash import changes
from tests.crash.faulty import FaultyOs, installed

Note = tuple


@dataclass
class File:
    """An inode: the content that is certain, and the writes since the last flush."""

    durable: bytes = b""
    pending: list[bytes] = field(default_factory=list)

    def survivor(self, rng: random.Random) -> bytes:
        """A content that the disk may hold: what was flushed, and of later writes all, zeros or a part."""
        content = self.durable
        for data in self.pending:
            way = rng.randrange(4)
            if way == 0:
                break
            content += {1: data, 2: bytes(len(data)), 3: data[: rng.randrange(len(data) + 1)]}[way]
        return content


class Disk:
    """Names and inodes of one folder: as flushed, and the changes of names since then, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = folder.iterdir() if folder.exists() else ()
        self.names = {p.name: File(p.read_bytes()) for p in found}
        self.now = dict(self.names)
        self.pending: list[tuple[str, str, File | None]] = []

    def play(self, note: Note) -> None:
        """One note of the trace."""
        action, path = note[0], Path(note[1])
        name = path.name
        if action == "create":
            if name not in self.now:
                self.now[name] = File()
                self.pending.append(("put", name, self.now[name]))
            elif note[2]:
                self.now[name].durable, self.now[name].pending = b"", []
        elif action == "truncate":
            self.now[name].durable, self.now[name].pending = b"", []
        elif action == "write":
            self.now[name].pending.append(note[2])
        elif action == "fsync" and path == self.folder:
            self.names, self.pending = dict(self.now), []
        elif action == "fsync" and name in self.now:
            file = self.now[name]
            file.durable, file.pending = file.durable + b"".join(file.pending), []
        elif action == "replace":
            target = Path(note[2]).name
            self.now[target] = self.now.pop(name)
            self.pending.append(("move", f"{name}/{target}", self.now[target]))
        elif action == "unlink":
            del self.now[name]
            self.pending.append(("drop", name, None))

    def survive(self, rng: random.Random, folder: Path) -> None:
        """Write one state that the disk may be in to `folder`. Each change of a name happened, or did not."""
        names = dict(self.names)
        for action, name, file in self.pending:
            if rng.random() < 0.5:
                continue
            if action == "put" and file is not None:
                names[name] = file
            elif action == "move" and file is not None:
                source, target = name.split("/")
                names.pop(source, None)
                names[target] = file
            else:
                names.pop(name, None)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        contents: dict[int, bytes] = {}
        for name, file in names.items():
            contents.setdefault(id(file), file.survivor(rng))
            (folder / name).write_bytes(contents[id(file)])


def traced(change: str, pristine: Path, folder: Path) -> list[Note]:
    """What the change does to the folder, call by call."""
    changes.start(change, pristine, folder)
    faulty = FaultyOs(trace=[])
    with installed(faulty):
        changes.CHANGES[change](folder)
    assert faulty.trace is not None
    return [note for note in faulty.trace if Path(note[1]) == folder or Path(note[1]).parent == folder]


def lost_states(
    count: int, seed: int, without: Callable[[list[Note], Path], list[Note]] = lambda trace, _: trace
) -> Tally:
    """Random states of the disk at random moments; `without` may take notes out of the list."""
    tally, rng = Tally(), random.Random(seed)
    with scratch() as folder:
        pristine, ix, after_power = folder / "pristine", folder / "ix", folder / "after"
        victim.build(pristine)
        share = -(-count // len(changes.CHANGES))
        for change in changes.CHANGES:
            before, after = changes.expected(change, pristine, ix)
            trace = without(traced(change, pristine, ix), ix)
            changes.start(change, pristine, ix)
            start = {p.name: p.read_bytes() for p in ix.iterdir()} if ix.exists() else {}
            for _ in range(share):
                moment = _moment(rng, trace)
                disk = Disk(ix)
                disk.names = {name: File(content) for name, content in start.items()}
                disk.now = dict(disk.names)
                for note in trace[:moment]:
                    disk.play(note)
                disk.survive(rng, after_power)
                tally.trials += 1
                tally.outcomes[_verdict(tally, change, moment, len(trace), before, after, after_power)] += 1
    return tally


def _moment(rng: random.Random, trace: list[Note]) -> int:
    """Anywhere, most often around the rename, where the order of flushes matters; or at the end."""
    way = rng.random()
    if way < 0.2:
        return len(trace)
    if way < 0.5:
        return rng.randint(0, len(trace))
    rename = next(i for i, note in enumerate(trace) if note[0] == "replace")
    return min(len(trace), max(0, rename + rng.randint(-2, 4)))


def _verdict(
    tally: Tally, change: str, moment: int, end: int, before: int | None, after: int | None, folder: Path
) -> str:
    try:
        found = victim.answers(folder)
    except IndexNotFoundError:
        found = None
    except IndexCorruptError as error:
        tally.losses.append(f"{change}, after {moment} of {end} calls: {error}")
        return "UNREADABLE"
    if found == after:
        return "new"
    if found != before:
        tally.losses.append(f"{change}, after {moment} of {end} calls: another index")
    elif moment == end:
        tally.losses.append(f"{change}: had returned, but the old index is there")
    return "old"


# ---- the self-check ----------------------------------------------------------------------


def without_data(trace: list[Note], folder: Path) -> list[Note]:
    """No flush of the data files."""
    keep = ("manifest.json.tmp", folder.name)
    return [n for n in trace if n[0] != "fsync" or Path(n[1]).name in keep]


def without_manifest(trace: list[Note], folder: Path) -> list[Note]:
    """No flush of the new manifest."""
    return [n for n in trace if n[0] != "fsync" or Path(n[1]).name != "manifest.json.tmp"]


def without_names(trace: list[Note], folder: Path) -> list[Note]:
    """No flush of the folder before the rename."""
    end = next(i for i, n in enumerate(trace) if n[0] == "replace")
    return [n for i, n in enumerate(trace) if i > end or n[0] != "fsync" or Path(n[1]) != folder]


def without_rename(trace: list[Note], folder: Path) -> list[Note]:
    """No flush of the folder after the rename."""
    end = next(i for i, n in enumerate(trace) if n[0] == "replace")
    return [n for i, n in enumerate(trace) if i < end or n[0] != "fsync" or Path(n[1]) != folder]


FLUSHES = (without_data, without_manifest, without_names, without_rename)


def missing_flushes(count: int, seed: int) -> Tally:
    """The self-check: without any one of the flushes, indexes are lost."""
    total = Tally()
    for without in FLUSHES:
        tally = lost_states(count, seed, without)
        total.trials += tally.trials
        total.outcomes[f"{without.__name__}: lost"] += len(tally.losses)
        if not tally.losses:
            total.losses.append(f"{without.__name__}: nothing was lost, so the test proves nothing about it")
    return total
