"""Signals at random moments of long commands: one line, and the same command gives what it would have."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from splade_engine.index import SparseIndex
from tests.attacks.trials import Tally, scratch
from tests.encoder import zoo
from tests.encoder.made import random_texts
from tests.index import made as index_made
from tests.training import made

START = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with it ignored
os.write(1, b"ready\\n")
from splade_engine.cli import main
main()
"""
# what is sent, the exit code, and what the line begins with; SIGKILL leaves no time for one
SENT = {
    signal.SIGINT: (130, "interrupted"),
    signal.SIGTERM: (143, "terminated"),
    signal.SIGHUP: (129, "the terminal was closed"),
    signal.SIGKILL: (-signal.SIGKILL, ""),
}
OUT = "OUT"  # stands for the output among the arguments
MOST = 3  # interruptions of a command before it may end
PATIENCE = 300  # seconds for a command, and for its end after Ctrl-C


@dataclass(frozen=True)
class Command:
    """What is run: its arguments, in which OUT stands for its output, and what it finds there."""

    arguments: list[str]
    before: Path | None = None

    def given(self, output: Path) -> list[str]:
        return [str(output) if argument == OUT else argument for argument in self.arguments]

    def start(self, output: Path) -> None:
        """An output as the command finds it, and nothing beside it."""
        shutil.rmtree(output.parent, ignore_errors=True)
        output.parent.mkdir()
        if self.before is not None:
            shutil.copytree(self.before, output)


def _inputs(folder: Path) -> dict[str, Command]:
    """The commands that are ended."""
    model = zoo.make("opensearch", folder / "model")
    bert = made.lexical_bert(folder / "bert")
    texts = [". ".join(random_texts(3, seed=i)) + "." for i in range(300)]
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"_id": str(i), "text": t}) + "\n" for i, t in enumerate(texts)))
    rows = made.write_jsonl(folder / "rows.jsonl", made.synthetic_rows(300))
    pairs = [{name: row[name] for name in ("query", "positive")} for row in made.synthetic_rows(600)]
    mined = made.write_jsonl(folder / "pairs.jsonl", pairs)
    steps = {"train__steps": 20, "train__save_steps": 4, "train__device": "cpu"}
    recipe = folder / "recipe.toml"
    recipe.write_text(made.quick_recipe("splade-v2-max", bert, rows, **steps).to_toml())
    encoding = ["--batch-tokens", "2000", "-e", str(model), "-o", OUT]
    mining = ["--retriever", f"sparse:{bert}", "--teacher", "bm25", "--device", "cpu"]
    parts = [folder / f"part-{number}" for number in range(3)]
    for number, part in enumerate(parts):
        rows_of = range(1000 * number, 1000 * (number + 1))
        SparseIndex.build(part, index_made.vectors(number, 1000), list(map(str, rows_of)), threads=1)
    grown = folder / "grown"
    shutil.copytree(parts[0], grown)
    SparseIndex.open(grown).add(index_made.vectors(9, 300), [f"n{i}" for i in range(300)], threads=1)
    SparseIndex.open(grown).delete(["3", "n4"])
    return {
        "index": Command(["index", str(corpus), "--threads", "1", *encoding]),
        "index --adapt": Command(["index", str(corpus), "--adapt", "--threads", "1", *encoding]),
        "encode": Command(["encode", str(corpus), "--format", "arrow", *encoding]),
        "adapt": Command(["adapt", str(corpus), "--force", *encoding]),
        "mine": Command(["mine", str(mined), *mining, "-o", OUT]),
        "train": Command(["train", "-r", str(recipe), "-o", OUT]),
        "merge": Command(["merge", *map(str, parts), "--threads", "1", "-o", OUT]),
        "compact": Command(["compact", OUT], grown),
        "tune": Command(["tune", OUT, "--target", "0.9"], grown),
        "export": Command(["export", str(grown), "--to", "qdrant", "--no-measure", "-o", OUT]),
    }


def _made(command: str, output: Path) -> object:
    """What a command has made, as far as it is the same each time."""
    if output.is_file():
        return output.read_bytes()
    if command == "tune":  # what is fastest changes from time to time
        index = SparseIndex.open(output)
        return [setting.target for setting in index.info().tuned], index.ids()
    # a run's folder holds times; of other folders every file is the same, but for the locks
    files = (output / "model" if command == "train" else output).rglob("*")
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in files
        if path.is_file() and path.name != "write.lock"
    }


def _ended(arguments: list[str], interrupt: Callable[[subprocess.Popen[bytes]], None]) -> tuple[int, str]:
    """Exit code of a command and what it wrote to standard error."""
    with subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as running:
        assert running.stdout is not None
        os.read(running.stdout.fileno(), 6)
        interrupt(running)
        _, errors = running.communicate(timeout=PATIENCE)
    return running.returncode, errors.decode(errors="replace")


def interrupted(count: int, seed: int) -> Tally:
    """End each command in turn up to three times, at random moments, imports included."""
    tally, rng = Tally(), random.Random(seed)
    with scratch() as folder:
        commands, whole, usual = _inputs(folder), {}, {}
        work = folder / "work"
        output = work / "out"  # always: an index that keeps its encoder says where it is
        for number in range(count):
            command = list(commands)[number % len(commands)]
            if command not in whole:
                commands[command].start(output)
                start = time.monotonic()
                code, errors = _ended(commands[command].given(output), lambda running: None)
                assert code == 0, errors
                usual[command] = time.monotonic() - start
                whole[command] = _made(command, output)
            commands[command].start(output)
            wrong = _trial(command, commands[command], output, usual[command], rng, tally)
            if not wrong and _made(command, output) != whole[command]:
                wrong = "another result"
            if not wrong and [path.name for path in work.iterdir()] != ["out"]:
                wrong = "something is left beside the result"
            tally.trials += 1
            if wrong:
                tally.losses.append(f"{command}, trial {number} of seed {seed}: {wrong}")
    return tally


def _trial(command: str, run: Command, output: Path, usual: float, rng: random.Random, tally: Tally) -> str:
    """End a command before its time, then let it run; what was wrong with that, "" if nothing."""
    for interruption in range(MOST + 1):
        moment = rng.uniform(0, 1.5 if rng.random() < 0.2 else 1.15 * usual)
        sent = rng.choice(list(SENT))
        expected, said = SENT[sent]

        def press(
            running: subprocess.Popen[bytes], moment: float = moment, sent: signal.Signals = sent
        ) -> None:
            try:
                running.wait(moment)
            except subprocess.TimeoutExpired:
                running.send_signal(sent)

        resumes = command == "train" and (output / "recipe.toml").exists()
        given = ["train", "--resume", "-o", str(output)] if resumes else run.given(output)
        code, errors = _ended(given, press if interruption < MOST else lambda running: None)
        if code == 0 or (interruption and code == 2 and f"{output}: exists already" in errors):  # it was done
            tally.outcomes[f"{command}: whole"] += 1
            return ""
        if code == -sent:  # killed, or before the first line of the program (`cli/interrupts.py`)
            tally.outcomes[f"{command}: killed"] += 1
            continue
        last = (errors.rstrip().splitlines() or [""])[-1]
        one_line = last.startswith(f"splade-engine: {said}") and errors.count("splade-engine: ") == 1
        if code != expected or "Traceback" in errors or not one_line:
            return f"{sent.name}, exit {code}: {errors[-1000:]}"
        tally.outcomes[f"{command}: {said}"] += 1
    return "it did not end"
