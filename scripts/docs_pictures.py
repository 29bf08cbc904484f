#!/usr/bin/env python
"""Draw the pictures of README and docs/concepts.md from what the bundled encoder really computes.

python scripts/docs_pictures.py [FOLDER]     (docs/images where no folder is named)

The pictures are SVG, drawn with nothing but text formatting, so that a change of a number is a change of a
line. `tests/scripts/test_docs_pictures.py` draws them again and compares words and, roughly, numbers.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection
from html import escape
from pathlib import Path
from textwrap import wrap

import numpy as np

from splade_engine import SearchEngine
from splade_engine.encoder import SparseEncoder

NOTES = [
    "The gravity of the moon pulls the sea towards it, twice a day.",
    "Yeast turns sugar into gas, and the dough rises.",
    "A weakened virus teaches the immune system to make antibodies.",
    "Lithium ions move between two electrodes while a cell charges.",
]
# for the posting lists: texts that share terms
COAST = [
    NOTES[0],
    "Ships wait for high water before they enter the harbour.",
    "The moon has no air and no seas of water.",
    "Salt water is heavier than fresh water from a river.",
]
QUESTIONS = ("lunar pull on the ocean", "viral infections and immunity", "rising bread")

WIDTH, RIGHT = 440, 416  # of a picture, and where its text ends: a telephone shows it at 0.8 of its size
INK, GREY, PALE = "#1f2933", "#6b7785", "#e6eaee"
WRITTEN, ADDED = "#2f6fb3", "#d97706"  # a term that stands in the text, and one that the encoder added
STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:15px;"
    f"fill:{INK}}}.s{{font-size:13px;fill:{GREY}}}.b{{font-weight:600}}"
)


def svg(height: int, title: str, body: list[str]) -> str:
    """A picture on a white card, which is readable on a dark page too, and on a telephone."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    )
    card = (
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="10" fill="#fff" stroke="{PALE}"/>'
    )
    return "\n".join(
        [head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", card, *body, "</svg>\n"]
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """One line of text."""
    attributes = (f' class="{kind}"' if kind else "") + (
        f' text-anchor="{anchor}"' if anchor != "start" else ""
    )
    return f'<text x="{x:g}" y="{y:g}"{attributes}>{escape(words)}</text>'


def paragraph(
    x: float, y: float, words: str, length: int, kind: str = "", step: int = 20
) -> tuple[list[str], int]:
    """Lines of at most `length` characters, and where the next thing stands."""
    lines = wrap(words, length)
    return [text(x, y + step * i, line, kind) for i, line in enumerate(lines)], int(y + step * len(lines) + 6)


def bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    """One bar."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height:g}" rx="2" fill="{colour}"/>'


MEANINGS = {WRITTEN: "word of the text", ADDED: "added by the encoder"}


def legend(x: float, y: float, colours: Collection[str] = (WRITTEN, ADDED)) -> list[str]:
    """What the colours mean that a picture has."""
    lines = []
    for colour, meaning in MEANINGS.items():
        if colour in colours:
            lines += [bar(x, y - 10, 12, 12, colour), text(x + 18, y, meaning, "s")]
            x += 150
    return lines


def hits(engine: SearchEngine) -> str:
    """Three questions, the text that is found for each, and the reasons."""
    body, y = [], 36
    used = set()
    for question in QUESTIONS:
        hit = engine.search(question, k=1)[0]
        body.append(text(24, y, question, "b"))
        body.append(text(RIGHT, y, f"score {hit.score:.1f}", "s", "end"))
        lines, y = paragraph(24, y + 24, hit.text, 46)
        body += lines
        for match in hit.explain().matches:
            colour = ADDED if match.is_expansion else WRITTEN
            used.add(colour)
            body.append(text(96, y + 4, match.term, "s", "end"))
            body.append(bar(104, y - 9, match.contribution * 15, 15, colour))
            numbers = f"{match.query_weight:.1f} x {match.document_weight:.1f} = {match.contribution:.1f}"
            body.append(text(110 + match.contribution * 15, y + 4, numbers, "s"))
            y += 22
        y += 26
    body += legend(24, y - 6, used)
    return svg(y + 14, "Three searches, the text found for each, and the terms that made the score", body)


def vector(engine: SearchEngine) -> str:
    """The heaviest terms of one text."""
    encoder = engine.encoder
    row = encoder.encode_documents([NOTES[0]])
    terms, weights = row.row(0)
    best = np.argsort(-weights, kind="stable")[:24]
    written = {term for term, _, _ in encoder.word_spans(NOTES[0])}
    body, y = paragraph(24, 36, NOTES[0], 46, "b")
    told = f"{len(terms)} of {len(encoder.vocabulary):,} terms have a weight; the 24 heaviest:"
    body.append(text(24, y, told, "s"))
    y += 32
    for place, i in enumerate(best):
        x, line = 10 + (place // 12) * 208, y + (place % 12) * 22
        colour = WRITTEN if int(terms[i]) in written else ADDED
        body.append(text(x + 84, line + 4, encoder.vocabulary[int(terms[i])], "s", "end"))
        body.append(bar(x + 90, line - 9, float(weights[i]) * 40, 15, colour))
        body.append(text(x + 95 + float(weights[i]) * 40, line + 4, f"{weights[i]:.2f}", "s"))
    body += legend(24, y + 284)
    return svg(y + 304, "The sparse vector of one sentence: its heaviest terms", body)


def product(engine: SearchEngine) -> str:
    """A query's vector, a document's, and what they share."""
    question = QUESTIONS[0]
    hit = engine.search(question, k=1)[0]
    matches = hit.explain().matches
    columns = (150, 260, 380)
    body = [text(24, 36, "term", "b")]
    body += [
        text(x, 36, words, "b", "middle")
        for x, words in zip(columns, ("in the query", "in the text", "product"), strict=True)
    ]
    for i, match in enumerate(matches):
        y = 68 + 28 * i
        body.append(text(24, y, match.term))
        numbers = (match.query_weight, match.document_weight, match.contribution)
        body += [text(x, y, f"{n:.2f}", "", "middle") for x, n in zip(columns, numbers, strict=True)]
        body += [text(205, y, "x", "s", "middle"), text(320, y, "=", "s", "middle")]
    y = 68 + 28 * len(matches)
    body.append(f'<line x1="340" y1="{y - 16}" x2="{RIGHT}" y2="{y - 16}" stroke="{GREY}"/>')
    body += [text(320, y + 6, "score", "s", "end"), text(380, y + 6, f"{hit.score:.2f}", "b", "middle")]
    return svg(y + 28, "The score is a sum over the terms that query and document share", body)


def lists(engine: SearchEngine) -> str:
    """The posting lists of a few terms over four texts."""
    encoder = engine.encoder
    rows = encoder.encode_documents(COAST)
    body, y = [], 36
    for i, words in enumerate(COAST):
        lines, y = paragraph(24, y, f"document {i}: {words}", 58, "s", 18)
        body += lines
    y += 14
    body += [text(24, y, "term", "b"), text(90, y, "its documents, heaviest first", "b")]
    y += 32
    for word in ("ocean", "sea", "lunar", "water", "ship", "tidal"):
        term = encoder.vocabulary.index(word)
        entries = []
        for document in range(len(COAST)):
            terms, weights = rows.row(document)
            at = np.flatnonzero(terms == term)
            if at.size:
                entries.append((float(weights[at[0]]), document))
        body.append(text(24, y, word))
        for place, (weight, document) in enumerate(sorted(entries, reverse=True)):
            x = 86 + place * 84
            body.append(f'<rect x="{x}" y="{y - 18}" width="81" height="25" rx="4" fill="{PALE}"/>')
            body.append(text(x + 5, y, f"doc {document}", "s"))
            body.append(text(x + 77, y, f"{weight:.2f}", "s", "end"))
        if not entries:
            body.append(text(90, y, "empty", "s"))
        y += 34
    return svg(y - 4, "Posting lists: for each term the documents that have it", body)


PICTURES = {"hits": hits, "vector": vector, "product": product, "posting-lists": lists}


def draw(folder: Path) -> None:
    """Write all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        encoder = SparseEncoder.load(device="cpu", dtype="float32")  # the same on every processor
        engine = SearchEngine.build(Path(work) / "notes", NOTES, encoder)
        for name, picture in PICTURES.items():
            (folder / f"{name}.svg").write_text(picture(engine), encoding="utf-8")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1] / "docs" / "images")
