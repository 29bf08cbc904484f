"""Folders that this library made: what a command or a function writes for the user goes elsewhere.

Such a folder is one thing. It is moved, shared, replaced and deleted whole, and what its owner did not write
is in the way or lost with it. Each kind is known by a file that it always holds, and by what stands in it.
The names of these files are decided here; the packages that write them import them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from splade_engine.errors import InvalidInputError

INDEX, INDEX_MAGIC = "manifest.json", "splade-engine index"
TRAINING_RUN, TRAINING_RUN_INPUTS, TRAINING_RUN_LOG = "recipe.toml", "run.json", "log.jsonl"
RESULTS = "experiment.json"
ENCODING = "plan.json"
EXPORT = "record.json"
_BEGINNING = 1 << 16  # bytes of the file that are looked at


@dataclass(frozen=True)
class _Kind:
    """A kind of folder: its name in a message, its file, and what that file or another one beside it says."""

    title: str
    file: str
    holds: bytes = b""
    beside: tuple[str, ...] = ()
    # whether folders within it are its own too: they are looked into
    deep: bool = False
    # whether reports about it may lie in it
    reports: bool = False


_KINDS = (
    _Kind("an index", INDEX, f'"magic":"{INDEX_MAGIC}"'.encode(), deep=True),
    _Kind("an encoder", "config.json", beside=("tokenizer.json", "tokenizer_config.json", "modules.json")),
    _Kind("a training run", TRAINING_RUN, beside=(TRAINING_RUN_INPUTS, TRAINING_RUN_LOG)),
    _Kind("results", RESULTS, b'"format"', reports=True),
    _Kind("an encoding", ENCODING, b'"shard_docs"'),
    _Kind("an export", EXPORT, b'"target"'),
)


def refuse_ours(path: Path, *, report: bool = False) -> None:
    """Refuse to write a file or a folder into a folder of ours, whether or not it is there already.

    Args:
        path: what is to be written.
        report: it is a table, a page or a run, which may lie in a folder of results.

    Raises:
        InvalidInputError: naming both.
    """
    with suppress(OSError, RuntimeError):  # whoever writes there says what is wrong with the name
        for depth, folder in enumerate(path.resolve().parents):
            for kind in _KINDS:
                if (depth and not kind.deep) or (report and kind.reports) or not _is(folder, kind):
                    continue
                raise InvalidInputError(
                    f"{path}: lies in {folder}, which is {kind.title}; choose another place"
                )


def _is(folder: Path, kind: _Kind) -> bool:
    file = folder / kind.file
    if not file.is_file() or (kind.beside and not any((folder / name).is_file() for name in kind.beside)):
        return False
    if not kind.holds:
        return True
    with file.open("rb") as opened:
        return kind.holds in opened.read(_BEGINNING)
