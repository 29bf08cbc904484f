"""`Progress`: how a long call tells how far it is, to a person or to a program."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

# True shows a bar on standard error, None only where that is a terminal, False shows nothing; a function is
# called with (done, total), total None where it is not known beforehand
Progress = bool | None | Callable[[int, int | None], None]


class ProgressBar:
    """A bar, or the calls of a function, or nothing, for `with`.

    Args:
        progress: what the caller asked for.
        total: number of steps; None: not known.
        label: one word before the bar.
        unit: what a step is, " docs".
        done: steps that an earlier call has done.
    """

    def __init__(
        self, progress: Progress, total: int | None, *, label: str, unit: str, done: int = 0
    ) -> None:
        self._done, self._total = done, total
        self._call = progress if callable(progress) else None
        self._bar: Any = None
        # no bar is made unless it shows: even a disabled one takes a lock that forked processes share, and a
        # process that is killed while it holds the lock blocks all others for good
        if progress is True or (progress is None and sys.stderr is not None and sys.stderr.isatty()):
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, initial=done, desc=label, unit=unit)
        if self._call is not None:
            self._call(done, total)

    def advance(self, steps: int = 1) -> None:
        """Some more steps are done."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(steps)
        if self._call is not None:
            self._call(self._done, self._total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
