"""The stretch of a text that shows why it was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Span = tuple[int, int]
_LEAD = 40  # characters shown before the first match


def snippet(text: str, spans: Sequence[Span], length: int) -> dict[str, Any]:
    """The `length` characters that hold most matching words, with the places of the words in them.

    Args:
        text: the whole text.
        spans: (start, end) of its matching words, in order.
        length: characters.
    """
    start, stop = _window(text, spans, length)
    inside = [(a - start, b - start) for a, b in spans if a >= start and b <= stop]
    return {
        "text": text[start:stop],
        "start": start,
        "spans": inside,
        "cut": (bool(text[:start].strip()), bool(text[stop:].strip())),
    }


def _window(text: str, spans: Sequence[Span], length: int) -> Span:
    if len(text) <= length:
        return 0, len(text)
    lead = min(_LEAD, length // 4)
    start, shown, last = 0, sum(1 for _, end in spans if end <= length), 0
    keep = spans[shown - 1][1] if shown else 0  # the end of the last match that is shown
    for i, (first, _) in enumerate(spans):  # `last`: one behind the last span that fits; it only moves on
        while last < len(spans) and spans[last][1] <= first - lead + length:
            last += 1
        if first > lead and last - i > shown:
            shown, keep = last - i, spans[last - 1][1]
            space = text.find(" ", first - lead, first)
            start = space + 1 if space >= 0 else first - lead
    stop = min(start + length, len(text))
    if stop < len(text):
        stop = max(text.rfind(" ", start, stop + 1), keep, start + length // 2)
    return start, stop
