"""A hit as a person reads it: where it stands, the best stretch of its text, and why it was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from splade_engine.cli import output

if TYPE_CHECKING:
    from splade_engine.engine.explain import Explanation, Span
    from splade_engine.engine.hits import Hit

SNIPPET = 300  # characters of a text, unless all of it is wanted
SHOWN_MATCHES = 8
_INDENT = "     "
_EXPANSION = "added by the encoder"


def write_hit(hit: Hit, *, reasons: bool, length: int | None = SNIPPET, matches: int = SHOWN_MATCHES) -> None:
    """A line with rank, id, title and score, `length` characters of text (None: all), reasons."""
    why = hit.explain()
    name = output.styled(output.plain(hit.id), fg="cyan", bold=True)
    title = "" if hit.title == hit.id else output.plain(hit.title)
    named = f"{name}  {output.styled(title, bold=True)}" if title else name
    output.write(f"{hit.rank:>3}. {named}  ({hit.score:.2f})")
    text = hit.text
    start, stop = best_window(text, why.text_spans, len(text) if length is None else length)
    for line in highlighted_lines(text, why.text_spans, start, stop, output.width() - len(_INDENT)):
        output.write(_INDENT + line)
    if reasons:
        for line in reason_lines(why, matches):
            output.write(_INDENT + line)
    output.write()


def best_window(text: str, spans: Sequence[Span], length: int) -> Span:
    """(start, stop) of the stretch of `length` characters with most spans; the beginning if it is as good."""
    if len(text) <= length:
        return 0, len(text)
    start, most = 0, sum(1 for _, end in spans if end <= length)
    for i, (first, _) in enumerate(spans):
        inside = sum(1 for _, end in spans[i:] if end <= first + length - 40)
        if inside > most:
            start, most = max(0, first - 40), inside
    if start:
        start = text.rfind(" ", 0, start + 1) + 1
    stop = min(start + length, len(text))
    if stop < len(text):
        stop = max(text.rfind(" ", start, stop), start + length // 2)
    return start, stop


def highlighted_lines(text: str, spans: Sequence[Span], start: int, stop: int, width: int) -> list[str]:
    """`text[start:stop]` wrapped at `width`, the characters of the spans highlighted on a terminal."""
    marked = {i for a, b in spans for i in range(max(a, start), min(b, stop))}
    lines: list[str] = []
    line, used = "", 0
    for visible, shown in _words(text, start, stop, marked):
        if used and used + 1 + visible > width:
            lines.append(line)
            line, used = "", 0
        line, used = (f"{line} {shown}", used + 1 + visible) if used else (shown, visible)
    return [*lines, line] if line else lines


def _words(text: str, start: int, stop: int, marked: set[int]) -> Iterator[tuple[int, str]]:
    """(visible length, styled word) of the stretch, "..." where it does not begin or end with the text."""
    if text[:start].strip():
        yield 3, "..."
    for is_space, group in groupby(range(start, stop), lambda i: text[i].isspace()):
        places = list(group)
        if is_space:
            continue
        word = ""
        for mark, run in groupby(places, lambda i: i in marked):
            piece = output.plain("".join(text[i] for i in run))
            word += output.styled(piece, fg="green", bold=True) if mark else piece
        yield len(places), word
    if text[stop:].strip():
        yield 3, "..."


def reason_lines(why: Explanation, limit: int = SHOWN_MATCHES) -> list[str]:
    """Term, query weight, document weight, share of the score and words of the document, as a table."""
    rows = [("term", "query", "document", "share")]
    words = [""]
    for match in why.matches[:limit]:
        weights = (f"{match.query_weight:.2f}", f"{match.document_weight:.2f}", f"{match.share:.0%}")
        rows.append((output.plain(match.term), *weights))
        words.append(output.plain(", ".join(match.words[:3])) or _EXPANSION)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row, found in zip(rows, words, strict=True):
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        line = "  ".join(cells) + (f"  {found}" if found else "")
        lines.append(line if lines else output.styled(line, dim=True))
    if len(why.matches) > limit:
        rest = sum(match.share for match in why.matches[limit:])
        lines.append(f"and {len(why.matches) - limit} more ({rest:.0%})")
    if why.missing:
        lacking = ", ".join(output.plain(term) for term, _ in why.missing[:6])
        lines.append(output.styled(f"not in the document: {lacking}", dim=True))
    return lines
