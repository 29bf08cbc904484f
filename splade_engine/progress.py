"""`Progress`: how a long call tells how far it is, to a person or to a program."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# True shows a bar on standard error, None only where that is a terminal, False shows nothing; "lines" logs a
# line a minute, for a file or a pipe; a function is called with (done, total), total None where it is not
# known beforehand. A call of several stages (reading, encoding, then building) begins each of them with done
# as 0, or with what an earlier call has done of it. What the function raises ends the call, as Ctrl-C would.
Progress = bool | None | Literal["lines"] | Callable[[int, int | None], None]

LINE_EVERY = 60.0  # seconds


def check_progress(progress: Progress) -> None:
    """Refuse what is none of the ways to tell how far a call is.

    Raises:
        InvalidInputError: naming the value.
    """
    lines = isinstance(progress, str) and progress == "lines"
    if not (progress is None or isinstance(progress, bool) or callable(progress) or lines):
        raise InvalidInputError(
            f'progress: True, False, None, "lines" or a function is expected, got {shown(progress)}'
        )


def shows_bar(progress: Progress) -> bool:
    """Whether a bar appears on standard error."""
    check_progress(progress)
    return progress is True or (progress is None and sys.stderr is not None and sys.stderr.isatty())


def write_above(line: str) -> None:
    """A line on standard error, above the bars that are there."""
    from tqdm.auto import tqdm

    tqdm.write(line, file=sys.stderr)


class ProgressBar:
    """A bar, a line a minute, the calls of a function, or nothing, for `with`.

    Args:
        progress: what the caller asked for.
        total: number of steps; None: not known.
        label: one word before the bar.
        unit: what a step is, " docs".
        done: steps that an earlier call has done.
        keep: leave the bar on the screen when it is closed.

    Raises:
        InvalidInputError: `progress` is no way to tell it.
    """

    def __init__(
        self,
        progress: Progress,
        total: int | None,
        *,
        label: str,
        unit: str,
        done: int = 0,
        keep: bool = True,
    ) -> None:
        self._done, self._total = done, total
        self._call = progress if callable(progress) else None
        self._lines = progress == "lines"
        self._label, self._unit = label, unit.strip().removesuffix("s") + "s"
        self._began = self._said = time.monotonic()
        self._first = done
        self._bar: Any = None
        # no bar is made unless it shows: even a disabled one takes a lock that forked processes share, and a
        # process that is killed while it holds the lock blocks all others for good
        if shows_bar(progress):
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, initial=done, desc=label, unit=unit, leave=keep)
        if self._call is not None:
            self._call(done, total)

    def advance(self, steps: int = 1) -> None:
        """Some more steps are done."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(steps)
        if self._call is not None:
            self._call(self._done, self._total)
        if self._lines and time.monotonic() - self._said >= LINE_EVERY:
            self._said = time.monotonic()
            logger.info("%s", self._line())

    def _line(self) -> str:
        """As `encode: 1,280 of 45,000 docs (3%), 12 minutes left`."""
        if self._total is None:
            return f"{self._label}: {self._done:,} {self._unit}"
        share = self._done / max(self._total, 1)
        line = f"{self._label}: {self._done:,} of {self._total:,} {self._unit} ({share:.0%})"
        new = self._done - self._first
        if new <= 0:
            return line
        left = (self._said - self._began) * (self._total - self._done) / new
        return f"{line}, {duration(left)} left"

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each of them a step that is done when the next one is asked for."""
        for item in items:
            yield item
            self.advance()

    def note(self, text: str, *, now: bool = False) -> None:
        """A few words behind the bar, at its next move or at once; a function is not told."""
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=now)

    def close(self) -> None:
        """Nothing more will be done; closing twice is fine."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def heartbeat(progress: Progress, label: str) -> Iterator[None]:
    """Log a line a minute while the block runs, where lines are asked for: nobody counts its steps.

    Args:
        progress: what the caller asked for; anything but "lines" logs nothing.
        label: what is done, "compact".
    """
    check_progress(progress)
    if progress != "lines":
        yield
        return
    done, began = threading.Event(), time.monotonic()

    def beat() -> None:
        while not done.wait(LINE_EVERY):
            logger.info("%s: %s so far", label, duration(time.monotonic() - began))

    thread = threading.Thread(target=beat, name=f"heartbeat of {label}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def duration(seconds: float) -> str:
    """A time for people: "40 seconds", "12 minutes", "3.5 hours"."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
