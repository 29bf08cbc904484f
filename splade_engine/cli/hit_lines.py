"""A hit as a person reads it: where it stands, the best stretch of its text, and why it was found."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from splade_engine.cli import output
from splade_engine.plain_text import columns, left, one_line, right, without_controls

if TYPE_CHECKING:
    from splade_engine.engine.explain import Explanation, Span
    from splade_engine.engine.hits import Hit

SNIPPET = 300  # characters of a text, unless all of it is wanted
LEAD = 40  # characters of a snippet that stand before its first match
SHOWN_MATCHES = 8
_INDENT = "     "
_EXPANSION = "added by the encoder"
_WORD = re.compile(r"\S+")


def write_hit(hit: Hit, *, reasons: bool, length: int | None = SNIPPET, matches: int = SHOWN_MATCHES) -> None:
    """A line with rank, id, title and score, `length` characters of text (None: all), reasons."""
    why = hit.explain()
    output.write(_heading(hit))
    text = hit.text
    start, stop = best_window(text, why.text_spans, len(text) if length is None else length)
    for line in highlighted_lines(text, why.text_spans, start, stop, output.width() - len(_INDENT)):
        output.write(_INDENT + line)
    if reasons:
        for line in reason_lines(why, matches):
            output.write(_INDENT + line)
    output.write()


def _heading(hit: Hit) -> str:
    """Rank, id, title and score; on a terminal the title is cut where the line would not fit."""
    id = one_line(hit.id)
    title = "" if hit.title == hit.id else one_line(hit.title)
    score = f"({hit.score:.2f})"
    title = output.fitted(title, output.width() - columns(f"{hit.rank:>3}. {id}    {score}"))
    named = (
        f"{output.styled(id, 'id')}  {output.styled(title, 'heading')}" if title else output.styled(id, "id")
    )
    return f"{hit.rank:>3}. {named}  {score}"


def best_window(text: str, spans: Sequence[Span], length: int) -> Span:
    """(start, stop) of the stretch of `length` characters with most spans; the beginning if it is as good.

    It begins and ends between words where a space is near: Chinese and Japanese have none.
    """
    if len(text) <= length:
        return 0, len(text)
    ends = list(accumulate((end for _, end in spans), max))
    start, most = 0, bisect_right(ends, length)
    for i, (first, _) in enumerate(spans):
        inside = bisect_right(ends, first + length - LEAD) - i
        if inside > most:
            start, most = max(0, first - LEAD), inside
    if start:
        space = text.rfind(" ", max(0, start - LEAD), start + 1)
        start = space + 1 if space >= 0 else start
    stop = min(start + length, len(text))
    if stop < len(text):
        space = text.rfind(" ", start + length // 2, stop)
        stop = space if space >= 0 else stop
    return start, stop


def highlighted_lines(text: str, spans: Sequence[Span], start: int, stop: int, width: int) -> Iterator[str]:
    """`text[start:stop]` wrapped at `width` columns, the spans' characters highlighted on a terminal."""
    line, used = "", 0
    for visible, shown in _words(text, spans, start, stop, width):
        if used and used + 1 + visible > width:
            yield line
            line, used = "", 0
        line, used = (f"{line} {shown}", used + 1 + visible) if used else (shown, visible)
    if line:
        yield line


def _words(text: str, spans: Sequence[Span], start: int, stop: int, width: int) -> Iterator[tuple[int, str]]:
    """(columns, styled word) of the stretch, "..." where it does not begin or end with the text.

    A word wider than `width` comes in pieces that fit.
    """
    if _WORD.search(text, 0, start):
        yield 3, "..."
    next_span = 0
    for found in _WORD.finditer(text, start, stop):
        first, last = found.span()
        while next_span < len(spans) and spans[next_span][1] <= first:
            next_span += 1
        word = found[0]
        marked = next_span < len(spans) and spans[next_span][0] < last
        if not marked and columns(word) <= width:
            word = without_controls(word)
            if word:
                yield columns(word), word
            continue
        marks = [False] * (last - first)
        for a, b in _overlapping(spans, next_span, last):
            for place in range(max(a, first), min(b, last)):
                marks[place - first] = True
        yield from _pieces(word, marks, width)
    if _WORD.search(text, stop):
        yield 3, "..."


def _overlapping(spans: Sequence[Span], first: int, stop: int) -> Iterator[Span]:
    while first < len(spans) and spans[first][0] < stop:
        yield spans[first]
        first += 1


def _pieces(word: str, marks: Sequence[bool], width: int) -> Iterator[tuple[int, str]]:
    """(columns, styled text) of a word in pieces that fit `width`; the marked characters highlighted."""
    piece: list[tuple[str, bool]] = []
    used = 0
    for character, marked in zip(word, marks, strict=True):
        shown = without_controls(character)
        size = columns(shown)
        if piece and used + size > width:
            yield used, _styled(piece)
            piece, used = [], 0
        if shown:
            piece.append((shown, marked))
            used += size
    if piece:
        yield used, _styled(piece)


def _styled(piece: Sequence[tuple[str, bool]]) -> str:
    runs = (
        (marked, "".join(text for text, _ in run)) for marked, run in groupby(piece, lambda part: part[1])
    )
    return "".join(output.styled(text, "match") if marked else text for marked, text in runs)


def reason_lines(why: Explanation, limit: int = SHOWN_MATCHES) -> list[str]:
    """Term, query weight, document weight, share of the score and words of the document, as a table."""
    rows = [("term", "query", "document", "share")]
    words = [""]
    for match in why.matches[:limit]:
        weights = (f"{match.query_weight:.2f}", f"{match.document_weight:.2f}", f"{match.share:.0%}")
        rows.append((one_line(match.term), *weights))
        words.append(one_line(", ".join(match.words[:3])) or _EXPANSION)
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    room = output.width() - len(_INDENT)
    lines: list[str] = []
    for row, found in zip(rows, words, strict=True):
        cells = [left(row[0], widths[0]), *(right(c, w) for c, w in zip(row[1:], widths[1:], strict=True))]
        line = output.fitted("  ".join(cells) + (f"  {found}" if found else ""), room)
        lines.append(line if lines else output.styled(line, "aside"))
    if len(why.matches) > limit:
        rest = sum(match.share for match in why.matches[limit:])
        lines.append(f"and {len(why.matches) - limit} more ({rest:.0%})")
    if why.missing:
        lacking = ", ".join(one_line(term) for term, _ in why.missing[:6])
        lines.append(output.styled(output.fitted(f"not in the document: {lacking}", room), "aside"))
    return lines
