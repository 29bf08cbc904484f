"""Hits and explanations in a notebook. What comes from documents is escaped: none of it becomes markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from splade_engine.collections.metadata import value_text
from splade_engine.plain_text import one_line, without_controls

if TYPE_CHECKING:
    from splade_engine.engine.explain import Explanation
    from splade_engine.engine.hits import Hit
    from splade_engine.engine.snippets import Snippet

_LEFT = 'style="text-align:left;vertical-align:top"'
_BAR = "display:inline-block;height:.7em;background:#4c8bf5"
_SHOWN_TERMS = 20
_SHOWN_VALUES = 10


def hits_html(
    hits: Sequence[Hit],
    total: int | None = None,
    facets: Mapping[str, Sequence[tuple[Any, int]]] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """A table: rank, title or id, the best stretch of the text with the matching words marked, score."""
    if not hits:
        return _lines(["No document matches", *notes])
    rows = [
        f"<tr><td {_LEFT}>{hit.rank}</td><td {_LEFT}>{_name(hit)}<br>{_snippet(hit.snippet())}"
        f"{_metadata(hit.metadata)}</td><td {_LEFT}>{hit.score:.2f}</td></tr>"
        for hit in hits
    ]
    head = f"<tr><th></th><th {_LEFT}>document</th><th {_LEFT}>score</th></tr>"
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    told = [f"{len(hits)} of {total:,} match{'' if total == 1 else 'es'}"] if total is not None else []
    for field, counts in (facets or {}).items():
        values = ", ".join(f"{value_text(value)} ({count})" for value, count in counts[:_SHOWN_VALUES])
        told.append(f"{field}: {values}")
    return _lines([*notes, *told]) + table


def explanation_html(why: Explanation) -> str:
    """A table of terms: weights, share of the score as a bar, words of the document."""
    most = max((match.share for match in why.matches), default=1.0)
    rows = []
    for match in why.matches[:_SHOWN_TERMS]:
        words = _text(", ".join(match.words[:4])) or "<i>added by the encoder</i>"
        bar = f'<span style="{_BAR};width:{100 * match.share / most:.0f}px"></span>'
        cells = (
            _text(match.term),
            f"{match.query_weight:.2f} &times; {match.document_weight:.2f}",
            f"{bar} {match.share:.0%}",
            words,
        )
        rows.append("<tr>" + "".join(f"<td {_LEFT}>{cell}</td>" for cell in cells) + "</tr>")
    names = ("term", "query &times; document", "share of the score", "in the document")
    head = "".join(f"<th {_LEFT}>{name}</th>" for name in names)
    told = [f"{why.id}: score {why.score:.2f}"]
    if why.missing:
        told.append("not in the document: " + ", ".join(term for term, _ in why.missing[:6]))
    return _lines(told) + f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _name(hit: Hit) -> str:
    title = _text(hit.title)
    id = _text(hit.id)
    return f"<b>{title}</b> <small>{id}</small>" if title and title != id else f"<b>{id}</b>"


def _snippet(found: Snippet) -> str:
    parts, at = [], 0
    for a, b in found.spans:
        if a >= at:
            parts += [_text(found.text[at:a]), f"<mark>{_text(found.text[a:b])}</mark>"]
            at = b
    parts.append(_text(found.text[at:]))
    return f"{'&hellip; ' if found.cut[0] else ''}{''.join(parts)}{' &hellip;' if found.cut[1] else ''}"


def _metadata(metadata: Mapping[str, Any]) -> str:
    if not metadata:
        return ""
    pairs = ", ".join(f"{name}: {value_text(value)}" for name, value in list(metadata.items())[:12])
    return f"<br><small>{_text(pairs[:500])}</small>"


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"<div>{_text(one_line(line))}</div>" for line in lines)


def _text(text: str) -> str:
    return escape(without_controls(text))
