"""The layout of a BEIR folder: which file holds what.

corpus.jsonl[.gz, .zst]       {"_id", "title", "text"}
queries.jsonl[.gz, .zst]      {"_id", "text"}
qrels/SPLIT.tsv[.gz, .zst]    query-id, corpus-id, score (or TREC judgments, .txt and .qrels as well);
                              where there is none of these, .csv, .json or .jsonl
collection.toml               what the files cannot say: `drop_own_id = true`
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from splade_engine.arguments import shown
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.files import read_toml

logger = logging.getLogger(__name__)

_PACKED = ("", ".gz", ".zst")
BEIR_CORPUS = tuple(f"corpus.jsonl{packed}" for packed in _PACKED)
BEIR_QUERIES = tuple(f"queries.jsonl{packed}" for packed in _PACKED)
BEIR_SETTINGS = "collection.toml"
# of judgments; the second where a folder has none of the first, beside which they may be anything
_QRELS_FORMS = ((".tsv", ".txt", ".qrels"), (".csv", ".json", ".jsonl"))


def is_collection(folder: Path) -> bool:
    """Whether the folder has a corpus and queries; judgments are asked for later."""
    return _first(folder, BEIR_CORPUS) is not None and _first(folder, BEIR_QUERIES) is not None


def found_corpus(folder: Path) -> Path | None:
    """The documents in BEIR's layout, None where there are none."""
    return _first(folder, BEIR_CORPUS)


def corpus_file(folder: Path) -> Path:
    """The documents.

    Raises:
        DatasetError: if there are none.
    """
    return _needed(folder, BEIR_CORPUS)


def queries_file(folder: Path) -> Path:
    """The queries.

    Raises:
        DatasetError: if there are none.
    """
    return _needed(folder, BEIR_QUERIES)


def qrels_files(folder: Path, wanted: str = "test") -> dict[str, Path]:
    """The files of judgments by split, in the order of their names; `wanted` is named where there is none.

    Raises:
        DatasetError: if there is none, or two in CSV or JSON for a split.
    """
    there = sorted((folder / "qrels").glob("*")) if (folder / "qrels").is_dir() else []
    for forms in _QRELS_FORMS:
        found: dict[str, Path] = {}
        for file in there:
            suffixes = [form + packed for form in forms for packed in _PACKED]
            suffix = max((s for s in suffixes if file.name.endswith(s)), key=len, default=None)
            if not suffix or not file.is_file():
                continue
            other = found.setdefault(file.name.removesuffix(suffix), file)
            if other != file and forms is not _QRELS_FORMS[0]:
                raise DatasetError(f"{file}: {other.name} beside it is of the same split; keep one of them")
            if other != file:
                _tell_two(other, file)
        if found:
            return found
    others = ", ".join(form for forms in _QRELS_FORMS for form in forms if form != ".tsv")
    raise DatasetError(f"{folder}: no judgments: qrels/{wanted}.tsv is missing (or {others})")


def qrels_file(folder: Path, split: str) -> Path:
    """The judgments of one split.

    Raises:
        DatasetError: if there are none, naming the splits that have some.
    """
    files = qrels_files(folder, split)
    if split not in files:
        raise DatasetError(f"{folder / 'qrels' / (split + '.tsv')}: no such file; splits: {', '.join(files)}")
    return files[split]


@dataclass(frozen=True)
class CollectionSettings:
    """What `collection.toml` says; None where it says nothing."""

    # the hit whose id is the query's is no answer: the queries are documents of the corpus
    drop_own_id: bool | None = None


def collection_settings(folder: Path) -> CollectionSettings:
    """The settings of a folder; the defaults where it has no `collection.toml`.

    Raises:
        DatasetError: if the file cannot be read, or holds something else.
    """
    file = folder / BEIR_SETTINGS
    if not file.is_file():
        return CollectionSettings()
    try:
        table = read_toml(file)
    except InvalidInputError as error:
        raise DatasetError(str(error)) from None
    unknown = next((name for name in table if name != "drop_own_id"), None)
    if unknown is not None:
        raise DatasetError(f"{file}: {unknown!r} is not known (drop_own_id is)")
    value = table.get("drop_own_id")
    if value is not None and not isinstance(value, bool):
        raise DatasetError(f"{file}: drop_own_id must be true or false, got {shown(value)}")
    return CollectionSettings(value)


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    there = [folder / name for name in names if (folder / name).is_file()]
    for other in there[1:]:
        _tell_two(there[0], other)
    return there[0] if there else None


@cache
def _tell_two(taken: Path, other: Path) -> None:
    """Say once that one of two files is read; unpacked and packed, they need not say the same."""
    logger.warning("%s is read, and %s beside it is not", taken, other.name)


def _needed(folder: Path, names: tuple[str, ...]) -> Path:
    found = _first(folder, names)
    if found is None:
        raise DatasetError(f"{folder}: no {names[0]} (or .gz, .zst) in it")
    return found
