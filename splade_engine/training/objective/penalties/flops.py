"""L1 and FLOPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from splade_engine.training.objective.penalties.penalty import Penalty, Reduction

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.penalties import RegularizerConfig


class L1(Penalty):
    """`regularizers.l1`."""

    name = "l1"

    def compute(
        self,
        weights: Tensor,
        config: RegularizerConfig,
        *,
        reduction: Reduction,
        threshold: int,
        idf: Tensor | None,
    ) -> Tensor:
        """See `Penalty`."""
        from splade_engine.training.objective import regularizers

        return regularizers.l1(weights)


class Flops(Penalty):
    """`regularizers.flops`."""

    name = "flops"

    def compute(
        self,
        weights: Tensor,
        config: RegularizerConfig,
        *,
        reduction: Reduction,
        threshold: int,
        idf: Tensor | None,
    ) -> Tensor:
        """See `Penalty`."""
        from splade_engine.training.objective import regularizers

        factors = self.factors(config)
        if idf is not None:
            aware = regularizers.idf_factors(idf)
            factors = aware if factors is None else factors * aware
        return regularizers.flops(
            weights,
            reduction=reduction,
            threshold=threshold or None,
            tail=config.threshold_scope == "tail",
            term_factors=factors,
        )

    def factors(self, config: RegularizerConfig) -> Tensor | None:
        """float[V] that multiplies each term's mean; None: 1."""
        return None
