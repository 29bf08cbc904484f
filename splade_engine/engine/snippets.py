"""`Snippet`: the stretch of a text that shows why it was found, with the matching words marked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from splade_engine.plain_text import whole_before, whole_behind

Span = tuple[int, int]
LENGTH = 300  # characters, where nothing else is asked for
LEAD = 40  # characters before the first match
# Characters of a text that are looked at: a text of 100 MB costs no more than its beginning. An encoder reads
# some thousand characters of a text.
READ = 1 << 18


@dataclass(frozen=True, slots=True)
class Snippet:
    """A stretch of a text."""

    text: str
    # where it begins in the whole text
    start: int
    # (start, end) of the matching words, within `text`
    spans: tuple[Span, ...]
    # whether something that is no white space is left out before and behind
    cut: tuple[bool, bool]

    def marked(self, before: str = "**", behind: str = "**") -> str:
        """The text with the matching words between two marks, and "..." where something is left out.

        The text is not escaped: what shows HTML takes `text` and `spans`.
        """
        parts, at = [], 0
        for a, b in self.spans:
            if a >= at:
                parts += [self.text[at:a], before, self.text[a:b], behind]
                at = b
        text = "".join([*parts, self.text[at:]])
        return ("... " if self.cut[0] else "") + text + (" ..." if self.cut[1] else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the server answers with."""
        return asdict(self)


def snippet(text: str, spans: Sequence[Span], length: int = LENGTH, *, more: bool = False) -> Snippet:
    """The `length` characters that hold most matching words.

    Args:
        text: the text, or its beginning.
        spans: (start, end) of its matching words, in order.
        length: characters, at least 1.
        more: whether the text goes on.
    """
    start, stop = best_window(text, spans, length)
    inside = tuple((a - start, b - start) for a, b in spans if a >= start and b <= stop)
    return Snippet(
        text[start:stop], start, inside, (bool(text[:start].strip()), more or bool(text[stop:].strip()))
    )


def best_window(text: str, spans: Sequence[Span], length: int) -> Span:
    """(start, stop) of the stretch of `length` characters with most spans; the beginning if it is as good.

    It begins and ends between words where a space is near, but cuts no matching word off for that: Chinese
    and Japanese have no spaces. What is shown as one character, as an emoji of several, is not cut.
    """
    if len(text) <= length:
        return 0, len(text)
    lead = min(LEAD, length // 4)
    ends = list(accumulate((end for _, end in spans), max))
    start, shown = 0, bisect_right(ends, length)
    keep = ends[shown - 1] if shown else 0  # the end of the last match that is shown
    for i, (first, _) in enumerate(spans):
        last = bisect_right(ends, first + length - lead)
        if last - i > shown:
            start, shown, keep = max(0, first - lead), last - i, ends[last - 1]
    if start:
        space = text.find(" ", start, start + lead)
        start = space + 1 if space >= 0 else whole_behind(text, start, start + lead)
    stop = min(start + length, len(text))
    if stop < len(text):
        space, most = text.rfind(" ", start + length // 2, stop + 1), stop
        stop = whole_before(text, max(space, keep) if space >= 0 else stop, max(start, keep - 1))
        stop = whole_behind(text, stop, most)
    return start, stop
