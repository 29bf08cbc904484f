"""Writers at once, killed at random: the index is a serial replay of what they reported.

Each worker notes in its journal which change it is about to commit as which generation, that the commit came
back, and that the call reported success. A kill can come between a commit and its note. Then the journals
only name those who tried this generation, and it was the last of them: who tries it has read its predecessor
and holds the lock.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from splade_engine.errors import IndexLockedError, InvalidInputError, SpladeEngineError
from splade_engine.index import SparseIndex
from splade_engine.index.disk import publish
from splade_engine.index.disk.publish import IndexWriter
from splade_engine.vectors import SparseVectors
from tests.attacks.trials import Tally, scratch
from tests.crash.faulty import FaultyOs, installed
from tests.index import made

WORKERS = 4
POOL = 120  # ids that all of them write: they meet
PAUSE = 0.0005  # seconds that a flush takes on the pretended disk
Change = dict[str, Any]  # "kind", "ids", "seed"


@dataclass(frozen=True)
class Note:
    """One line of a journal."""

    time: int
    worker: int
    what: str  # "try", "done", "success", "locked", "refused"
    generation: int
    change: Change


def contended(kills: int, seed: int) -> Tally:
    """`WORKERS` processes change an index; `kills` times one is killed and another takes its place."""
    tally, rng = Tally(), random.Random(seed)
    with scratch() as folder:
        start = {"kind": "add", "ids": [f"s{i}" for i in range(30)], "seed": seed}
        SparseIndex.build(folder / "ix", rows(start), start["ids"], threads=1)
        running = {}
        for number in range(WORKERS):
            running[number] = _worker(folder, number, rng.randrange(1 << 30))
        for number in range(WORKERS, WORKERS + kills):
            time.sleep(rng.uniform(0.005, 0.06))
            victim = rng.choice(sorted(running))
            os.kill(running[victim], signal.SIGKILL)
            os.waitpid(running.pop(victim), 0)
            running[number] = _worker(folder, number, rng.randrange(1 << 30))
        (folder / "stop").touch()
        for number, pid in running.items():
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
                tally.losses.append(f"worker {number} failed: {(folder / f'{number}.error').read_text()}")
        notes = journals(folder, WORKERS + kills)
        tally.trials = kills
        for what in ("success", "locked", "refused"):
            tally.outcomes[what] = sum(note.what == what for note in notes)
        try:
            index = SparseIndex.open(folder / "ix")
            history = committed(notes, index.generation)
            compare(index, replayed([start, *history]), folder)
            index.check(deep=True, threads=1)
            index.delete(index.ids()[:1])  # the lock is free, what killed writers left is no hindrance
            tally.outcomes["unknown, and decided by the next"] = len(history) - tally.outcomes["success"]
        except (AssertionError, SpladeEngineError) as error:
            tally.losses.append(f"seed {seed}: {error}")
    return tally


def without_the_lock(kills: int, seed: int) -> Tally:
    """Self-check: the same without the writer's lock has to lose something."""

    class NoLock:
        def release(self) -> None:
            pass

        def in_place(self) -> bool:
            return True

    with mock.patch.object(publish, "_take_lock", lambda path, wait: NoLock()):
        tally = contended(kills, seed)
    lost, tally.losses = len(tally.losses), []
    tally.outcomes["noticed"] = lost
    if not lost:
        tally.losses.append(f"seed {seed}: writers without a lock, and nothing was missed")
    return tally


def rows(change: Change) -> SparseVectors:
    """The vectors of a change: told by its seed."""
    return made.vectors(change["seed"] % 2**31, len(change["ids"]))


def _worker(folder: Path, number: int, seed: int) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _write_until(folder, number, random.Random(seed))
            code = 0
        except BaseException as error:
            (folder / f"{number}.error").write_text(f"{type(error).__name__}: {error}")
        finally:
            os._exit(code)
    return pid


def _write_until(folder: Path, number: int, rng: random.Random) -> None:
    journal = os.open(folder / f"{number}.journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    change: Change = {}

    def note(what: str, generation: int) -> None:
        line = json.dumps([time.monotonic_ns(), number, what, generation, change])
        os.write(journal, f"{line}\n".encode())

    commit = IndexWriter.commit

    def noted(self: IndexWriter, manifest: Any) -> None:
        note("try", manifest.generation)
        commit(self, manifest)
        note("done", manifest.generation)

    IndexWriter.commit = noted  # type: ignore[method-assign]
    index = SparseIndex.open(folder / "ix", verify="offsets")
    with installed(FaultyOs(pause=PAUSE)):
        while not (folder / "stop").exists():
            change = _some_change(index.refresh(), number, rng)
            try:
                before = index.generation
                _apply(index, change)
                if index.generation != before:
                    note("success", index.generation)
            except IndexLockedError:
                note("locked", 0)
                time.sleep(rng.uniform(0, 0.004))
            except InvalidInputError:
                note("refused", 0)  # another one added or deleted the id first: nothing has changed


def _some_change(index: SparseIndex, number: int, rng: random.Random) -> Change:
    kind = rng.choices(["add", "update", "delete", "compact"], [5, 4, 3, 1])[0]
    live = index.ids()
    count = rng.randint(1, 12)
    if kind == "add":
        ids = rng.sample([f"p{i}" for i in range(POOL)], count)
        ids = [i for i in ids if i not in index] or [f"own {number} {rng.randrange(1 << 40)}"]
    elif kind == "update":
        ids = sorted({*rng.sample(live, min(count, len(live))), f"p{rng.randrange(POOL)}"})
    else:
        ids = rng.sample(live, min(count, len(live) - 1))
    return {"kind": kind, "ids": [] if kind == "compact" else ids, "seed": rng.randrange(1 << 30)}


def _apply(index: SparseIndex, change: Change) -> None:
    kind, ids = change["kind"], change["ids"]
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: index.add(rows(change), ids, threads=1),
        "update": lambda: index.update(rows(change), ids, threads=1),
        "delete": lambda: index.delete(ids),
        "compact": lambda: index.compact(threads=1),
    }
    calls[kind]()


def journals(folder: Path, workers: int) -> list[Note]:
    """All notes in the order of time; of a killed worker the last line may be cut."""
    notes = []
    for number in range(workers):
        path = folder / f"{number}.journal"
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                notes.append(Note(*json.loads(line)))
            except ValueError:
                continue
    return sorted(notes, key=lambda note: note.time)


def committed(notes: list[Note], last: int) -> list[Change]:
    """The change of every generation from 2 to `last`; an AssertionError where the journals contradict it."""
    done: dict[int, Note] = {}
    tried: dict[int, Note] = {}
    for note in notes:
        if note.what == "done":
            assert note.generation not in done, f"generation {note.generation} was committed twice"
            done[note.generation] = note
        elif note.what == "try":
            tried[note.generation] = note
    assert max(done, default=1) <= last, f"generation {max(done, default=1)} was reported, {last} is there"
    history = []
    for generation in range(2, last + 1):
        note = done.get(generation) or tried.get(generation)
        assert note is not None, f"nobody wrote generation {generation}"
        history.append(note.change)
    return history


def replayed(history: list[Change]) -> dict[str, SparseVectors]:
    """The documents after these changes, one after another."""
    live: dict[str, SparseVectors] = {}
    for change in history:
        if change["kind"] == "delete":
            for doc_id in change["ids"]:
                assert live.pop(doc_id, None) is not None, f"{doc_id} was deleted and was not there"
            continue
        vectors = rows(change)
        for number, doc_id in enumerate(change["ids"]):
            assert change["kind"] != "add" or doc_id not in live, f"{doc_id} was added and was there"
            live[doc_id] = vectors[number]
    return live


def compare(index: SparseIndex, live: dict[str, SparseVectors], folder: Path) -> None:
    """The index holds these documents, and answers as an index does that was built of them alone."""
    found = set(index.ids())
    assert not live.keys() - found, f"reported and missing: {sorted(live.keys() - found)[:5]}"
    assert not found - live.keys(), f"deleted and there: {sorted(found - live.keys())[:5]}"
    names = sorted(live)
    serial = SparseIndex.build(
        folder / "serial", SparseVectors.concat([live[name] for name in names]), names, threads=1
    )
    assert index.vectors([index.ordinal(name) for name in names]) == serial.vectors(), "other vectors"
    queries = made.vectors(7, 20)
    ours, theirs = (ix.search(queries, len(names), exact=True) for ix in (index, serial))
    assert np.array_equal(ours.scores, theirs.scores), "other scores"
    assert [sorted(ids) for ids in ours.ids] == [sorted(ids) for ids in theirs.ids], "other hits"
