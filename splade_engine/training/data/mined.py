"""What a mined row was made from: a digest of its texts, so that ids whose texts changed are noticed.

Mining writes ids beside or in place of texts. They are looked up again when they are trained on, perhaps
weeks later and in a corpus that was corrected meanwhile; negatives and scores would be those of other texts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splade_engine.errors import DatasetError
from splade_engine.files import digest_of_json

logger = logging.getLogger(__name__)

MINED_FROM = "mined_from"  # the field of a row


def mined_from(query: str, positives: Sequence[str], negatives: Sequence[str]) -> str:
    """xxh3-128 of the texts of a row, as 32 hexadecimal digits."""
    return digest_of_json([query, list(positives), list(negatives)])


def check_mined_from(
    record: Mapping[str, Any], place: str, query: str, positives: Sequence[str], negatives: Sequence[str]
) -> None:
    """Compare the texts that are found for the ids of a row with those that it was mined from.

    Rows of earlier releases and of others do not say what they were mined from, and are taken as they are.

    Args:
        record: the row.
        place: `file:line`, begins the error message.
        query: the text that its query's id stands for now.
        positives: likewise.
        negatives: likewise.

    Raises:
        DatasetError: they are other texts.
    """
    noted = record.get(MINED_FROM)
    if noted is not None and noted != mined_from(query, positives, negatives):
        raise DatasetError(
            f"{place}: was mined from other texts than its ids stand for now; restore the corpus and the "
            "queries, or mine again"
        )


def tell_unmarked(path: Path, record: Mapping[str, Any]) -> None:
    """Say of a file whose ids are looked up if its first row does not say what it was mined from."""
    if "negative_ids" in record and MINED_FROM not in record:
        logger.warning(
            "%s: its rows do not say what they were mined from, as those of `mine` do since 0.2, so it is "
            "not noticed if texts changed since; mining again notes it",
            path,
        )
