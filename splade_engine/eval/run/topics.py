"""Queries and judgments as a result folder keeps them, and results that are measured by others."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from splade_engine.collections.dataset import digest_of_topics
from splade_engine.errors import DatasetError
from splade_engine.eval.measures.effectiveness import measure
from splade_engine.eval.run.results import Result, count_without_relevant

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Topics:
    """Queries and judgments of one collection, as a report needs them."""

    dataset: str
    split: str
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    group: str = ""
    # of the corpus that was searched when this was written; "" in folders of before
    corpus: str = ""

    def hashes(self) -> dict[str, str]:
        """The digests that a result of these topics carries."""
        return {"queries": digest_of_topics(self.queries), "qrels": digest_of_topics(self.qrels)}


def measured_again(result: Result, topics: Topics) -> Result:
    """A result by other judgments of the same queries, from its run.

    Raises:
        DatasetError: its run is missing, or there are no judgments.
    """
    if result.run is None or not topics.qrels:
        raise DatasetError(
            f"{result.system} on {result.dataset}: was measured by other judgments, and its run is missing"
        )
    logger.warning(
        "%s on %s was measured by other judgments than the folder has now, and is measured again",
        *(result.system, result.dataset),
    )
    judged = topics.qrels
    return replace(
        result,
        effectiveness=measure(result.run, judged, tuple(result.effectiveness.mean)),
        n_judged=len(judged),
        n_without_relevant=count_without_relevant(judged),
        hashes={**result.hashes, **topics.hashes()},
    )
