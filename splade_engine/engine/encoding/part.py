"""`encode_part`: every n-th shard of a corpus, so that n processes, here or elsewhere, encode it together.

Each of them reads the whole corpus, which takes seconds where encoding takes hours, and so each knows that
it is the corpus of the plan. The work folder may lie on a disk that they share; or each has its own, and the
finished shards are copied together. `encode_corpus` then checks every shard, and encodes what is missing.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from splade_engine.collections.summary import CorpusDigest
from splade_engine.engine.encoding.folder import agreed_plan, locked_folder, locked_shard, remove_remains
from splade_engine.engine.encoding.plan import EncodingPlan
from splade_engine.engine.encoding.run import Steps, checked_digest, cut, encoded_texts, report
from splade_engine.engine.encoding.shard import EncodedCounts, Shard
from splade_engine.engine.measure import measure
from splade_engine.errors import IndexLockedError, InvalidInputError
from splade_engine.progress import Progress, ProgressBar

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.engine.encoding.run import DocumentEncoder

logger = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds to wait for another part that is agreeing on the plan: it takes milliseconds
MOST_PARTS = 100_000


@dataclass(frozen=True, slots=True)
class Part:
    """Part `number` of `of`, from 1: the shards s of a plan with s % of == number - 1."""

    number: int
    of: int

    def __post_init__(self) -> None:
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (self.number, self.of))
        if not whole or not 1 <= self.number <= self.of <= MOST_PARTS:
            raise InvalidInputError(f"part: a number from 1 to the number of parts, got {self}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The part that is written "2/8".

        Raises:
            InvalidInputError: for anything else.
        """
        number, slash, of = text.partition("/")
        if not slash or not (number.isdecimal() and number.isascii() and of.isdecimal() and of.isascii()):
            raise InvalidInputError(f"part: expected a part like 2/8, got {text!r:.60}")
        if len(number) > 9 or len(of) > 9:
            raise InvalidInputError(f"part: at most {MOST_PARTS} parts, got {text!r:.60}")
        return cls(int(number), int(of))

    def shards(self, plan: EncodingPlan) -> range:
        """The numbers of its shards."""
        return range(self.number - 1, plan.n_shards, self.of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class EncodedPart:
    """A finished part."""

    part: Part
    # shards and documents of this part
    n_shards: int
    n_docs: int
    # shards of the whole corpus, and how many of them have no record yet
    all_shards: int
    missing: int
    counts: EncodedCounts


def encode_part(
    corpus: Corpus,
    encoder: DocumentEncoder,
    folder: str | Path,
    part: Part,
    *,
    shard_docs: int | None = None,
    restart: bool = False,
    progress: Progress = False,
    **options: Any,
) -> EncodedPart:
    """Encode the shards of one part into the work folder, or finish what an earlier call began there.

    The lock of the next shard is taken before that of the one at work is given up, so a second process on the
    same part meets a lock, however late it comes.

    Args:
        corpus: read twice, as a whole.
        encoder: turns texts into vectors.
        folder: as in `encode_corpus`; whoever comes first writes the plan, and the others compare.
        part: which shards.
        shard_docs: documents per shard; None: what the folder says, or a 500th of the corpus.
        restart: where the folder was begun with another encoder or corpus, start anew instead of refusing.
        progress: see `Progress`.
        options: passed to `encode_documents`; part of the plan.

    Raises:
        DatasetError, EncoderMismatchError, InvalidInputError, StorageError: as `encode_corpus`.
        IndexLockedError: another process is encoding a shard of this part, or the whole corpus.
    """
    folder = Path(folder)
    measure(corpus, encoder)
    plan = EncodingPlan.of(corpus.survey(progress), encoder, options, shard_docs)
    held = ExitStack()
    try:
        with locked_folder(folder, wait=_PATIENCE):
            keep = shard_docs is None
            plan = agreed_plan(folder, plan, keep_shard_docs=keep, restart=restart, alone=False)
            if part.shards(plan):
                held.enter_context(locked_shard(folder, part.shards(plan)[0]))
        with held:
            return _encode(folder, plan, corpus, encoder, part, progress, held)
    except BaseException:
        held.close()
        try:
            with locked_folder(folder):
                remove_remains(folder)
        except (IndexLockedError, InvalidInputError):
            pass  # others are at work there, or it is not ours
        raise


def _encode(
    folder: Path,
    plan: EncodingPlan,
    corpus: Corpus,
    encoder: DocumentEncoder,
    part: Part,
    progress: Progress,
    held: ExitStack,
) -> EncodedPart:
    mine = part.shards(plan)
    digest, total, n_docs = CorpusDigest(), EncodedCounts(), 0
    with ProgressBar(progress, _documents(plan, mine), label=f"encode {part}", unit="doc") as bar:
        for number, documents in cut(corpus, plan.shard_docs, digest):
            if number not in mine:
                continue
            shard = Shard(folder, number, plan)
            counts = shard.counts()
            if counts is None:
                step = Steps(bar, len(documents))
                vectors, counts = encoded_texts(encoder, documents, plan.options, step)
                shard.write(documents, vectors, counts)
                step.finish()
            else:
                bar.advance(len(documents))
            total, n_docs = total + counts, n_docs + len(documents)
            if number + part.of in mine:
                following = locked_shard(folder, number + part.of)
                held.close()
                held.enter_context(following)
    checked_digest(folder, plan, digest)
    report(total, plan)
    missing = sum(not Shard(folder, number, plan).record_file.exists() for number in range(plan.n_shards))
    return EncodedPart(part, len(mine), n_docs, plan.n_shards, missing, total)


def _documents(plan: EncodingPlan, shards: range) -> int:
    """Documents in these shards: the last shard of the corpus may be shorter."""
    return sum(min(plan.shard_docs, plan.n_docs - number * plan.shard_docs) for number in shards)
