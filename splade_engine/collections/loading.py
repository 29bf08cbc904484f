"""Test collections: a local BEIR folder (`beir.py`), or any id of ir_datasets.

The queries of a split are those that it judges, then those that no split judges: the latter are searched,
written to runs and counted, and take no part in any mean.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from splade_engine.arguments import flag, path_of
from splade_engine.collections.beir import (
    collection_settings,
    corpus_file,
    qrels_file,
    qrels_files,
    queries_file,
)
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.dataset import DEV_SPLITS, Dataset, Split
from splade_engine.collections.ir_source import ir_dataset
from splade_engine.collections.qrels import check_queries_join, read_qrels
from splade_engine.collections.queries import read_queries
from splade_engine.errors import DatasetError

logger = logging.getLogger(__name__)


def load_dataset(
    source: str | Path, split: str | None = None, *, name: str | None = None, drop_own_id: bool | None = None
) -> Dataset:
    """Load a test collection from a BEIR folder or by its ir_datasets id.

    Args:
        source: a folder, or an id such as `beir/scifact/test`.
        split: of a folder, the file in `qrels/`; "test" if not given, or the only one there is.
        name: printed in tables; the folder's name or the id if not given.
        drop_own_id: drop the hit whose id is the query's. None: as `collection.toml` in the folder says, or
            for ArguAna and Quora of ir_datasets, whose queries are documents; else no.

    Raises:
        DatasetError: naming the file and line that cannot be accepted, or the dataset that cannot be fetched.
    """
    path = path_of("source", source)
    if drop_own_id is not None:
        flag("drop_own_id", drop_own_id)  # before a corpus is read or fetched
    if path.is_dir():
        dataset = _from_folder(path, split)
    elif path.exists():
        raise DatasetError(f"{path}: a file; needed is a folder with corpus.jsonl, queries.jsonl and qrels/")
    else:
        dataset = ir_dataset(str(source), split)
    if drop_own_id is not None:
        dataset = replace(dataset, drop_own_id=drop_own_id)
    if dataset.drop_own_id:
        logger.info("%s: hits with the query's own id are dropped", name or dataset.name)
    return replace(dataset, name=name or dataset.name)


# ---- BEIR folders -------------------------------------------------------------------------------------


def _from_folder(folder: Path, split: str | None) -> Dataset:
    corpus_file(folder)
    queries = queries_file(folder)
    texts = read_queries(queries)
    files = qrels_files(folder)
    split = _chosen_split(folder, files, split)
    qrels = {name: _joined_qrels(files[name], texts, queries, name == split) for name in files}
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
        drop_own_id=bool(collection_settings(folder).drop_own_id),
        qrels_file=files[split],
    )


def _chosen_split(folder: Path, files: Mapping[str, Path], split: str | None) -> str:
    if split is None:
        split = "test" if "test" in files or len(files) > 1 else next(iter(files))
    qrels_file(folder, split)
    return split


def _joined_qrels(
    file: Path, texts: Mapping[str, str], queries: Path, wanted: bool
) -> dict[str, dict[str, int]]:
    """Judgments of one split; a file beside it that is no qrels file is left alone."""
    try:
        qrels = read_qrels(file)
        check_queries_join(qrels, texts, file, queries)
    except DatasetError as error:
        if wanted:
            raise
        logger.info("%s is not used: %s", file, error)
        return {}
    return qrels
