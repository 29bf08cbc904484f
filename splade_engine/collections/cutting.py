"""A document into its passages, each a document with its place in the one that was cut (docs/sources.md)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from splade_engine.collections.documents import Document
from splade_engine.collections.limits import Limits
from splade_engine.collections.metadata import FILE_STATE, metadata_json
from splade_engine.collections.passages import PARENT, Block, Passages, TokenMeter, cut, text_blocks
from splade_engine.collections.readers.kind import Places
from splade_engine.errors import DatasetError

PASSAGE, START, END = "passage", "start_char", "end_char"
_OURS = (PARENT, PASSAGE, START, END)
_LEAST = 16  # tokens that are left to a passage's text, however long its titles are
_LETTERS = 16  # of a token of a title, at most
logger = logging.getLogger(__name__)


def cut_document(
    document: Document,
    how: Passages,
    meter: TokenMeter,
    *,
    blocks: Sequence[Block] | None = None,
    places: Places | None = None,
) -> list[Document]:
    """The passages of a document, in order; the document itself is the only one of a short text.

    Args:
        document: any; one without text stays as it is.
        how: how long passages are.
        meter: of the encoder.
        blocks: the parts of its text, where its format tells.
        places: the lines or pages of its text, where it has some.

    Raises:
        DatasetError: it has a metadata field with a name that passages need, or so much metadata that its
            passages, which repeat it, would grow beyond `Limits.file_bytes`.
    """
    taken = next((name for name in _OURS if name in document.metadata), None)
    if taken is not None:
        raise DatasetError(
            f"document {document.id!r:.80}: its field {taken!r} has a name that passages need; rename the "
            "field, or index without passages"
        )
    if FILE_STATE not in document.metadata:  # of a file it says how that was cut; a record says that alone
        document = replace(document, metadata={**document.metadata, FILE_STATE: str(how)})
    text = document.text
    blocks = text_blocks(text) if blocks is None else blocks
    starts = meter.starts(text)
    document = replace(document, title=_fitting(document, meter))
    tokens = min(how.tokens, meter.room - _title_tokens(document.title, blocks, starts, meter))
    overlap = min(how.overlap, tokens // 2)
    spans = cut(text, blocks, starts, max(tokens, _LEAST), overlap=max(overlap, 0))
    _check_growth(document, len(spans))
    passages = []
    for number, span in enumerate(spans, start=1):
        place = {} if places is None else places.of(span.start, span.end)
        passages.append(
            Document(
                passage_id(document.id, number, len(spans)),
                text[span.start : span.end],
                _title(document.title, span.heading),
                {**document.metadata, **_place(document.id, number, span.start, span.end), **place},
            )
        )
    return passages or [replace(document, metadata={**document.metadata, **_place(document.id, 1, 0, 0)})]


def is_passage(document: Document) -> bool:
    """Whether it says of what document it is a passage, and where it stands there."""
    return all(name in document.metadata for name in _OURS)


def passage_id(parent: str, number: int, count: int) -> str:
    """The id of passage `number` (from 1) of a document that is cut into `count`."""
    return parent if count == 1 else f"{parent}#{number}"


def is_passage_of(id: str, parent: str) -> bool:
    """Whether an id is one that `passage_id` gives; a record may have a field `parent` of its own."""
    number = id.removeprefix(f"{parent}#")
    return id == parent or (number != id and number.isascii() and number.isdigit())


def _place(parent: str, number: int, start: int, end: int) -> dict[str, object]:
    return {PARENT: parent, PASSAGE: number, START: start, END: end}


def _fitting(document: Document, meter: TokenMeter) -> str:
    """The title, of which the passages repeat no more than half of what the encoder reads."""
    title, most = document.title, meter.room // 2
    if len(title) <= most:  # a token has a character at least
        return title
    head = title[: most * _LETTERS]
    starts = meter.starts(head)
    kept = head[: starts[most]].rstrip() if len(starts) > most else head
    if kept != title:
        logger.info(
            "document %.80r: its passages repeat %d of the %d characters of its title",
            document.id,
            len(kept),
            len(title),
        )
    return kept


def _check_growth(document: Document, count: int) -> None:
    limits = Limits.of_environment()
    if count > 1 and (size := len(metadata_json(document.metadata))) * count > limits.file_bytes:
        raise DatasetError(
            f"document {document.id!r:.80}: {count:,} passages would repeat {size:,} characters of metadata "
            f"each; index it without passages, or leave fields out ({limits.hint('file_bytes')})"
        )


def _title(title: str, heading: str) -> str:
    if not heading or heading == title:
        return title
    return f"{title}: {heading}" if title else heading


def _title_tokens(title: str, blocks: Sequence[Block], starts: np.ndarray, meter: TokenMeter) -> int:
    """The most tokens that a passage's title may have, and one for the space or colon between its parts."""
    headings = [(block.start, block.end) for block in blocks if block.kind == "heading"]
    longest = 0
    if headings:
        first, last = np.searchsorted(starts, np.array(headings).T)
        longest = int((last - first).max()) + 1
    return (len(meter.starts(title)) if title else 0) + longest + 1
