"""Tests 5, 8, 10 and 11: processes that are killed, limited, or race each other."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from splade_engine.errors import IndexLockedError, StorageError
from splade_engine.index import SparseIndex
from splade_engine.index.disk.publish import read_manifest
from tests.attacks import victim
from tests.attacks.trials import Tally, scratch
from tests.crash import changes
from tests.crash.faulty import FaultyOs, installed
from tests.index import made

PAUSE = 0.001  # seconds that a flush takes on the pretended disk: every stage lasts long enough to be hit


def child(work: Callable[[], None]) -> int:
    """Fork; the child does the work and exits: 0 when it was done, 3 for a full disk, 4 for a held lock."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except StorageError as error:
            code = 3 if error.errno == errno.EFBIG else 5
        except IndexLockedError:
            code = 4
        finally:
            os._exit(code)
    return pid


def _slow(change: Callable[[Path], None], folder: Path, ready: int) -> Callable[[], None]:
    def work() -> None:
        os.write(ready, b"x")  # forking takes longer than the change: the clock starts here
        with installed(FaultyOs(pause=PAUSE)):
            change(folder)

    return work


def stage(folder: Path, old: set[str], before: bytes) -> str:
    """How far a killed overwrite had come, by what it left."""
    names = {p.name for p in folder.iterdir()} - {"write.lock"}
    if (folder / "manifest.json").read_bytes() != before:
        return "5 done" if not names & (old - {"manifest.json"}) else "4 committed, old files there"
    if "manifest.json.tmp" in names:
        return "3 manifest written, not committed"
    return "2 files written" if names - old else "1 before"


def kill_9(count: int, seed: int) -> Tally:
    """Test 5: SIGKILL at a random moment of an overwrite, until every stage was hit in 3 % of `count` trials.

    How long a stage lasts depends on the machine, so a stage that is hit too seldom gets more trials, up to
    ten times as many, before the test says that it does not test that stage.
    """
    tally, rng = Tally(), random.Random(seed)
    with scratch() as folder:
        victim.build(folder / "pristine")
        before, after = changes.expected("overwrite", folder / "pristine", folder / "ix")
        wait, ready = os.pipe()
        takes = []
        for _ in range(9):
            changes.start("overwrite", folder / "pristine", folder / "ix")
            pid = child(_slow(changes.overwrite, folder / "ix", ready))
            os.read(wait, 1)
            start = time.monotonic()
            os.waitpid(pid, 0)
            takes.append(time.monotonic() - start)
        usual = sorted(takes)[4]
        enough = 0.03 * count
        for number in range(10 * count):
            if number >= count and len(tally.outcomes) == 5 and min(tally.outcomes.values()) >= enough:
                break
            changes.start("overwrite", folder / "pristine", folder / "ix")
            old = {p.name for p in (folder / "ix").iterdir()}
            manifest = (folder / "ix" / "manifest.json").read_bytes()
            pid = child(_slow(changes.overwrite, folder / "ix", ready))
            os.read(wait, 1)
            time.sleep(rng.uniform(0, usual))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            tally.trials += 1
            reached = stage(folder / "ix", old, manifest)
            tally.outcomes[reached] += 1
            usual *= 0.96 if reached == "5 done" else 1.015  # follows a machine that gets slower or faster
            found = changes.look(folder / "ix")
            if found not in (before, after):
                tally.losses.append(f"kill {number} of seed {seed}: neither the old index nor the new one")
            try:
                changes.clean_up(folder / "ix")
            except AssertionError as error:
                tally.losses.append(f"kill {number} of seed {seed}: {error}")
    if len(tally.outcomes) < 5 or min(tally.outcomes.values()) < enough:
        tally.losses.append(f"a stage was not hit often enough: {dict(tally.outcomes)}")
    return tally


def full_disk(count: int, seed: int) -> Tally:
    """Test 8: no file may grow beyond a random size. The error is EFBIG, and the old index stays."""
    tally, rng = Tally(), random.Random(seed)
    with scratch() as folder:
        victim.build(folder / "pristine")
        before, after = changes.expected("overwrite", folder / "pristine", folder / "ix")
        largest = max(p.stat().st_size for p in (folder / "ix").iterdir())
        for number in range(count):
            changes.start("overwrite", folder / "pristine", folder / "ix")
            limit = rng.randrange(1, largest + 200)

            def work(limit: int = limit) -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                changes.overwrite(folder / "ix")

            code = os.waitstatus_to_exitcode(os.waitpid(child(work), 0)[1])
            found = changes.look(folder / "ix")
            tally.trials += 1
            tally.outcomes[{0: "fitted", 3: "EFBIG, old index"}.get(code, f"exit {code}")] += 1
            if code not in (0, 3) or found != (after if code == 0 else before):
                tally.losses.append(
                    f"limit of {limit} bytes (trial {number}): exit code {code}, or another index"
                )
            changes.clean_up(folder / "ix")
    return tally


def races(count: int, seed: int) -> Tally:
    """Test 11: two writers at once. One wins, the other is told at once; after kill -9 the lock is free."""
    tally = Tally()
    with scratch() as folder:
        for number in range(count):
            if number % 25 == 0:
                changes.start("build", folder, folder / "ix")
                made.index(folder / "ix", 120)
            live = len(SparseIndex.open(folder / "ix"))
            ready, go = os.pipe()

            def contend(name: str, ready: int = ready) -> Callable[[], None]:
                def work() -> None:
                    ix = SparseIndex.open(folder / "ix")
                    os.read(ready, 1)
                    with installed(FaultyOs(pause=0.002)):
                        ix.delete([name])

                return work

            pids = [child(contend(str(2 * (number % 25) + i))) for i in range(2)]
            time.sleep(0.002)
            start = time.monotonic()
            os.write(go, b"xx")
            if number % 5 == 4:  # one of them is killed; the other, or a third, can go on
                time.sleep(random.Random(seed + number).uniform(0, 0.01))
                os.kill(pids[0], signal.SIGKILL)
            codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
            took = time.monotonic() - start
            os.close(ready)
            os.close(go)
            ix = SparseIndex.open(folder / "ix")
            gone = live - len(ix)
            tally.trials += 1
            tally.outcomes[
                ", ".join({0: "wrote", 4: "locked out", -9: "killed"}.get(c, f"exit {c}") for c in codes)
            ] += 1
            if not set(codes) <= {0, 4, -9} or not codes.count(0) <= gone <= codes.count(0) + codes.count(-9):
                tally.losses.append(f"race {number}: exit codes {codes}, {gone} documents gone")
            if took > 30.0:  # told at once takes milliseconds; waiting for a lock would take forever
                tally.losses.append(f"race {number}: took {took:.1f} s")
            if len(ix):
                ix.delete(ix.ids()[-1:])  # the lock is free
    if not any("locked out" in name for name in tally.outcomes):
        tally.losses.append("no writer was ever locked out: they did not race")
    return tally


def readers_during_writes(republishes: int, seed: int, readers: int = 2) -> Tally:
    """Test 10: readers open and search while a writer publishes one index after another.

    Generation g holds documents whose answer is known, so every answer must be that of one generation, and
    generations never go back for a reader.
    """
    tally = Tally()
    with scratch() as folder:
        batches = [made.vectors(seed + g % 7, 30) for g in range(7)]
        known = {}
        for i, batch in enumerate(batches):
            ix = SparseIndex.build(folder / f"known-{i}", batch, threads=1)
            known[i] = made.answers(ix, victim.QUERIES)
        SparseIndex.build(folder / "ix", batches[0], encoder={"number": 0}, threads=1)
        stop = folder / "stop"
        pipes, pids = [], []
        for _ in range(readers):
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                _read_until(stop, folder / "ix", known, write)
            os.close(write)
            pipes.append(read)
            pids.append(pid)
        for g in range(1, republishes + 1):
            SparseIndex.build(
                folder / "ix", batches[g % 7], encoder={"number": g % 7}, overwrite=True, threads=1
            )
        stop.touch()
        for pipe, pid in zip(pipes, pids, strict=True):
            with os.fdopen(pipe) as stream:
                text = stream.read()
            os.waitpid(pid, 0)
            count, _, trouble = text.partition(" ")
            tally.trials += int(count or 0)
            tally.outcomes["right answers"] += int(count or 0)
            if trouble or not count:
                tally.losses.append(trouble or "a reader died")
        if read_manifest(folder / "ix")[0].generation != republishes + 1:
            tally.losses.append("a generation is missing")
    return tally


def _read_until(stop: Path, folder: Path, known: dict, pipe: int) -> None:
    count, trouble, last = 0, "", 0
    try:
        while not stop.exists():
            ix = SparseIndex.open(folder)
            number = int((ix.encoder or {})["number"])
            for _ in range(3):  # an open index answers from its generation, whatever is published meanwhile
                if made.answers(ix, victim.QUERIES) != known[number]:
                    trouble = f"generation {ix.generation} gave the answers of another"
            if ix.generation < last:
                trouble = f"generation {ix.generation} after {last}"
            last = ix.generation
            count += 3
    except BaseException as error:
        trouble = f"{type(error).__name__}: {error}"
    finally:
        os.write(pipe, f"{count} {trouble}".encode())
        os._exit(0)


def threads(queries: int, seed: int, workers: int = 8) -> Tally:
    """Test 22: threads on one open index, each with its own queries, equal to one after another."""
    tally = Tally()
    with scratch() as folder:
        victim.build(folder / "ix")
        ix = SparseIndex.open(folder / "ix")
        batches = [made.vectors(seed + w, queries, 60, 10) for w in range(workers)]
        serial = [made.answers(ix, batch) for batch in batches]
        answered = [0] * workers  # a place for each thread: what several add to, one of them may overwrite

        def work(number: int) -> None:
            for start in range(0, queries, 100):
                part = batches[number][start : start + 100]
                found = made.answers(ix, part)
                answered[number] += len(part)
                wanted = (serial[number][0][start : start + 100], serial[number][1][start : start + 100])
                if found != wanted:
                    tally.losses.append(f"thread {number}, queries from {start}: other answers")

        pool = [threading.Thread(target=work, args=(w,)) for w in range(workers)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
    tally.trials = workers * queries
    tally.outcomes["equal to serial"] = sum(answered)
    if tally.outcomes["equal to serial"] != tally.trials:
        tally.losses.append("a thread died")
    return tally
