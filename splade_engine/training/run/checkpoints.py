"""Which checkpoints of a run can be resumed from.

A checkpoint is whole when its `complete.json` is there, which is written last, and every file has the digest
that stands in it. One that was cut short by a kill is passed over without a word; one that is damaged, or
belongs to another run, is passed over with a line that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from splade_engine.errors import SpladeEngineError
from splade_engine.files import digest_of_file, read_json, write_json
from splade_engine.training.run.inputs import digest_of_run

COMPLETE = "complete.json"


def mark_complete(checkpoint: Path) -> None:
    """Note the size and the digest of every file of a checkpoint, and the run that it belongs to."""
    files = {
        path.name: {"bytes": path.stat().st_size, "digest": digest_of_file(path)}
        for path in sorted(checkpoint.iterdir())
        if path.is_file() and path.name != COMPLETE
    }
    record = {"format": 1, "run": digest_of_run(_run_of(checkpoint)), "files": files}
    write_json(checkpoint / COMPLETE, record, indent=None)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of the run in `folder`, whole or not, the newest first."""
    found = [path for path in (folder / "checkpoints").glob("checkpoint-*") if step_of(path) is not None]
    return sorted(found, key=lambda path: step_of(path) or 0, reverse=True)


def step_of(checkpoint: Path) -> int | None:
    """Its optimiser step; None where the name holds none."""
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() else None


def last_checkpoint(folder: Path, say: Callable[[str], None] = lambda text: None) -> Path | None:
    """The newest whole checkpoint of the run in `folder`, None where there is none.

    Args:
        folder: of the run.
        say: is told about each checkpoint that is passed over although it was complete once.
    """
    for checkpoint in checkpoints(folder):
        fault = _fault(checkpoint)
        if fault is None:
            return checkpoint
        if fault:
            say(f"{checkpoint}: passed over, {fault}")
    return None


def _fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; "" for one that was never completed, None for a whole one."""
    path = checkpoint / COMPLETE
    if not path.is_file():
        return ""
    try:
        record: Any = read_json(path)
        files, run = record["files"], record["run"]
        noted = {str(name): (int(of["bytes"]), str(of["digest"])) for name, of in files.items()}
    except (SpladeEngineError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return f"its {COMPLETE} is damaged"
    if run != digest_of_run(_run_of(checkpoint)):
        return "it belongs to another run"
    for name, (size, digest) in noted.items():
        file = checkpoint / name
        try:
            if file.stat().st_size != size:
                return f"{name} has {file.stat().st_size:,} of {size:,} bytes"
            if digest_of_file(file) != digest:
                return f"{name} is damaged"
        except OSError as error:
            return f"{name}: {error.strerror or error}"
    return None


def _run_of(checkpoint: Path) -> Path:
    return checkpoint.parent.parent
