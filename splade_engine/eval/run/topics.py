"""Queries and judgments as a result folder keeps them, and results that are measured by others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from splade_engine.arguments import shown
from splade_engine.collections.dataset import digest_of_topics
from splade_engine.collections.qrels import checked_mapping, checked_qrels
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

    @classmethod
    def from_record(cls, record: Mapping[str, Any], place: str) -> Topics:
        """What a file of them holds; judgments may have been corrected by hand.

        Raises:
            DatasetError: beginning with `place`, naming what is missing or of another type.
        """
        try:
            topics = cls(**record)
        except TypeError as error:
            raise DatasetError(f"{place}: {error}") from None
        names = (topics.dataset, topics.split, topics.group, topics.corpus)
        odd = next((name for name in names if not isinstance(name, str)), None)
        if odd is not None:
            raise DatasetError(f"{place}: {shown(odd)} is not a name; evaluate again")
        try:
            texts = checked_mapping("queries", topics.queries)
            checked_qrels(topics.qrels)
        except DatasetError as error:
            raise DatasetError(f"{place}: {error}; evaluate again") from None
        for query, text in texts.items():
            if not isinstance(text, str):
                raise DatasetError(f"{place}: query {shown(query)}: {shown(text)} is not a text")
        return topics

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
