"""`EncodingPlan`: what an encoding is of, so that only the same work is ever resumed.

It is the content of `plan.json` in the work folder: which encoder, which corpus, which options, and where one
shard ends and the next begins. A resumed encoding takes the boundaries from there and so gives the same bytes
as one that was never interrupted.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from splade_engine.arguments import whole
from splade_engine.engine.encoder_record import describe_difference, same_encoder
from splade_engine.errors import EncoderMismatchError, InvalidInputError
from splade_engine.files import digest_of_json, read_json, write_json

if TYPE_CHECKING:
    from splade_engine.collections.summary import CorpusSummary
    from splade_engine.engine.encoding.run import DocumentEncoder

PLAN_FORMAT = 2
MIN_SHARD_DOCS = 256  # 6 s of encoding on two cores: what an interruption costs, and a step of the bar
MAX_SHARD_DOCS = 32768


_COUNTS = ("top_k", "batch_tokens")  # options of encoders that are whole numbers


def _plain(name: str, value: object) -> object:
    """An option as JSON keeps it; a count that cannot be meant is refused before a folder is made."""
    return whole(name, value, 1) if name in _COUNTS and value is not None else value


def check_options(encoder: DocumentEncoder, names: Iterable[str]) -> None:
    """Refuse what this encoder does not take, before a corpus is read: the encoder would refuse it later.

    Raises:
        TypeError: naming the first one, as for every keyword that a function does not have.
    """
    taken = inspect.signature(encoder.encode_documents).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    known = sorted(name for name, p in taken.items() if p.kind is p.KEYWORD_ONLY and name != "progress")
    for name in names:
        if name not in known:
            raise TypeError(f"no argument {name!r}; for encoding there are {', '.join(known)}")


@dataclass(frozen=True)
class EncodingPlan:
    """One encoding, described so far that two that are equal give the same bytes."""

    # the fingerprint of the encoder, see `SparseEncoder.fingerprint`
    encoder: dict[str, str | int]
    # size of the vocabulary
    n_terms: int
    # number of documents
    n_docs: int
    # xxh3-128 of every document in order, see `CorpusSummary.digest`
    digest: str
    # the kind of each metadata field, see `CorpusSummary.fields`
    fields: dict[str, str]
    # for `encode_documents`: `top_k`, `batch_tokens`
    options: dict[str, Any]
    # documents per shard; the last shard may hold fewer
    shard_docs: int
    # of the work folder
    format: int = PLAN_FORMAT

    @classmethod
    def of(
        cls,
        summary: CorpusSummary,
        encoder: DocumentEncoder,
        options: Mapping[str, Any],
        shard_docs: int | None = None,
    ) -> Self:
        """The plan of encoding a corpus.

        Args:
            summary: of the corpus.
            encoder: turns texts into vectors.
            options: for `encode_documents`.
            shard_docs: documents per shard; None: a 500th of the corpus, within [256, 32768].

        Raises:
            InvalidInputError: shard_docs < 1.
        """
        if shard_docs is not None:
            shard_docs = whole("shard_docs", shard_docs, 1)
        options = {name: _plain(name, value) for name, value in options.items()}
        return cls(
            encoder=encoder.fingerprint(),
            n_terms=encoder.n_terms,
            n_docs=summary.n_docs,
            digest=summary.digest,
            fields=dict(summary.fields),
            options=options,
            shard_docs=shard_docs or min(max(summary.n_docs // 500, MIN_SHARD_DOCS), MAX_SHARD_DOCS),
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """The plan in a work folder.

        Raises:
            InvalidInputError: it is none, or that of another version.
        """
        try:
            record = read_json(file)
            if record["format"] != PLAN_FORMAT:
                raise InvalidInputError(f"{file}: of another version of splade-engine; remove the folder")
            plan = cls(**record)
            sizes = (plan.n_terms, plan.n_docs, plan.shard_docs)
            if not all(isinstance(size, int) and size > 0 for size in sizes):
                raise ValueError
            for mapping in (plan.encoder, plan.fields, plan.options):
                dict(mapping)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInputError) and "version" in str(error):
                raise
            raise InvalidInputError(f"{file}: not the plan of an encoding; remove the folder") from None
        return plan

    def write(self, file: Path) -> None:
        """Write it into a work folder."""
        write_json(file, asdict(self), indent=1)

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.n_docs // self.shard_docs)

    @property
    def name(self) -> str:
        """16 hexadecimal digits that tell this work from any other; its shard size has no part in it."""
        identity = asdict(replace(self, shard_docs=0, encoder={}))
        anonymous = {key: value for key, value in self.encoder.items() if key not in ("name", "source")}
        return digest_of_json([identity, anonymous])[:16]

    def refusal(self, folder: Path, begun: Self) -> InvalidInputError | None:
        """Why work that was begun under another plan cannot be resumed under this one; None: it can."""
        advice = f"remove {folder} to start anew"
        if not same_encoder(begun.encoder, self.encoder):
            what = describe_difference(begun.encoder, self.encoder)
            return EncoderMismatchError(f"{folder} was begun with another encoder ({what}); {advice}")
        if (begun.digest, begun.n_docs, begun.fields) != (self.digest, self.n_docs, self.fields):
            what = f"{begun.n_docs} documents, now {self.n_docs}"
            return InvalidInputError(f"{folder} was begun with another corpus ({what}); {advice}")
        for name in ("options", "shard_docs", "n_terms"):
            was, now = getattr(begun, name), getattr(self, name)
            if was != now:
                return InvalidInputError(
                    f"{folder} was begun with another {name} ({was!r}, now {now!r}); {advice}"
                )
        return None
