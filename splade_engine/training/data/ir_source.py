"""Training examples from ir_datasets ids: judged pairs, training triples, BM25 hard negatives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from splade_engine.collections.ir_source import fetched, ir_judgments, ir_queries, open_ir
from splade_engine.errors import DatasetError
from splade_engine.files import Digest, atomic_file, digest, digest_of_json
from splade_engine.training.data.examples import Example
from splade_engine.training.data.line_file import LineFile
from splade_engine.training.kept import keep, kept

LOOKED_AT = 1000  # examples whose documents are compared when a run is resumed
SCORED_NEGATIVES = 50  # of a query's scored documents kept as hard negatives


class IrDatasetsSource:
    """Examples of a training set in ir_datasets.

    - with document pairs (`msmarco-passage/train/triples-small`): one example per triple;
    - else with judgments (`beir/nfcorpus/train`, `msmarco-passage/train`): one per relevant pair; where the
      set also has scored documents (a first-stage run), the best 50 that are not judged relevant are its hard
      negatives.

    The ids are written once into `cache` as text, so that training draws them at random without holding them.

    Raises:
        DatasetError: if the id is unknown, or the set has neither pairs nor judgments.
    """

    def __init__(self, name: str, cache: Path) -> None:
        self.name = name
        self._dataset: Any = open_ir(name)
        if not (self._dataset.has_docpairs() or self._dataset.has_qrels()):
            raise DatasetError(
                f"{name}: the ir_datasets set has neither document pairs nor judgments to train on"
            )
        self._queries = fetched(name, lambda: ir_queries(self._dataset))
        self._store: Any = fetched(name, self._dataset.docs_store)
        self.lines = LineFile(self._written(cache), cache)

    def _written(self, cache: Path) -> Path:
        target = cache / f"ir-{digest(self.name.encode())[:16]}.tsv"
        if kept(target, self.name):
            return target
        cache.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as out:
            rows = self._triples() if self._dataset.has_docpairs() else self._judged()
            out.writelines(("\t".join(row) + "\n").encode("utf-8") for row in rows)
        keep(target, self.name)
        return target

    def _triples(self) -> Iterator[list[str]]:
        for pair in self._dataset.docpairs_iter():
            yield [pair.query_id, pair.doc_id_a, pair.doc_id_b]

    def _judged(self) -> Iterator[list[str]]:
        judged = fetched(self.name, lambda: ir_judgments(self._dataset, self.name))
        relevant = {
            query: there
            for query, grades in judged.items()
            if (there := [d for d, g in grades.items() if g > 0])
        }
        scored: dict[str, list[tuple[float, str]]] = {}
        if self._dataset.has_scoreddocs():
            for row in self._dataset.scoreddocs_iter():
                if row.query_id in relevant and row.doc_id not in relevant[row.query_id]:
                    scored.setdefault(row.query_id, []).append((-row.score, row.doc_id))
        for query, documents in relevant.items():
            hard = [d for _, d in sorted(scored.get(query, []))[:SCORED_NEGATIVES]]
            for document in documents:
                yield [query, document, *hard]

    def __len__(self) -> int:
        return len(self.lines)

    def example(self, i: int, rng: np.random.Generator) -> Example | None:
        """See `Source`; None where query or document has no text."""
        del rng
        query, positive, *negatives = self.lines[i].decode().split("\t")
        if query not in self._queries:
            raise DatasetError(f"{self.name}: query {query!r} of pair {i + 1} is not among its queries")
        text, answer = self._queries[query] or "", self._text(positive)
        if not text.strip() or not answer.strip():
            return None
        others = (other for other in map(self._text, negatives) if other.strip())
        return Example(text, (answer,), tuple(others))

    def _text(self, doc_id: str) -> str:
        try:
            return str(self._store.get(doc_id).default_text() or "")
        except KeyError:
            raise DatasetError(f"{self.name}: document {doc_id!r} is not in its collection") from None

    def digests(self) -> dict[str, str]:
        """See `Source`: the ids of all examples, the texts of the queries, and some documents.

        Those are of up to `LOOKED_AT` examples from all over the set: reading a collection of millions whole
        takes longer than opening a run should.
        """
        texts = Digest()
        for i in sorted({*np.linspace(0, len(self) - 1, min(len(self), LOOKED_AT)).astype(int).tolist()}):
            for doc_id in self.lines[i].decode().split("\t")[1:]:
                text = self._text(doc_id).encode(errors="surrogatepass")
                texts.update(b"%d;" % len(text) + text)
        return {
            self.name: self.lines.digest,
            f"{self.name} queries": digest_of_json(self._queries),
            f"{self.name} documents": texts.text(),
        }

    def documents(self) -> Iterator[str]:
        """See `Source`."""
        for document in self._dataset.docs_iter():
            yield str(document.default_text() or "")
