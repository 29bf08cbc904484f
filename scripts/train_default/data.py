"""The pairs that the bundled encoder is trained on, from a folder of freely licensed collections.

Expected below the folder: `train/<source>/{corpus,queries}.jsonl.gz` and `qrels/train.tsv.gz`, and
`passages/wikipedia-en.jsonl.zst`. Used are sources whose licence allows redistribution and commercial use:
arXiv abstracts (CC0), MedQuAD (CC BY), SQuAD and QAMR sentences (CC BY-SA), ACL abstracts from 2016 on (CC
BY), WordNet glosses, OpenStax passages marked CC BY, Wikipedia passages (CC BY-SA).

Where a source has no questions, queries are made from the passage: a sentence, a part of one, or a few of its
words. A part of the Wikipedia documents are two to four passages in a row, because most of the others are
shorter than the documents that people search; others are single sentences.

The first 100,000 Wikipedia passages are left to evaluation, as distractors. `apart` names folders of test
collections: a training text that shares 13 words in a row with one of their documents or queries is left out
(`copies.py`).
"""

from __future__ import annotations

import json
import logging
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.train_default.copies import GRAM, Copies
from splade_engine.collections.text_lines import read_lines
from splade_engine.errors import DatasetError
from splade_engine.files import atomic_file

logger = logging.getLogger(__name__)

SOURCES = {  # pairs taken, and passages whose sentences become queries as well
    "arxiv-abstracts": (4_000, 4_000),
    "medquad": (12_000, 4_000),
    "squad-sentences": (9_000, 0),
    "qamr": (2_000, 0),
    "acl-anthology": (16_000, 6_000),
    "wordnet-glosses": (4_000, 0),
}
HELD_OUT = 300  # pairs of each of the first three and of ACL kept for development
OPENSTAX, WIKIPEDIA, SENTENCES, PER_ARTICLE = 8_000, 40_000, 12_000, 6
DISTRACTORS = 100_000  # Wikipedia passages at the start of the file that are for evaluation only
LONG = 0.3  # of the Wikipedia documents, 2 to 4 passages in a row
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])")
_WORD = re.compile(r"[A-Za-z][A-Za-z\-]{3,}")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "this that with from have been were which their they also more than most some such into when there "
        "other these those would could should about after before between during where while being both each "
        "many",
    )
)


class Pair(NamedTuple):
    """A query, a document that answers it, and where they come from."""

    query: str
    document: str
    source: str


class Collection(NamedTuple):
    """One source: documents and queries by id, and (query, document) ids."""

    documents: dict[str, str]
    queries: dict[str, str]
    pairs: list[tuple[str, str]]


def default_pairs(folder: str | Path, seed: int = 1) -> tuple[list[Pair], list[Pair]]:
    """Training pairs and held-out pairs, the same for the same seed.

    Raises:
        DatasetError: naming the file that is missing or not readable.
    """
    root, rng = Path(folder), random.Random(seed)
    pairs: list[Pair] = []
    held: list[Pair] = []
    for name, (wanted, with_sentences) in SOURCES.items():
        collection = _collection(root / "train" / name, name)
        rng.shuffle(collection.pairs)
        kept = HELD_OUT if name in ("arxiv-abstracts", "medquad", "squad-sentences", "acl-anthology") else 0
        held += [_pair(collection, q, d, name) for q, d in collection.pairs[:kept]]
        away = {d for _, d in collection.pairs[:kept]}
        chosen = [(q, d) for q, d in collection.pairs[kept:] if d not in away][:wanted]
        pairs += [_pair(collection, q, d, name) for q, d in chosen]
        documents = list(dict.fromkeys(collection.documents[d] for _, d in chosen))
        for text in rng.sample(documents, min(with_sentences, len(documents))):
            made = sentence_query(text, rng, keep=1.0)
            if made is not None:
                pairs.append(Pair(*made, name))
    pairs += _openstax(root / "train" / "openstax", rng)
    rows = list(_rows(root / "passages" / "wikipedia-en.jsonl.zst"))
    order = list(range(DISTRACTORS, len(rows)))
    rng.shuffle(order)
    pairs += _wikipedia(rows, order, rng)
    pairs += _wikipedia_sentences(rows, order[::-1], rng)
    return pairs, held


def write_sources(folder: str | Path, output: str | Path, apart: Sequence[str | Path] = ()) -> list[Path]:
    """Write the training pairs, one `<source>.jsonl` each, for `splade-engine train --data`.

    Args:
        folder: see the module.
        output: a folder, made if it is not there.
        apart: BEIR folders whose texts must not be trained on.

    Returns:
        The files, in the order of the sources.

    Raises:
        DatasetError: naming the file that is missing or not readable.
    """
    copies = Copies(apart)
    pairs, _ = default_pairs(folder)
    kept = [pair for pair in pairs if not copies.has(pair.document) and not copies.has(pair.query)]
    logger.info(
        "%d of %d pairs share %d words with a test text and go", len(pairs) - len(kept), len(pairs), GRAM
    )
    target = Path(output)
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for source in dict.fromkeys(pair.source for pair in kept):
        files.append(target / f"{source}.jsonl")
        with atomic_file(files[-1]) as file:
            for pair in kept:
                if pair.source == source:
                    row = {"query": pair.query, "positive": pair.document}
                    file.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
    return files


def documents_for_idf(folder: str | Path, every: int = 4) -> Iterator[str]:
    """The documents whose tokens the query table counts: all sources, and each fourth Wikipedia passage."""
    root = Path(folder)
    for name in ("arxiv-abstracts", "medquad", "squad-sentences", "openstax", "acl-anthology"):
        yield from _collection(root / "train" / name, name).documents.values()
    for i, row in enumerate(_rows(root / "passages" / "wikipedia-en.jsonl.zst")):
        if i % every == 0 and i >= DISTRACTORS:
            yield f"{row['title']} {row['text']}"


def sentence_query(text: str, rng: random.Random, keep: float) -> tuple[str, str] | None:
    """A sentence of 6 to 40 words as query (half of them cut to 5 to 16 words, as claims and questions are).

    Args:
        text: the passage.
        rng: source of randomness.
        keep: probability that the passage keeps the sentence.

    Returns:
        Query and passage, or None for a passage of fewer than three sentences.
    """
    parts = _SENTENCE.split(text)
    usable = [i for i, part in enumerate(parts) if 6 <= len(part.split()) <= 40]
    if len(parts) < 3 or not usable:
        return None
    i = rng.choice(usable)
    query = parts[i]
    if rng.random() < 0.5:
        words = query.split()
        n = rng.randint(5, max(5, min(16, len(words))))
        start = rng.randint(0, len(words) - n) if len(words) > n else 0
        query = " ".join(words[start : start + n])
    if rng.random() < keep:
        return query, text
    return query, " ".join(parts[:i] + parts[i + 1 :])


def keyword_query(text: str, rng: random.Random) -> str | None:
    """One to four words of the passage, as people type them; None for a passage of few words."""
    words = [w.lower() for w in _WORD.findall(text) if w.lower() not in _COMMON]
    if len(words) < 8:
        return None
    return " ".join(dict.fromkeys(rng.sample(words, rng.choice((1, 2, 2, 3, 3, 4)))))


def _openstax(folder: Path, rng: random.Random) -> list[Pair]:
    documents = list(_collection(folder, "openstax").documents.values())
    fitting = [d for d in documents if 50 <= len(d.split()) <= 220]
    pairs = []
    for text in rng.sample(fitting, min(OPENSTAX, len(fitting))):
        words = keyword_query(text, rng) if rng.random() < 0.3 else None
        made = (words, text) if words else sentence_query(text, rng, keep=0.3)
        if made is not None:
            pairs.append(Pair(*made, "openstax"))
    return pairs


def _wikipedia(rows: Sequence[dict[str, str]], order: Sequence[int], rng: random.Random) -> list[Pair]:
    pairs: list[Pair] = []
    articles: Counter[str] = Counter()
    for i in order:
        title, text = rows[i]["title"], rows[i]["text"]
        if len(pairs) == WIKIPEDIA:
            break
        if articles[title] == PER_ARTICLE or len(text.split()) < 45:
            continue
        articles[title] += 1
        if rng.random() < LONG:
            following = rows[i + 1 : i + rng.randint(2, 4)]
            text = " ".join([text, *(row["text"] for row in following if row["title"] == title)])
        if rng.random() < 0.25:
            words = keyword_query(text, rng)
            if words:
                query = f"{title.lower()} {words}" if rng.random() < 0.4 else words
                pairs.append(Pair(query, f"{title} {text}", "wikipedia"))
        else:
            made = sentence_query(text, rng, keep=0.3)
            if made is not None:
                pairs.append(Pair(made[0], f"{title} {made[1]}", "wikipedia"))
    return pairs


def _wikipedia_sentences(
    rows: Sequence[dict[str, str]], order: Sequence[int], rng: random.Random
) -> list[Pair]:
    """Single sentences as documents: a part of the sentence or a few of its words find it."""
    pairs: list[Pair] = []
    for i in order:
        if len(pairs) == SENTENCES:
            break
        fitting = [s for s in _SENTENCE.split(rows[i]["text"]) if 10 <= len(s.split()) <= 45]
        if not fitting:
            continue
        sentence = rng.choice(fitting)
        words = keyword_query(sentence, rng)
        if words is None or rng.random() < 0.5:
            parts = sentence.split()
            n = rng.randint(4, min(10, len(parts)))
            start = rng.randint(0, len(parts) - n)
            words = " ".join(parts[start : start + n])
        pairs.append(Pair(words, sentence, "wikipedia-sentences"))
    return pairs


def _pair(collection: Collection, query: str, document: str, name: str) -> Pair:
    return Pair(collection.queries[query], collection.documents[document], name)


def _collection(folder: Path, name: str) -> Collection:
    documents = {}
    for row in _rows(folder / "corpus.jsonl.gz"):
        if name == "openstax" and row.get("src", "").split("|")[-1] != "by":
            continue
        if name == "acl-anthology" and _year(row["_id"]) < 2016:
            continue
        documents[row["_id"]] = f"{row.get('title', '')} {row['text']}".strip()
    queries = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl.gz")}
    pairs = []
    for _, line in read_lines(folder / "qrels" / "train.tsv.gz"):
        query, document, grade = line.split("\t")
        if query in queries and document in documents and int(grade) > 0:  # the heading is in neither
            pairs.append((query, document))
    return Collection(documents, queries, pairs)


def _year(identifier: str) -> int:
    """Of an ACL Anthology id: `2019.acl-1.2`, or `P16-1001`."""
    if identifier[:5].endswith("."):
        return int(identifier[:4])
    year = int(identifier[1:3])
    return 1900 + year if year > 60 else 2000 + year


def _rows(path: Path) -> Iterator[dict[str, str]]:
    for number, line in read_lines(path):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise DatasetError(f"{path}:{number}: not JSON ({error})") from None
