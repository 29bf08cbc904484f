"""Test 18: manifests changed at random, under a right checksum, given to the parser alone."""

from __future__ import annotations

import json
import random

from splade_engine.errors import IndexCorruptError, IndexVersionError
from splade_engine.index.disk.manifest import decode, encode
from splade_engine.index.disk.storage import digest
from tests.attacks import victim
from tests.attacks.hostile import mutate_body, read_body
from tests.attacks.trials import Tally, scratch


def mutated(count: int, seed: int) -> Tally:
    """Nothing but the two index errors may come out; and what is accepted can be written and read again."""
    tally = Tally()
    with scratch() as folder:
        victim.build(folder / "ix")
        body = json.dumps(read_body(folder / "ix"))
    for number in range(seed, seed + count):
        rng = random.Random(number)
        text = json.dumps(mutate_body(rng, json.loads(body))).encode()
        if rng.random() < 0.2:  # and of the text itself
            at = rng.randrange(len(text))
            text = (
                text[:at]
                + rng.choice([b"", b"}", b'"', b"\xff", b"1e999", b"NaN", b"[" * 2000])
                + text[at + 1 :]
            )
        data = b'{"body":' + text + f',"xxh3_128":"{digest(text)}"}}\n'.encode()
        tally.trials += 1
        try:
            manifest = decode(data, "manifest.json")
            assert decode(encode(manifest), "again") == manifest
            tally.outcomes["accepted"] += 1
        except (IndexCorruptError, IndexVersionError):
            tally.outcomes["refused"] += 1
        except Exception as error:
            tally.losses.append(f"seed {number}: {type(error).__name__}: {error}")
    return tally
