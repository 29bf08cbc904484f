"""`LoadedFiles`: the files of a checkpoint as they were when it was loaded.

A model's weights are read when the first text needs them, and its hash is taken when an index asks for it.
Where another model was written into the folder meanwhile, an index would name one encoder and hold the
vectors of another. So both look whether the files are still the same.
"""

from __future__ import annotations

from typing import Any

from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.fingerprint import checkpoint_hash, checkpoint_stamp
from splade_engine.errors import CheckpointError, SpladeEngineError


class LoadedFiles:
    """The files of a checkpoint that was just read."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._stamp: str | None = checkpoint_stamp(checkpoint)
        self._hash: str | None = None

    @property
    def hash(self) -> str:
        """The hash of the checkpoint that was loaded.

        Raises:
            CheckpointError: its files have changed since.
        """
        if self._hash is None:
            found = checkpoint_hash(self._checkpoint)
            self.check()
            self._hash = found
        return self._hash

    def check(self) -> None:
        """Compare the files with those that were loaded: by dates and sizes, and else by what they hold.

        Raises:
            CheckpointError: they have changed.
        """
        stamp = self._now()
        if stamp is not None and stamp == self._stamp:
            return
        if self._hash is None or checkpoint_hash(self._checkpoint) != self._hash:
            folder = self._checkpoint.folder
            raise CheckpointError(
                f"{folder}: its files have changed since the encoder was loaded; load it again"
            )
        self._stamp = stamp

    def _now(self) -> str | None:
        try:
            return checkpoint_stamp(self._checkpoint)
        except (OSError, SpladeEngineError):  # one of them is gone
            return None

    def __getstate__(self) -> dict[str, Any]:
        """With the hash: another machine has copies of the files, with other dates."""
        try:
            known = self.hash
        except (OSError, SpladeEngineError):
            known = None
        return {**vars(self), "_hash": known}
