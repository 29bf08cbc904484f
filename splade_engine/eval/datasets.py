"""Test collections: a local BEIR folder, or any id of ir_datasets.

    corpus.jsonl[.gz]      {"_id", "title", "text"}
    queries.jsonl[.gz]     {"_id", "text"}
    qrels/<split>.tsv[.gz] query-id, corpus-id, score (or TREC qrels, .txt and .qrels as well)

The queries of a split are those that it judges, then those that no split judges: the latter are searched,
written to runs and counted, and take no part in any mean.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from xxhash import xxh3_128

from splade_engine.corpus import Corpus
from splade_engine.documents import BEIR_CORPUS, Document, read_documents
from splade_engine.errors import DatasetError
from splade_engine.eval.qrels import Qrels, check_queries_join, line_of, read_qrels
from splade_engine.text_lines import read_lines

logger = logging.getLogger(__name__)

_SUFFIXES = (".tsv", ".tsv.gz", ".txt", ".txt.gz", ".qrels", ".qrels.gz")
_QUERY_FILES = ("queries.jsonl", "queries.jsonl.gz", "queries.jsonl.zst")
DEV_SPLITS = ("dev", "validation", "val", "train")
_QUERIES_ARE_DOCUMENTS = (
    "arguana",
    "quora",
)  # where beir.retrieval.evaluation drops hits: queries are documents
DISTRACTOR_PREFIX = "distractor/"


@dataclass(frozen=True)
class Split:
    """Queries with their judgments. `queries` holds the text of every judged query, and of unjudged ones."""

    name: str
    queries: Mapping[str, str]
    qrels: Qrels

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

    def hashes(self) -> dict[str, str | int]:
        """Number and xxh3 of the documents, and the xxh3 of queries and judgments."""
        summary = self.corpus.survey()
        return {
            "documents": summary.n_docs,
            "corpus": summary.digest,
            "queries": _digest(self.test.queries),
            "qrels": _digest(self.test.qrels),
        }

    def check_documents_join(self) -> int:
        """How many judged documents the corpus does not hold (they stay in the judgments, as in trec_eval).

        Raises:
            DatasetError: naming the first judgment, if the corpus holds none of them.
        """
        judged = {doc_id: query for query, grades in self.qrels.items() for doc_id in grades}
        missing = set(judged)
        for document in self.corpus:
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


def _digest(content: Mapping[str, Any]) -> str:
    return xxh3_128(json.dumps(content, sort_keys=True, default=dict).encode()).hexdigest()


def load_dataset(
    source: str | Path, split: str | None = None, *, name: str | None = None, drop_own_id: bool | None = None
) -> Dataset:
    """Load a test collection from a BEIR folder or by its ir_datasets id.

    Args:
        source: a folder, or an id such as `beir/scifact/test`.
        split: of a folder, the file in `qrels/`; "test" if not given, or the only one there is.
        name: printed in tables; the folder's name or the id if not given.
        drop_own_id: None decides by name: yes for ArguAna and Quora, whose queries are documents.

    Raises:
        DatasetError: naming the file and line that cannot be accepted, or the dataset that cannot be fetched.
    """
    path = Path(source)
    if path.is_dir():
        dataset = _from_folder(path, split)
    elif path.exists():
        raise DatasetError(f"{path}: a file; needed is a folder with corpus.jsonl, queries.jsonl and qrels/")
    else:
        dataset = _from_ir_datasets(str(source), split)
    own = drop_own_id
    if own is None:
        own = any(word in dataset.source.lower() for word in _QUERIES_ARE_DOCUMENTS)
    return replace(dataset, name=name or dataset.name, drop_own_id=own)


def is_collection(folder: Path) -> bool:
    """Whether the folder has the layout of a collection (corpus and queries; judgments are asked for
    later)."""
    return any((folder / n).is_file() for n in BEIR_CORPUS) and any(
        (folder / n).is_file() for n in _QUERY_FILES
    )


# ---- BEIR folders -------------------------------------------------------------------------------------


def _from_folder(folder: Path, split: str | None) -> Dataset:
    if not any((folder / name).is_file() for name in BEIR_CORPUS):
        raise DatasetError(f"{folder}: no corpus.jsonl (or .gz, .zst) in it")
    queries_file = next((folder / n for n in _QUERY_FILES if (folder / n).is_file()), None)
    if queries_file is None:
        raise DatasetError(f"{folder}: no queries.jsonl (or .gz, .zst) in it")
    texts = read_queries(queries_file)
    files = _qrels_files(folder)
    split = _chosen_split(folder, files, split)
    qrels = {name: _joined_qrels(files[name], texts, queries_file, name == split) for name in files}
    judged_somewhere = {query for judged in qrels.values() if judged for query in judged}
    dev = next((n for n in DEV_SPLITS if n in qrels and n != split and qrels[n]), None)
    test_qrels = qrels[split]
    nowhere = [query for query in texts if query not in judged_somewhere]
    return Dataset(
        name=folder.resolve().name,
        source=str(folder),
        corpus=Corpus(folder),
        test=Split(split, {q: texts[q] for q in chain(test_qrels, nowhere)}, test_qrels),
        dev=Split(dev, {q: texts[q] for q in qrels[dev]}, qrels[dev]) if dev else None,
        qrels_file=files[split],
    )


def _qrels_files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted((folder / "qrels").glob("*")) if (folder / "qrels").is_dir() else []:
        suffix = next((s for s in sorted(_SUFFIXES, key=len, reverse=True) if file.name.endswith(s)), None)
        if suffix and file.is_file():
            found.setdefault(file.name.removesuffix(suffix), file)
    if not found:
        raise DatasetError(f"{folder}: no judgments: qrels/test.tsv is missing")
    return found


def _chosen_split(folder: Path, files: Mapping[str, Path], split: str | None) -> str:
    if split is None:
        split = "test" if "test" in files or len(files) > 1 else next(iter(files))
    if split not in files:
        raise DatasetError(f"{folder / 'qrels' / (split + '.tsv')}: no such file; splits: {', '.join(files)}")
    return split


def _joined_qrels(
    file: Path, texts: Mapping[str, str], queries_file: Path, wanted: bool
) -> dict[str, dict[str, int]]:
    """Judgments of one split; a file beside it that is no qrels file (say, of annotators' codes) is left
    alone."""
    try:
        qrels = read_qrels(file)
        check_queries_join(qrels, texts, file, queries_file)
    except DatasetError as error:
        if wanted:
            raise
        logger.info("%s is not used: %s", file, error)
        return {}
    return qrels


def read_queries(path: str | Path) -> dict[str, str]:
    """Query texts by id, in the order of the file.

    Raises:
        DatasetError: naming the file and line without `_id` or `text`, or with an id that was there before.
    """
    path = Path(path)
    queries: dict[str, str] = {}
    for number, line in read_lines(path):
        query_id, text = _query(line, f"{path}:{number}")
        if query_id in queries:
            raise DatasetError(f"{path}:{number}: duplicate query id {query_id!r}")
        queries[query_id] = text
    if not queries:
        raise DatasetError(f"{path}: no queries")
    return queries


def _query(line: str, place: str) -> tuple[str, str]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{place}: not JSON ({error})") from None
    if not isinstance(record, dict):
        raise DatasetError(f"{place}: an object with _id and text is needed")
    values = (record.get("_id", record.get("id")), record.get("text"))
    for field_name, value in zip(("_id", "text"), values, strict=True):
        if not isinstance(value, str):
            what = "is missing" if value is None else f"must be a string, got {json.dumps(value)[:60]}"
            raise DatasetError(f"{place}: the field {field_name} {what}")
    return str(values[0]), str(values[1])


# ---- ir_datasets --------------------------------------------------------------------------------------


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


def _from_ir_datasets(source: str, split: str | None) -> Dataset:
    import ir_datasets

    wanted = source if not split or source.endswith(f"/{split}") else f"{source}/{split}"
    try:
        dataset = ir_datasets.load(wanted)
    except KeyError:
        raise DatasetError(
            f"unknown dataset {wanted!r}: no such folder, ir_datasets id (beir/scifact/test), suite (beir-13)"
        ) from None
    missing = [part for part in ("docs", "queries", "qrels") if not getattr(dataset, f"has_{part}")()]
    if missing:
        raise DatasetError(
            f"dataset {wanted!r} has no {' and no '.join(missing)} (another split of it may have)"
        )
    qrels, queries = _fetched(wanted, lambda: _ir_topics(dataset))
    return Dataset(
        name=wanted,
        source=wanted,
        corpus=Corpus(_IrDocuments(dataset), allow_empty=True),
        test=Split(wanted.rpartition("/")[2], queries, qrels),
        dev=_ir_dev(wanted),
    )


def _ir_topics(dataset: Any) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    qrels: dict[str, dict[str, int]] = {}
    for judgment in dataset.qrels_iter():
        qrels.setdefault(judgment.query_id, {})[judgment.doc_id] = int(judgment.relevance)
    texts = {query.query_id: query.default_text() for query in dataset.queries_iter()}
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
                qrels, queries = _ir_topics(dataset)
                return Split(name, {q: queries[q] for q in qrels}, qrels)
        except Exception as error:  # a missing dev split only means untuned hybrids
            logger.info("%s/%s is not used: %s", base, name, error)
    return None


def _fetched(name: str, action: Callable[[], Any]) -> Any:
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


# ---- distractors --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Distractors:
    file: Path
    limit: int | None

    def __iter__(self) -> Iterator[Document]:
        documents: Iterable[Document] = islice(read_documents(self.file), self.limit)
        return (replace(d, id=DISTRACTOR_PREFIX + d.id) for d in documents)


@dataclass(frozen=True)
class _Chain:
    corpora: tuple[Corpus, ...]

    def __iter__(self) -> Iterator[Document]:
        return chain.from_iterable(self.corpora)


def with_distractors(dataset: Dataset, file: str | Path, limit: int | None = None) -> Dataset:
    """The same queries over more documents: the first `limit` of `file` (all if None), ids `distractor/...`.

    Raises:
        DatasetError: if the file cannot be read, or the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise DatasetError(f"the number of distractors must be at least 1, got {limit}")
    extra = Corpus(_Distractors(Path(file), limit))
    n_added = extra.survey().n_docs
    parts = (*dataset.parts, extra)
    corpus = Corpus(_Chain(parts), allow_empty=True)
    return replace(
        dataset, name=f"{dataset.name}+{n_added}", corpus=corpus, parts=parts, n_distractors=n_added
    )
