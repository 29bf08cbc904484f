"""ANCE's index in a process of its own, so that training goes on meanwhile (arXiv 2007.00808, section 4).

The run writes its weights and a `Hunt` into a folder; `python -m splade_engine.training.mining.beside FOLDER`
encodes with the weights as they were then, searches, and writes the negatives down. They are taken at the
next renewal, and only there does training wait for them, if it has to. So which weights chose which negatives
depends on steps and not on clocks, and a run that is resumed gets the same ones: what was found stays in the
run's cache, and a hunt that was cut short is begun again from the weights that it was given.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import TrainingError
from splade_engine.files import atomic_file, read_json, write_json
from splade_engine.training.kept import keep, kept
from splade_engine.training.mining.hunt import Hunt, found_in
from splade_engine.training.student.saving import save_student
from splade_engine.training.student.student import Student

MODEL, HUNT, FOUND, LOG = "model", "hunt.json", "negatives.json", "log.txt"
_LARGEST = 1 << 32  # bytes of a hunt: the texts of its pool


class Beside:
    """The hunts of a run.

    Args:
        folder: holds one folder for each.
        run: tells this run from others, whose hunts are not taken for its own.
    """

    def __init__(self, folder: Path, run: str = "") -> None:
        self.folder, self.run = folder, run
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(
        self, step: int, hunt: Hunt, student: Student, documents: TextTokenizer, queries: TextTokenizer
    ) -> None:
        """Begin a hunt with the student's weights as they are after `step`."""
        folder = self._of(step)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that got further and was resumed from before
        folder.mkdir(parents=True)
        save_student(student, folder / MODEL, documents, queries)
        keep(folder / MODEL, [self.run, step])
        write_json(folder / HUNT, asdict(hunt), indent=None)
        keep(folder / HUNT, [self.run, step])
        self._launch(step)

    def negatives(self, step: int) -> dict[int, tuple[str, ...]]:
        """What the hunt that began after `step` has found; waits for it.

        Raises:
            TrainingError: if its process failed, or its folder is gone or damaged.
        """
        folder, own = self._of(step), [self.run, step]
        if step not in self._running and not kept(folder / FOUND, own):
            if not (kept(folder / HUNT, own) and kept(folder / MODEL, own)):
                raise TrainingError(
                    f"{folder}: gone or damaged, and with it the negatives of step {step}; start a new run"
                )
            self._launch(step)
        if (process := self._running.pop(step, None)) is not None:
            failed = process.wait()
            _end(process)
            if failed:
                told = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
                why = told[-1][:300] if told else f"exit {failed}"
                raise TrainingError(f"renewing the negatives of step {step} failed ({why})")
            keep(folder / FOUND, own)
        found: dict[str, list[str]] = read_json(folder / FOUND, most=_LARGEST)
        shutil.rmtree(folder / MODEL, ignore_errors=True)
        (folder / HUNT).unlink(missing_ok=True)
        return {int(number): tuple(texts) for number, texts in found.items()}

    def close(self) -> None:
        """End what is still running."""
        for process in self._running.values():
            process.kill()
            process.wait()
            _end(process)
        self._running.clear()

    def _of(self, step: int) -> Path:
        return self.folder / f"step-{step}"

    def _launch(self, step: int) -> None:
        command = [sys.executable, "-m", __name__, str(self._of(step))]
        # its standard input ends with the run, however that ends; Ctrl-C is the run's own matter
        with (self._of(step) / LOG).open("wb") as log:
            self._running[step] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def hunt_in(folder: Path) -> None:
    """Encode, search and write down the negatives of the hunt in `folder`."""
    from splade_engine.encoder import SparseEncoder

    hunt = Hunt(**read_json(folder / HUNT, most=_LARGEST))
    encoder = SparseEncoder.load(folder / MODEL, device="cpu", dtype="float32", max_length=hunt.length)
    documents, queries = encoder.encode_documents(hunt.pool), encoder.encode_queries(hunt.queries)
    negatives = hunt.drawn(found_in(folder / "index", documents, queries, hunt.hits))
    shutil.rmtree(folder / "index")
    with atomic_file(folder / FOUND) as out:
        out.write(json.dumps({str(n): texts for n, texts in negatives.items()}, ensure_ascii=False).encode())


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin: a thread that waits in its buffer keeps the process from ending
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    hunt_in(Path(sys.argv[1]))
