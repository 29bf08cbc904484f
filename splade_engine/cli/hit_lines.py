"""A hit as a person reads it: where it stands, the best stretch of its text, and why it was found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from splade_engine.cli import output
from splade_engine.engine.snippets import LENGTH
from splade_engine.plain_text import columns, left, one_line, right, without_controls

if TYPE_CHECKING:
    from splade_engine.engine.explain import Explanation, Span
    from splade_engine.engine.hits import Hit

SNIPPET = LENGTH  # characters of a text, unless all of it is wanted
SHOWN_MATCHES = 8
_INDENT = "     "
_EXPANSION = "added by the encoder"
_WORD = re.compile(r"\S+")


def write_hit(hit: Hit, *, reasons: bool, length: int | None = SNIPPET, matches: int = SHOWN_MATCHES) -> None:
    """A line with rank, id, title and score, `length` characters of text (None: all), reasons."""
    why = hit.explain()
    output.write(_heading(hit))
    room = output.width() - len(_INDENT)
    if length is None:
        lines = highlighted_lines(hit.text, why.text_spans, (False, False), room)
    else:
        shown = hit.snippet(length, why)
        lines = highlighted_lines(shown.text, shown.spans, shown.cut, room)
    for line in lines:
        output.write(_INDENT + line)
    if reasons:
        for line in reason_lines(why, matches):
            output.write(_INDENT + line)
    output.write()


def _heading(hit: Hit) -> str:
    """Rank, id, title and score; on a terminal the title is cut where the line would not fit."""
    id = one_line(hit.id)
    place = place_of(hit.metadata)
    place = f", {place}" if place else ""
    title = "" if hit.title == hit.id else one_line(hit.title)
    score = f"({hit.score:.2f})"
    title = output.fitted(title, output.width() - columns(f"{hit.rank:>3}. {id}{place}    {score}"))
    named = output.styled(id, "id") + place
    if title:
        named += f"  {output.styled(title, 'heading')}"
    return f"{hit.rank:>3}. {named}  {score}"


def place_of(metadata: Mapping[str, object]) -> str:
    """Where in its file a passage stands: "lines 12-40", "page 3"; "" where nobody knows."""
    for unit in ("line", "page", "cell"):
        first, last = metadata.get(unit), metadata.get(f"last_{unit}")
        if isinstance(first, int) and isinstance(last, int) and "parent" in metadata:
            return f"{unit} {first}" if first == last else f"{unit}s {first}-{last}"
    return ""


def highlighted_lines(text: str, spans: Sequence[Span], cut: tuple[bool, bool], width: int) -> Iterator[str]:
    """A text wrapped at `width` columns, the spans' characters highlighted on a terminal.

    `cut` says whether something is left out before and behind it, which "..." stands for.
    """
    line, used = "", 0
    for visible, shown in _words(text, spans, cut, width):
        if used and used + 1 + visible > width:
            yield line
            line, used = "", 0
        line, used = (f"{line} {shown}", used + 1 + visible) if used else (shown, visible)
    if line:
        yield line


def _words(text: str, spans: Sequence[Span], cut: tuple[bool, bool], width: int) -> Iterator[tuple[int, str]]:
    """(columns, styled word) of the text; a word wider than `width` comes in pieces that fit."""
    if cut[0]:
        yield 3, "..."
    next_span = 0
    for found in _WORD.finditer(text):
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
    if cut[1]:
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
    sides = [
        f"{side.name}: {f'rank {side.rank}' if side.rank else 'not found'}, score {side.score:.3f}, adds "
        f"{side.contribution:.4g}"
        for side in why.sides
    ]
    written = [f"the word {one_line(w.word)}: {w.count} times, {w.contribution:.3f}" for w in why.words]
    return [*sides, *written, *_term_lines(why, limit)]


def _term_lines(why: Explanation, limit: int) -> list[str]:
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
