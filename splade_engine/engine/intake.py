"""What comes into an engine: a corpus, read once and fitted to the index that it is for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from splade_engine.collections.corpus import Corpus, CorpusSource
from splade_engine.collections.passages import Passages
from splade_engine.engine.measure import measure
from splade_engine.errors import InvalidInputError
from splade_engine.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import IndexReader

logger = logging.getLogger(__name__)


def corpus_of(
    corpus: CorpusSource | Corpus, allow_empty: bool | None, passages: Passages | int | None
) -> Corpus:
    """A corpus of what a caller gave.

    Raises:
        InvalidInputError: `passages` beside a `Corpus`, which has its own.
    """
    if not isinstance(corpus, Corpus):
        return Corpus(corpus, allow_empty=allow_empty, passages=passages)
    if passages is not None:
        raise InvalidInputError("passages: give them to the Corpus that is given")
    return corpus


def surveyed_corpus(
    reader: IndexReader | None, corpus: Corpus, encoder: SparseEncoder, progress: Progress
) -> Corpus:
    """The corpus, read once and fitted to the columns of the index that it is for; warnings are logged."""
    measure(corpus, encoder)
    corpus.survey(progress)
    if reader is None:
        columns: Mapping[str, str] = {}
        summary = corpus.fit_fields(columns)
    else:
        columns = reader.info().columns
        summary = corpus.fit_fields(columns, reader.snapshot.is_beyond_float)
        reader.check_columns({name: kind for name, kind in summary.fields.items() if kind != "json"})
    if corpus.column_types:
        logger.info("%s", corpus.column_types)
    for warning in summary.survey.warnings(summary.fields, columns):
        logger.warning("%s", warning)
    if summary.n_empty:
        logger.warning("%d documents have neither title nor text: kept, but never found", summary.n_empty)
    return corpus
