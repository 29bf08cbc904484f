"""Accidents: flipped bits, files cut short or grown. Every one must be noticed or be without effect."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from splade_engine.errors import IndexCorruptError
from tests.attacks import victim
from tests.attacks.trials import CORPUS, Tally, Trial, forked, scratch


def in_copies(source: Path, attack: Callable[[Path, int], None], good: int) -> Callable[[], Trial]:
    """A trial: attack a copy of the index, look, and put the files back."""

    def prepare() -> Trial:
        folder = victim.copy(source, source.parent / f"copy-{os.getpid()}")
        pristine = {p.name: p.read_bytes() for p in source.iterdir()}

        def trial(seed: int) -> str:
            try:
                attack(folder, seed)
                try:
                    same = victim.answers(folder) == good
                except victim.REFUSED as error:
                    assert str(folder) in str(error), f"the error does not name the file: {error}"
                    return "refused"
                assert same, "other answers"
                return "same answers"
            finally:
                for file, content in pristine.items():
                    if (folder / file).read_bytes() != content:
                        (folder / file).write_bytes(content)

        return trial

    return prepare


def flip_a_bit(folder: Path, seed: int) -> None:
    """Flip one random bit of one random file."""
    rng = random.Random(seed)
    path = folder / rng.choice(sorted(p.name for p in folder.iterdir() if p.name != "write.lock"))
    bit = rng.randrange(path.stat().st_size * 8)
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def change_a_size(folder: Path, seed: int) -> None:
    """Cut a random file at a random place, or let it grow by 1 to 4,096 bytes (zeros or a copy)."""
    rng = random.Random(seed)
    path = folder / rng.choice(sorted(p.name for p in folder.iterdir() if p.name != "write.lock"))
    size = path.stat().st_size
    if rng.random() < 0.5:
        os.truncate(path, rng.randrange(size))
    elif rng.random() < 0.5:
        os.truncate(path, size + rng.randint(1, 4096))
    else:
        with path.open("ab") as file:
            file.write(path.read_bytes()[: rng.randint(1, 4096)])


def bit_flips(count: int, seed: int) -> Tally:
    """Test 1: flip a bit anywhere, then open and search."""
    return _attacked("flip", flip_a_bit, count, seed)


def sizes(count: int, seed: int) -> Tally:
    """Test 2: every length of the manifest, then random sizes of any file; an error every time."""
    tally = Tally()
    with scratch() as folder:
        victim.build(folder / "ix")
        manifest = folder / "ix" / "manifest.json"
        content = manifest.read_bytes()
        for length in range(len(content)):
            manifest.write_bytes(content[:length])
            try:
                victim.answers(folder / "ix")
                tally.losses.append(f"a manifest of {length} bytes was accepted")
            except IndexCorruptError:
                tally.outcomes["refused"] += 1
            tally.trials += 1
    tally.add(_attacked("size", change_a_size, count, seed))
    if tally.outcomes["same answers"]:
        tally.losses.append("a file of another size was accepted")
    return tally


def _attacked(name: str, attack: Callable[[Path, int], None], count: int, seed: int) -> Tally:
    total = Tally()
    with scratch() as folder:
        for part, config in enumerate(victim.KINDS):
            source = folder / f"ix-{part}"
            victim.build(source, config)
            good = victim.answers(source)
            assert good == victim.answers(source)

            def lost(seed: int, source: Path = source) -> None:
                """Attack again, in the corpus."""
                attack(victim.copy(source, CORPUS / f"{name}-{seed}"), seed)

            seeds = range(seed + part, seed + count, len(victim.KINDS))
            total.add(forked(in_copies(source, attack, good), seeds, lost=lost))
    return total
