"""`Dataset`: documents, queries and judgments of one test collection."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_engine.arguments import flag, shown
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.qrels import Qrels, checked_mapping, checked_qrels, line_of
from splade_engine.errors import DatasetError
from splade_engine.files import digest

logger = logging.getLogger(__name__)

DEV_SPLITS = ("dev", "validation", "val", "train")


@dataclass(frozen=True)
class Split:
    """Queries with their judgments. `queries` holds the text of every judged query, and of unjudged ones.

    Raises:
        DatasetError: for a query whose text is none or missing, and as `checked_qrels`.
    """

    name: str
    queries: Mapping[str, str]
    qrels: Qrels

    def __post_init__(self) -> None:
        for query, text in checked_mapping("queries", self.queries).items():
            if not isinstance(text, str):
                raise DatasetError(f"queries: the text of {shown(query)} is {shown(text)}, not a string")
        object.__setattr__(self, "qrels", checked_qrels(self.qrels))
        missing = next((query for query in self.qrels if query not in self.queries), None)
        if missing is not None:
            raise DatasetError(f"judgments: query {shown(missing)} is not among the queries")

    @property
    def unjudged(self) -> list[str]:
        """Queries without any judgment."""
        return [query for query in self.queries if query not in self.qrels]


@dataclass(frozen=True)
class Dataset:
    """One test collection.

    Attributes:
        name: what tables print.
        source: the folder or id that it came from.
        corpus: the documents, read as often as needed, never held in memory.
        parts: corpora that `corpus` is made of, in order: its own and the distractors. Each is encoded once.
        test: the split that is measured.
        dev: another split with judgments, for choosing a hybrid's weights; None where there is none.
        drop_own_id: drop the hit whose id is the query's id (BEIR: ArguAna, Quora).
        n_distractors: documents added to the collection's own.
        qrels_file: where the judgments were read from, for error messages.
    """

    name: str
    source: str
    corpus: Corpus
    test: Split
    dev: Split | None = None
    drop_own_id: bool = False
    n_distractors: int = 0
    parts: tuple[Corpus, ...] = ()
    qrels_file: Path | None = None

    def __post_init__(self) -> None:
        flag("drop_own_id", self.drop_own_id)
        if not self.parts:
            object.__setattr__(self, "parts", (self.corpus,))

    @property
    def queries(self) -> Mapping[str, str]:
        """Query texts by id."""
        return self.test.queries

    @property
    def qrels(self) -> Qrels:
        """Grades by query and document id."""
        return self.test.qrels

    @property
    def n_documents(self) -> int:
        """Documents, distractors included."""
        return sum(part.survey().n_docs for part in self.parts)

    def hashes(self) -> dict[str, str | int]:
        """Number and xxh3 of the documents, and the xxh3 of queries and judgments."""
        digests = [part.survey().digest for part in self.parts]
        corpus = digests[0] if len(digests) == 1 else digest(" ".join(digests).encode())
        return {
            "documents": self.n_documents,
            "corpus": corpus,
            "queries": digest_of_topics(self.test.queries),
            "qrels": digest_of_topics(self.test.qrels),
        }

    def check_documents_join(self) -> int:
        """How many judged documents the corpus does not hold (they stay in the judgments, as in trec_eval).

        Raises:
            DatasetError: naming the first judgment, if the corpus holds none of them.
        """
        judged = {doc_id: query for query, grades in self.qrels.items() for doc_id in grades}
        missing = set(judged)
        for document in self.parts[0]:  # the rest are distractors, which nobody judged
            missing.discard(document.id)
        if judged and len(missing) == len(judged):
            query, doc_id = next((q, d) for q, grades in self.qrels.items() for d in grades)
            place = (
                f"{self.qrels_file}:{line_of(self.qrels_file, query, doc_id)}"
                if self.qrels_file
                else self.name
            )
            raise DatasetError(
                f"{place}: document {doc_id!r} is not in the corpus, nor is any other judged document"
            )
        if missing:
            logger.warning(
                "%s: %d of %d judged documents are not in the corpus", self.name, len(missing), len(judged)
            )
        return len(missing)


def digest_of_topics(content: Mapping[str, Any]) -> str:
    """xxh3 of queries by id, or of judgments by query and document, whatever their order."""
    return digest(json.dumps(content, sort_keys=True, default=dict).encode())
