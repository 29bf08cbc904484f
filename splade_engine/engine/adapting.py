"""An encoder is adapted to a collection of documents, without a single query.

The documents become neighbours that lend their terms to what is encoded (`encoder/neighbours.py`). Whether
that helps is looked at before anything is written: sentences are taken out of some documents and asked for,
in the collection as it was and as it would be.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import flag, shown, whole
from splade_engine.encoder.arguments import model_folder
from splade_engine.encoder.neighbours import SETTINGS, Neighbours, NeighbourSettings, write_neighbours
from splade_engine.engine.encoding import check_options, encode_corpus
from splade_engine.engine.intake import corpus_of, surveyed_corpus
from splade_engine.engine.opening import loaded_encoder
from splade_engine.engine.query_weights import CollectionIdf
from splade_engine.errors import InvalidInputError, TrainingError
from splade_engine.files import atomic_folder, beside, check_replaceable, disk_errors, neighbour
from splade_engine.progress import Progress
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus, CorpusSource
    from splade_engine.collections.passages import Passages
    from splade_engine.encoder import SparseEncoder
    from splade_engine.engine.encoding import EncodedCorpus

logger = logging.getLogger(__name__)

MOST_DOCUMENTS = 200_000  # that lend; of more, as many are drawn
QUESTIONS = 200  # sentences that are asked for
POOL = 2_000  # documents that they are looked for among
FEWEST = 20  # questions that tell anything
TOLERANCE = 0.01  # how far the mean reciprocal rank may fall: a document is found again as well as before
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Adaptation:
    """What adapting an encoder did."""

    # the folder of the adapted encoder
    path: Path
    # documents that lend
    documents: int
    # mean terms of a document before and after
    terms: tuple[float, float]
    # sentences that were asked for; 0 where too few documents have two
    questions: int
    # mean reciprocal rank, from 0 to 1, of the documents that they were taken out of, before and after
    found: tuple[float, float]
    seconds: float


def adapt(
    corpus: CorpusSource | Corpus,
    folder: str | Path,
    encoder: SparseEncoder | str | Path | None = None,
    *,
    settings: NeighbourSettings | None = None,
    documents: int = MOST_DOCUMENTS,
    passages: Passages | int | None = None,
    force: bool = False,
    overwrite: bool = False,
    progress: Progress = False,
    **encode_options: Any,
) -> Adaptation:
    """Adapt an encoder to a collection: `SparseEncoder.load(folder)` then encodes as the collection speaks.

    What is encoded lies in `<folder>.encoding` meanwhile, where the same call goes on after an interruption.

    Args:
        corpus: documents of the collection, as for `SearchEngine.build`.
        folder: the model folder to make.
        encoder: what is adapted; None: the bundled one. Neighbours that it has are replaced.
        settings: how terms are lent.
        documents: how many may lend; of a larger collection as many are drawn.
        passages: see `Corpus`.
        force: write it even if documents are found again less well.
        overwrite: replace an adapted encoder that is there.
        progress: see `Progress`.
        encode_options: for `SparseEncoder.encode_documents`.

    Raises:
        TrainingError: documents would be found again less well than before; what was encoded is kept.
        CheckpointError: no folder would be this encoder, such as one that was loaded with another length.
        DatasetError: bad input, with file and line.
        InvalidInputError: something else is in the folder.
        StorageError: the disk refuses.
    """
    start = time.perf_counter()
    target = model_folder("folder", folder)
    check_replaceable(target, SETTINGS, folder)
    if not flag("overwrite", overwrite) and target.is_dir() and any(target.iterdir()):
        raise InvalidInputError(
            f"{folder}: holds an adapted encoder already; choose another, or overwrite it"
        )
    documents, force = whole("documents", documents, 2), flag("force", force)
    if settings is not None and not isinstance(settings, NeighbourSettings):
        raise InvalidInputError(f"settings: NeighbourSettings are expected, got {shown(settings)}")
    alone = without_neighbours(loaded_encoder(encoder))
    check_options(alone, encode_options)
    refuse_unsaved(target, alone)
    surveyed = surveyed_corpus(None, corpus_of(corpus, None, passages), alone, progress)
    work = beside(target, ".encoding")
    with encode_corpus(
        surveyed, alone, work, restart=overwrite, hold=True, progress=progress, **encode_options
    ) as encoded:
        made = write_adapted(
            target, alone, encoded, surveyed, settings or NeighbourSettings(), documents, force=force
        )
        encoded.remove()
    return replace(made, seconds=time.perf_counter() - start)


def neighbour_settings(adapt: bool | NeighbourSettings) -> NeighbourSettings | None:
    """How terms are lent: True stands for the defaults, False for not at all."""
    if isinstance(adapt, NeighbourSettings):
        return adapt
    return NeighbourSettings() if flag("adapt", adapt) else None


def without_neighbours(encoder: SparseEncoder) -> SparseEncoder:
    """The encoder as it was before it was adapted; itself where it was not.

    Raises:
        InvalidInputError: for another encoder than a `SparseEncoder`.
    """
    from splade_engine.encoder import SparseEncoder

    if not isinstance(encoder, SparseEncoder):
        raise InvalidInputError(f"{shown(encoder)}: no SparseEncoder, and only one can be adapted")
    if encoder.checkpoint.neighbours is None:
        return encoder
    return SparseEncoder(replace(encoder.checkpoint, neighbours=None))


def refuse_unsaved(folder: Path, encoder: SparseEncoder, *, alike: bool = False) -> None:
    """Check, before hours of encoding, that `save_whole` can make a folder of this encoder.

    Raises:
        CheckpointError: it cannot.
        StorageError: the disk refuses.
    """
    from splade_engine.encoder.sharing import save_whole

    with disk_errors(folder):
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        aside = neighbour(folder, "tmp")
        try:
            save_whole(encoder, aside, alike=alike)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def write_adapted(
    folder: Path,
    encoder: SparseEncoder,
    encoded: EncodedCorpus,
    corpus: Corpus,
    settings: NeighbourSettings,
    documents: int = MOST_DOCUMENTS,
    *,
    force: bool = False,
    alike: bool = False,
) -> Adaptation:
    """Write the encoder with an encoded corpus as its neighbours, once documents are found again as before.

    `alike` as in `save_whole`.

    Raises:
        TrainingError: they are not (without `force`).
    """
    from splade_engine.encoder.sharing import save_whole

    start = time.perf_counter()
    draw = np.random.default_rng(0)
    lenders = _drawn(encoded, documents, draw)
    asked = _questions(corpus, lenders.rows, draw)
    found, terms = _found_again(encoder, lenders.vectors, asked, settings, draw)
    if asked and found[1] < found[0] - TOLERANCE and not force:
        raise TrainingError(
            f"{folder}: not adapted: {len(asked)} sentences find the documents that they were taken out of "
            f"less well than before (mean reciprocal rank {found[1]:.3f}, was {found[0]:.3f}); use the "
            "encoder as it is, or force it"
        )
    with atomic_folder(folder, overwrite=True, mark=SETTINGS) as out:
        save_whole(encoder, out, alike=alike)
        write_neighbours(out, lenders.vectors, lenders.ids, encoder.fingerprint(), settings)
    return Adaptation(folder, len(lenders.ids), terms, len(asked), found, time.perf_counter() - start)


class _Lenders(NamedTuple):
    """The documents that lend: where they stand in the corpus, in order, their vectors and ids."""

    rows: NDArray[np.int64]
    vectors: SparseVectors
    ids: list[str]


def _drawn(encoded: EncodedCorpus, most: int, draw: np.random.Generator) -> _Lenders:
    """All documents of an encoded corpus, or so many of them; no others are held in memory."""
    rows = np.arange(len(encoded))
    if len(rows) > most:
        rows = np.sort(draw.choice(rows, most, replace=False))
        logger.info("%d of %d documents are drawn to lend their terms", most, len(encoded))
    parts, start = [], 0
    for vectors in encoded:
        first, last = np.searchsorted(rows, (start, start + len(vectors)))
        parts.append(vectors[rows[first:last] - start])
        start += len(vectors)
    ids = encoded.ids()
    return _Lenders(rows, SparseVectors.concat(parts), [ids[row] for row in rows.tolist()])


# ---- whether it helps -----------------------------------------------------------------------------------


def _questions(
    corpus: Corpus, rows: NDArray[np.int64], draw: np.random.Generator
) -> dict[int, tuple[str, str]]:
    """(sentence, the document without it) of some of the documents that lend, by their number among them.

    Empty where there are too few.
    """
    chosen = draw.choice(len(rows), min(len(rows) // 2, 5 * QUESTIONS), replace=False)
    likely = {int(rows[number]): int(number) for number in chosen}
    asked: dict[int, tuple[str, str]] = {}
    for row, document in enumerate(corpus):
        if row not in likely:
            continue
        sentences = _SENTENCE.split(document.text[:20_000])
        usable = [i for i, sentence in enumerate(sentences) if 5 <= len(sentence.split()) <= 60]
        if len(sentences) < 2 or not usable:
            continue
        taken = usable[int(draw.integers(len(usable)))]
        rest = " ".join([document.title, *sentences[:taken], *sentences[taken + 1 :]]).strip()
        asked[likely[row]] = (sentences[taken], rest)
        if len(asked) == QUESTIONS:
            break
    return asked if len(asked) >= FEWEST else {}


def _found_again(
    encoder: SparseEncoder,
    vectors: SparseVectors,
    asked: Mapping[int, tuple[str, str]],
    settings: NeighbourSettings,
    draw: np.random.Generator,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Mean reciprocal ranks and mean terms of a document, each before and after.

    The documents that a sentence was taken out of lend nothing: as they are, they would give it back.
    """
    cut = np.array(sorted(asked), np.int64)
    others = np.setdiff1d(np.arange(len(vectors)), cut)
    pool = np.sort(draw.choice(others, min(len(others), POOL - len(cut)), replace=False))
    before = vectors[pool]
    if len(cut):
        rest = [asked[number][1] for number in cut.tolist()]
        before = SparseVectors.concat([encoder.encode_documents(rest), before])
    after = Neighbours(vectors[others], settings).lend(before)
    terms = (before.nnz / len(before), after.nnz / len(after))
    if not len(cut):
        return (0.0, 0.0), terms
    queries = encoder.encode_queries([asked[number][0] for number in cut.tolist()])
    table = encoder.query_table
    if table is not None:
        frequencies = np.bincount(vectors.terms, minlength=vectors.n_terms)
        queries = CollectionIdf(frequencies, len(vectors)).weigh(queries, table)
    return (_reciprocal_rank(queries, before), _reciprocal_rank(queries, after)), terms


def _reciprocal_rank(queries: SparseVectors, documents: SparseVectors) -> float:
    """The mean over queries, each of which belongs to the document of the same row."""
    scores = (queries.to_scipy() @ documents.to_scipy().T).toarray()
    own = scores[np.arange(len(scores)), np.arange(len(scores))]
    ranks = 1 + (scores > own[:, None]).sum(axis=1)
    return float(np.where(own > 0, 1 / ranks, 0.0).mean())
