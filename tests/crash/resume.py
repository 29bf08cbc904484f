"""Test 9: SIGKILL anywhere in encoding and building; the same call then makes the undisturbed index."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

from splade_engine.collections import Document
from splade_engine.engine import SearchEngine
from tests.attacks.trials import Tally, scratch
from tests.crash.faulty import FaultyOs, installed
from tests.crash.soak import contents
from tests.fake_encoder import WORDS, FakeEncoder


class SlowEncoder(FakeEncoder):
    """Takes its time, so that a kill hits the encoding as well."""

    def encode_documents(self, texts: list[str], **options: object) -> object:
        time.sleep(0.004)
        return super().encode_documents(texts, **options)


def corpus(seed: int, n: int = 400) -> list[Document]:
    """Documents of known words."""
    rng = random.Random(seed)
    return [
        Document(
            f"d{i}",
            " ".join(rng.choices(WORDS[1:], k=20)),
            title=f"title {i}",
            metadata={"year": 1980 + i % 40},
        )
        for i in range(n)
    ]


def _work(folder: Path, documents: list[Document]) -> None:
    with installed(FaultyOs(pause=0.001)):
        SearchEngine.build(folder, documents, SlowEncoder(), threads=1)


def _started(folder: Path, documents: list[Document]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _work(folder, documents)
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def killed_and_resumed(count: int, seed: int) -> Tally:
    """Kill at random moments until the call gets through; some runs are killed several times."""
    tally, rng, documents = Tally(), random.Random(seed), corpus(seed)
    with scratch() as folder:
        start = time.monotonic()
        SearchEngine.build(folder / "whole", documents, SlowEncoder(), threads=1)
        start = time.monotonic()
        SearchEngine.build(folder / "again", documents, SlowEncoder(), threads=1)
        usual = time.monotonic() - start + 0.02
        whole = contents(folder / "whole")
        for number in range(count):
            for path in (folder / "ix", folder / "ix.encoding"):
                shutil.rmtree(path, ignore_errors=True)
            kills = 0
            while True:
                pid = _started(folder / "ix", documents)
                if kills < 3:
                    time.sleep(rng.uniform(0, 1.3 * usual))
                    os.kill(pid, signal.SIGKILL)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                if code != -signal.SIGKILL:
                    break
                there = "index" if (folder / "ix" / "manifest.json").exists() else "shards only"
                tally.outcomes[f"killed with {there}"] += 1
                kills += 1
                if there == "index":  # published, but its encoding not yet removed: the build was done
                    code = 0
                    break
            tally.trials += 1
            if code != 0 or contents(folder / "ix") != whole:
                tally.losses.append(
                    f"run {number} of seed {seed}: exit {code} or another index after {kills} kills"
                )
    return tally
