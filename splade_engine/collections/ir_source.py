"""Collections by their ir_datasets id; whatever a download can raise becomes one line."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from splade_engine.collections.corpus import Corpus
from splade_engine.collections.dataset import DEV_SPLITS, Dataset, Split
from splade_engine.collections.documents import Document
from splade_engine.errors import DatasetError

logger = logging.getLogger(__name__)

# where beir.retrieval.evaluation drops the hit that is the query itself: the queries are documents
QUERIES_ARE_DOCUMENTS = frozenset(
    ("beir/arguana", "beir/quora/dev", "beir/quora/test", "nano-beir/arguana", "nano-beir/quora")
)


@dataclass(frozen=True)
class _IrDocuments:
    """Documents of an ir_datasets dataset, readable as often as needed."""

    dataset: Any = field(repr=False)

    def __iter__(self) -> Iterator[Document]:
        for doc in self.dataset.docs_iter():
            title = getattr(doc, "title", "") or ""
            text = getattr(doc, "text", None)
            yield Document(
                doc.doc_id, doc.default_text() if text is None else text, title if text is not None else ""
            )


def open_ir(name: str) -> Any:
    """The `ir_datasets` dataset of an id; nothing is fetched yet.

    Raises:
        DatasetError: if there is no such id.
    """
    import ir_datasets

    try:
        return ir_datasets.load(name)
    except KeyError:
        raise DatasetError(f"{name}: no such file or folder, and not an ir_datasets id") from None


def ir_queries(dataset: Any) -> dict[str, str]:
    """Query texts by id."""
    return {query.query_id: query.default_text() for query in dataset.queries_iter()}


def ir_judgments(dataset: Any, name: str) -> dict[str, dict[str, int]]:
    """Grades by query id and document id, in the order of the file.

    Of a pair that is judged twice with different grades the last counts, as everywhere in ir_datasets; that
    is told, beginning with `name`.

    Raises:
        DatasetError: for a grade that is no whole number.
    """
    qrels: dict[str, dict[str, int]] = {}
    twice: list[str] = []
    for judgment in dataset.qrels_iter():
        grade, grades = judgment.relevance, qrels.setdefault(judgment.query_id, {})
        pair = f"query {judgment.query_id!r:.60}, document {judgment.doc_id!r:.60}"
        if int(grade) != grade:
            raise DatasetError(f"{pair}: grade {grade!r:.40} is not an integer")
        if (earlier := grades.get(judgment.doc_id, grade)) != grade:
            twice.append(f"{pair} {earlier} and {grade}")
        grades[judgment.doc_id] = int(grade)
    if twice:
        logger.warning(
            "%s: judgments that contradict an earlier one: %d, and the last counts (the first: %s)",
            *(name, len(twice), twice[0]),
        )
    return qrels


def ir_dataset(source: str, split: str | None) -> Dataset:
    """The dataset of this id (`split` is appended to it).

    Raises:
        DatasetError: if there is no such id, it has no judgments, or it cannot be fetched.
    """
    wanted = source if not split or source.endswith(f"/{split}") else f"{source}/{split}"
    try:
        dataset = open_ir(wanted)
    except DatasetError:
        raise DatasetError(
            f"unknown dataset {wanted!r}: no such folder, ir_datasets id (beir/scifact/test), suite (beir-13)"
        ) from None
    missing = [part for part in ("docs", "queries", "qrels") if not getattr(dataset, f"has_{part}")()]
    if missing:
        raise DatasetError(
            f"dataset {wanted!r} has no {' and no '.join(missing)} (another split of it may have)"
        )
    qrels, queries = fetched(wanted, lambda: _ir_topics(dataset, wanted))
    return Dataset(
        name=wanted,
        source=wanted,
        corpus=Corpus(_IrDocuments(dataset), allow_empty=True),
        test=Split(wanted.rpartition("/")[2], queries, qrels),
        dev=_ir_dev(wanted),
        drop_own_id=wanted in QUERIES_ARE_DOCUMENTS,
    )


def _ir_topics(dataset: Any, name: str) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    qrels = ir_judgments(dataset, name)
    texts = ir_queries(dataset)
    missing = next((query for query in qrels if query not in texts), None)
    if missing is not None:
        raise DatasetError(f"query {missing!r} is judged and has no text")
    return qrels, {query: texts[query] for query in chain(qrels, (q for q in texts if q not in qrels))}


def _ir_dev(wanted: str) -> Split | None:
    import ir_datasets

    base, _, test = wanted.rpartition("/")
    for name in DEV_SPLITS:
        if name == test or not base:
            continue
        try:
            dataset = ir_datasets.load(f"{base}/{name}")
            if dataset.has_qrels() and dataset.has_queries():
                qrels, queries = _ir_topics(dataset, f"{base}/{name}")
                return Split(name, {q: queries[q] for q in qrels}, qrels)
        except Exception as error:  # a missing dev split only means untuned hybrids
            logger.info("%s/%s is not used: %s", base, name, error)
    return None


def fetched(name: str, action: Callable[[], Any]) -> Any:
    """Whatever a download can raise (requests, zip, checksums, disk) as one line."""
    try:
        return action()
    except DatasetError as error:
        raise DatasetError(f"{name}: {error}") from None
    except Exception as error:
        raise DatasetError(f"{name}: cannot be fetched ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """One short line: of a failed connection the host, which is what the long text is about."""
    text = (str(error).splitlines() or [""])[0]
    host = re.search(r"host='([^']+)'", text)
    kind = type(error).__name__
    return f"{kind}: no answer from {host[1]}" if host else f"{kind}: {text[:200]}"
