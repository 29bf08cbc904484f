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
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from splade_engine.collections import BEIR_CORPUS
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.dataset import DEV_SPLITS, Dataset, Split
from splade_engine.collections.ir_source import ir_dataset
from splade_engine.collections.qrels import check_queries_join, read_qrels
from splade_engine.collections.text_lines import read_lines
from splade_engine.errors import DatasetError

logger = logging.getLogger(__name__)

_SUFFIXES = (".tsv", ".tsv.gz", ".txt", ".txt.gz", ".qrels", ".qrels.gz")
_QUERY_FILES = ("queries.jsonl", "queries.jsonl.gz", "queries.jsonl.zst")
_QUERIES_ARE_DOCUMENTS = (
    "arguana",
    "quora",
)  # where beir.retrieval.evaluation drops hits: queries are documents


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
        dataset = ir_dataset(str(source), split)
    own = drop_own_id
    if own is None:
        own = any(word in dataset.source.lower() for word in _QUERIES_ARE_DOCUMENTS)
    return replace(dataset, name=name or dataset.name, drop_own_id=own)


def is_collection(folder: Path) -> bool:
    """Whether the folder has a corpus and queries; judgments are asked for later."""
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
    """Judgments of one split; a file beside it that is no qrels file is left alone."""
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
