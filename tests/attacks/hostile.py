"""Forgeries: arrays and manifests that contradict themselves, under checksums that are right.

Checksums tell accidents, not intent: whoever writes a file writes its checksum too. So the structure is
checked as well, and no forged index may crash a process or make it return what is no document.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from splade_engine.index import snapshot
from splade_engine.index.disk import ids, payload
from splade_engine.index.disk.payload import payload_dtypes
from splade_engine.index.disk.records import ColumnRecord
from splade_engine.index.disk.storage import describe, digest, offsets_of
from splade_engine.index.segment import layout, segment
from splade_engine.index.segment.segment import POSTING_DTYPES
from tests.attacks import victim
from tests.attacks.trials import CORPUS, Tally, Trial, forked, scratch

EXTREMES = [
    0,
    1,
    -1,
    2,
    7,
    8,
    59,
    60,
    61,
    255,
    256,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**62,
    -(2**62),
]
VALUES = [None, True, [], {}, "", "x" * 100, 0.5, 10**30, "0" * 32, "../x", "\ud800"]
BLINDED: list[tuple[Any, list[str]]] = [
    (segment, ["check_structure"]),
    (ids.IdColumn, ["check", "check_offsets"]),
    (payload, ["_size", "_offsets"]),
    (snapshot, ["_check_unique"]),
]
Body = dict[str, Any]


def read_body(folder: Path) -> Body:
    """The JSON body of the manifest."""
    body: Body = json.loads((folder / "manifest.json").read_bytes())["body"]
    return body


def write_body(folder: Path, body: Body) -> None:
    """A manifest with this body and the right checksum."""
    text = json.dumps(body).encode()
    data = b'{"body":' + text + f',"xxh3_128":"{digest(text)}"}}\n'.encode()
    (folder / "manifest.json").write_bytes(data)


def dtypes_of(kind: str, record: Body) -> dict[str, str]:
    """Section -> dtype of a file of a segment."""
    if kind == "payload":
        return payload_dtypes([ColumnRecord(*c) for c in record["columns"]])
    return {"postings": POSTING_DTYPES, "ids": ids.ID_ARRAYS, "deleted": {"bits": "|u1"}}[kind]


def read_arrays(folder: Path, kind: str, record: Body) -> dict[str, np.ndarray]:
    """Copies of the sections of a file."""
    dtypes, sections = dtypes_of(kind, record), record[kind]["sections"]
    data = (folder / f"{record[kind]['id']}.{kind}").read_bytes()
    counts = [count for count, _ in sections.values()]
    starts = offsets_of([np.dtype(dtypes[n]).itemsize * c for n, c in zip(sections, counts, strict=True)])
    return {
        name: np.frombuffer(data, dtypes[name], count, start).copy()
        for (name, (count, _)), start in zip(sections.items(), starts, strict=False)
    }


def write_arrays(folder: Path, kind: str, record: Body, arrays: dict[str, np.ndarray], serial: str) -> None:
    """Replace a file of a segment, and its entry in the manifest's body."""
    made = describe(kind, serial, arrays)
    starts = offsets_of([a.nbytes for a in arrays.values()])
    data = bytearray(starts[-1])
    for array, start in zip(arrays.values(), starts, strict=False):
        data[start : start + array.nbytes] = array.tobytes()
    (folder / f"{made.id}.{kind}").write_bytes(data)
    sections = {name: [s.count, s.digest] for name, s in made.sections.items()}
    record[kind] = record[kind] | {"id": made.id, "sections": sections}


def mutate_array(rng: random.Random, array: np.ndarray) -> np.ndarray:
    """One of the ways in which an array may lie."""
    way = rng.randrange(9)
    if way == 0 or len(array) == 0:
        extra = np.frombuffer(rng.randbytes(array.itemsize * rng.choice([1, 2, 60])), array.dtype)
        return np.concatenate((array, extra))
    at = rng.randrange(len(array))
    if way == 1:
        return array[:at]
    if way == 2:
        return array[::-1].copy()
    if way == 3:
        array[at] = array[rng.randrange(len(array))]
    elif way == 4:
        other = rng.randrange(len(array))
        array[[at, other]] = array[[other, at]]
    elif way == 5:
        array[at:] = np.roll(array[at:], 1)
    elif way == 6:
        raw = array.view(np.uint8)
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    else:
        value = (
            rng.choice(EXTREMES)
            if way == 7
            else int(array.view(f"<i{array.itemsize}")[at]) + rng.choice([-1, 1])
        )
        raw = array.view(f"<u{array.itemsize}")
        raw[at if rng.random() < 0.7 else slice(at, None)] = value % (1 << 8 * array.itemsize)
    return array


def forge_arrays(folder: Path, seed: int) -> None:
    """Change one to three arrays of a segment (and sometimes its counts) and make every checksum right."""
    rng = random.Random(seed)
    body = read_body(folder)
    record = rng.choice(body["segments"])
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        kind = rng.choice(["postings"] * 6 + ["ids", "payload", "deleted"])
        arrays = read_arrays(folder, kind, record)
        name = rng.choice(sorted(arrays))
        arrays[name] = mutate_array(rng, arrays[name])
        write_arrays(folder, kind, record, arrays, str(seed))
        if rng.random() < 0.2:
            owner, key = rng.choice(
                [(record, "n_docs"), (record, "nnz"), (body, "n_terms"), (record["deleted"], "count")]
            )
            owner[key] = max(0, owner[key] + rng.choice([-1, 1, 1 - owner[key], 1000]))
    write_body(folder, body)


def mutate_body(rng: random.Random, body: Body) -> Body:
    """Change values of a manifest: numbers, names, subtrees swapped, entries dropped or repeated."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        places: list[tuple[Any, Any]] = []
        waiting: list[Any] = [body]
        while waiting:
            value = waiting.pop()
            for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
                places.append((value, key))
                if isinstance(inner, dict | list):
                    waiting.append(inner)
        owner, key = rng.choice(places)
        way = rng.randrange(6)
        if way == 0:
            del owner[key]
        elif way == 1:
            other, place = rng.choice(places)
            owner[key] = json.loads(json.dumps(other[place]))
        elif way == 2:
            owner[key] = rng.choice(VALUES)
        elif isinstance(owner, list):
            owner.insert(key, json.loads(json.dumps(owner[key])))
        elif isinstance(owner[key], int):
            owner[key] = rng.choice(EXTREMES)
        else:
            owner[rng.choice(["new", "id", "count", "n_docs", ""])] = owner[key]
    return body


def forge_body(folder: Path, seed: int) -> None:
    """A manifest that lies, under a right checksum."""
    write_body(folder, mutate_body(random.Random(seed), read_body(folder)))


def in_copies(source: Path, forge: Callable[[Path, int], None]) -> Callable[[], Trial]:
    """A trial: forge a copy of the index, look at everything, and put the files back."""

    def prepare() -> Trial:
        folder = victim.copy(source, source.parent / f"copy-{os.getpid()}")
        original = {p.name for p in source.iterdir()}

        def trial(seed: int) -> str:
            shutil.copyfile(source / "manifest.json", folder / "manifest.json")
            for path in folder.iterdir():
                if path.name not in original:
                    path.unlink()
            forge(folder, seed)
            try:
                victim.answers(folder)
            except victim.REFUSED:
                return "refused"
            return "sound answers"

        return trial

    return prepare


def _forged(forge: Callable[[Path, int], None], name: str, count: int, seed: int) -> Tally:
    total = Tally()
    with scratch() as folder:
        for part, config in enumerate(victim.KINDS):
            source = folder / f"ix-{part}"
            victim.build(source, config)
            victim.answers(source)
            seeds = range(seed + part, seed + count, len(victim.KINDS))

            def lost(seed: int, source: Path = source) -> None:
                """Forge again what was lost, into the corpus."""
                forge(victim.copy(source, CORPUS / f"{name}-{seed}"), seed)

            total.add(forked(in_copies(source, forge), seeds, batch=250, lost=lost))
    return total


def forged_arrays(count: int, seed: int) -> Tally:
    """Test 3: arrays that lie, under right checksums: an error, or answers that are documents with scores."""
    return _forged(forge_arrays, "forged-arrays", count, seed)


def forged_manifests(count: int, seed: int) -> Tally:
    """Test 18, with files: manifests that lie about files that are there."""
    return _forged(forge_body, "forged-manifest", count, seed)


def without_validation(count: int, seed: int) -> Tally:
    """Test 4: the same forgeries with the structural checks taken out. The test has to see processes die."""

    def prepare_blind(source: Path) -> Callable[[], Trial]:
        prepare = in_copies(source, forge_arrays)

        def blind() -> Trial:
            for owner, names in BLINDED:
                for name in names:
                    setattr(owner, name, lambda *args, **kwargs: None)
            trial = prepare()

            def tried(seed: int) -> str:
                try:
                    return trial(seed)
                except Exception as error:
                    return f"raised {type(error).__name__}"

            return tried

        return blind

    with scratch() as folder:
        victim.build(folder / "ix")
        victim.answers(folder / "ix")
        tally = forked(prepare_blind(folder / "ix"), range(seed, seed + count), batch=100, patience=0.5)
    died = sum(n for name, n in tally.outcomes.items() if name.startswith("SIG"))
    tally.losses = [] if died else ["no process died: the forgeries do not test the validation"]
    assert layout.check_structure is segment.check_structure, "the parent's checks were touched"
    return tally
