"""The penalty of the document side and that of the query side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from splade_engine.training.fields import bounded, chosen
from splade_engine.training.objective.penalties.df_flops import DfFlops
from splade_engine.training.objective.penalties.flops import L1, Flops
from splade_engine.training.objective.penalties.penalty import Context, Penalty, Reduction, Regularizer
from splade_engine.training.objective.penalties.target import start_of

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.vectors import Vectors


# The kinds of penalty. A new one is a class with a name and its row here.
PENALTIES: tuple[type[Penalty], ...] = (Flops, DfFlops, L1)

_KINDS = ("none", *(kind.name for kind in PENALTIES))


@dataclass(frozen=True)
class SideFields:
    """The two sides in `[regularizer]`."""

    # Kind of the penalty on documents.
    document: str = chosen("flops", _KINDS)
    # Its weight, lambda.
    document_lambda: float = bounded(0.0, low=0)
    # How many terms documents shall have on the mean. Lambda starts at document_lambda, is raised while there
    # are more and lowered while there are fewer, and so holds them there (`target.TermTarget`). 0: lambda
    # stays.
    document_terms: float = bounded(0.0, low=0)
    # Documents with at most this many terms are not penalised (the l0 mask, arXiv 2504.14839). 0: all are.
    document_threshold: int = bounded(0, low=0)
    # Kind of the penalty on queries. It does nothing with a query table.
    query: str = chosen("none", _KINDS)
    # Its weight.
    query_lambda: float = bounded(0.0, low=0)
    # How many terms queries shall have on the mean, as document_terms.
    query_terms: float = bounded(0.0, low=0)
    # Queries with at most this many terms are not penalised.
    query_threshold: int = bounded(0, low=0)
    # What FLOPS charges of a text over its threshold. `text`: all of it (arXiv 2504.14839). `tail`: only what
    # comes after its heaviest terms, as many as the threshold says.
    threshold_scope: Literal["text", "tail"] = "text"
    # How FLOPS is averaged. `flat` is the mean over all documents, and `per_slot` sums over a query's
    # documents. A published lambda holds only with the reduction that it was published with.
    reduction: Reduction = "flat"
    # IDF-aware FLOPS: each term's mean is divided by its idf in the query table (`regularizers.idf_factors`),
    # so that terms which find little are charged most.
    idf_in_flops: bool = False


class DocumentPenalty(Regularizer):
    """The penalty on documents."""

    name = "document"

    def weight(self, config: SideFields) -> float:
        """See `Regularizer`."""
        return 0.0 if config.document == "none" else start_of(config.document_lambda, config.document_terms)

    def target(self, config: SideFields) -> float:
        """See `Regularizer`."""
        return config.document_terms

    def terms(self, vectors: Vectors) -> Tensor:
        """See `Regularizer`."""
        return (vectors.documents.detach()[vectors.valid] > 0).sum(1)

    def compute(self, batch: Context) -> Tensor:
        """See `Regularizer`."""
        config = batch.config
        return batch.penalties[config.document].compute(
            batch.documents() if config.reduction == "flat" else batch.vectors.documents,
            config,
            reduction=config.reduction,
            threshold=config.document_threshold,
            idf=batch.idf if config.idf_in_flops else None,
        )


class QueryPenalty(Regularizer):
    """The penalty on queries, where they are encoded."""

    name = "query"

    def weight(self, config: SideFields) -> float:
        """See `Regularizer`."""
        return 0.0 if config.query == "none" else start_of(config.query_lambda, config.query_terms)

    def target(self, config: SideFields) -> float:
        """See `Regularizer`."""
        return config.query_terms

    def terms(self, vectors: Vectors) -> Tensor:
        """See `Regularizer`."""
        return (vectors.queries.detach() > 0).sum(1)

    def compute(self, batch: Context) -> Tensor | None:
        """See `Regularizer`."""
        config = batch.config
        if not batch.vectors.learned_queries:
            return None
        return batch.penalties[config.query].compute(
            batch.vectors.queries,
            config,
            reduction="flat",
            threshold=config.query_threshold,
            idf=None,  # of a query table, which has no penalty
        )
