"""A dataset on the workbench: what several systems share (encodings, indexes, runs) is made once.

Encodings are kept in a cache folder under the fingerprint of the encoder and the hash of the corpus, shard
by shard: an evaluation that was interrupted goes on where it stopped, and no document is encoded twice by
the same encoder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from splade_engine.arguments import check_many
from splade_engine.collections.dataset import Dataset, Split
from splade_engine.eval.systems.base import Answer, System
from splade_engine.eval.systems.bench import Encodings, Settings
from splade_engine.files import cache_root, digest_of_json
from splade_engine.scratch import Scratch

if TYPE_CHECKING:
    from splade_engine.collections import Document
    from splade_engine.collections.corpus import Corpus

logger = logging.getLogger(__name__)
T = TypeVar("T")


def default_cache() -> Path:
    """`$SPLADE_ENGINE_HOME/eval`, by default `~/.cache/splade-engine/eval`.

    Raises:
        StorageError: nobody knows the home folder, and nothing else is said.
    """
    return cache_root("SPLADE_ENGINE_HOME") / "eval"


class Workbench(AbstractContextManager["Workbench"]):
    """One dataset with everything that the systems under evaluation make of it."""

    def __init__(self, dataset: Dataset, settings: Settings | None = None) -> None:
        self.dataset = dataset
        self.settings = settings or Settings()
        self._scratch = Scratch("eval")
        self._resources: dict[Hashable, Any] = {}
        self._answers: dict[tuple[System, str, int], Answer] = {}
        self._dropped: dict[tuple[System, str], set[str]] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.clear()
        self._scratch.close()

    def resource(self, key: Hashable, make: Callable[[], T]) -> T:
        """An index or encoding, made at its first use."""
        if key not in self._resources:
            self._resources[key] = make()
        return cast("T", self._resources[key])

    def answer(self, system: System, split: Split, k: int) -> Answer:
        """What the system returns for the split, searched once; the query's own id is dropped where asked."""
        key = (replace(system, name=""), split.name, k)
        if key not in self._answers:
            drop = self.dataset.drop_own_id
            answer = system.answer(self, split, k + 1 if drop else k)
            if drop:
                own = {query for query in answer.run if query in answer.run[query].ids}
                self._dropped.setdefault(key[:2], set()).update(own)
                answer = replace(answer, run=answer.run.without_own_ids().top(k))
            self._answers[key] = answer
        return self._answers[key]

    def own_ids_dropped(self, system: System, split: Split) -> set[str]:
        """The queries whose own document was a hit, of the system or one that it is made of."""
        found = set(self._dropped.get((replace(system, name=""), split.name), ()))
        return found.union(*(self.own_ids_dropped(part, split) for part in system.parts))

    def scratch(self, name: str) -> Path:
        """A path in a folder that goes away with the workbench."""
        return self._scratch.path / name

    def encodings(self, corpus: Corpus, kind: str, *model: object) -> Encodings:
        """Where encodings of a corpus by one model are kept."""
        summary = corpus.survey()
        key = digest_of_json([kind, summary.digest, *model])
        root = self.settings.cache or self.scratch("cache")
        root.mkdir(parents=True, exist_ok=True)
        return Encodings(root / f"{kind}-{key[:20]}", summary.n_docs)

    def texts(self, doc_ids: Iterable[str]) -> dict[str, Document]:
        """Documents by id, found in one reading of the corpus."""
        check_many("doc_ids", doc_ids, "ids", ordered=False)
        wanted = set(doc_ids)
        found: dict[str, Document] = {}
        for document in self.dataset.corpus:
            if document.id in wanted:
                found[document.id] = document
                if len(found) == len(wanted):
                    break
        return found
