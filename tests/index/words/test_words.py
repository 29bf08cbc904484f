"""Word lists against brute force over the texts: built, joined, changed, checked, ranked."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index import BuildConfig, SparseIndex
from splade_engine.index.filter.nodes import HoldsWords, Not
from splade_engine.index.filter.words import holding
from splade_engine.index.words.build import build_words, join_words
from splade_engine.index.words.lists import WORD_ARRAYS, WordLists, check_words
from splade_engine.index.words.text import words_of
from tests.index import made
from tests.index.words.test_text import as_defined

TEXT = st.text("ab_é漢. ", max_size=12)


def table_of(texts: list[str], titles: list[str | None] | None = None) -> pa.Table:
    titles = titles or [""] * len(texts)
    return pa.table(
        {"title": pa.array(titles, pa.large_string()), "text": pa.array(texts, pa.large_string())}
    )


def told(arrays: Any) -> tuple[dict[str, dict[int, int]], list[int]]:
    """By word, by document its count; and the lengths."""
    lists = WordLists(arrays)
    words = {
        lists.word(w).decode(): dict(zip(lists.documents(w).tolist(), lists.counts(w).tolist(), strict=True))
        for w in range(len(lists))
    }
    return words, lists.lengths.tolist()


def counted(texts: list[str]) -> tuple[dict[str, dict[int, int]], list[int]]:
    words: dict[str, dict[int, int]] = {}
    for i, text in enumerate(texts):
        for word, n in Counter(words_of(text)).items():
            words.setdefault(word, {})[i] = n
    return {w: words[w] for w in sorted(words, key=str.encode)}, [len(words_of(t)) for t in texts]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_built_lists_are_the_counts(documents: list[tuple[str, str]]) -> None:
    titles, texts = [t for t, _ in documents], [t for _, t in documents]
    arrays = build_words(table_of(texts, list(titles)), len(texts))
    assert {name: array.dtype.str for name, array in arrays.items()} == WORD_ARRAYS
    check_words(arrays, len(texts), full=True)
    words, lengths = told(arrays)
    assert (words, lengths) == counted([f"{a} {b}" for a, b in documents])
    assert list(words) == sorted(words, key=str.encode)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXT, st.booleans()), min_size=1, max_size=8), st.integers(0, 8))
def test_joined_lists_are_those_of_the_live_documents(documents: list[tuple[str, bool]], cut: int) -> None:
    parts = []
    for part in (documents[:cut], documents[cut:]):
        live = np.array([alive for _, alive in part], bool)
        lists = WordLists(build_words(table_of([text for text, _ in part]), len(part)))
        parts.append((lists, None if live.all() else live))
    kept = [text for text, alive in documents if alive]
    joined, built = join_words(parts), build_words(table_of(kept), len(kept))
    for name in WORD_ARRAYS:
        assert joined[name].dtype == built[name].dtype
        assert np.array_equal(joined[name], built[name]), name


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6),
    st.text("ab_é漢", min_size=1, max_size=2),
    st.lists(st.text("ab_é漢", min_size=1, max_size=2), max_size=2),
    st.booleans(),
)
def test_documents_that_hold_words_by_lists_and_by_reading(
    documents: list[tuple[str, str]], first: str, more: list[str], prefix: bool
) -> None:
    titles, texts = [t for t, _ in documents], [t for _, t in documents]
    table = table_of(texts, list(titles))
    part = HoldsWords(tuple(words_of(" ".join([first, *more]))), prefix)
    lists = WordLists(build_words(table, len(texts)))
    pattern = as_defined(part.words, prefix=prefix)
    expected = [any(pattern.search(text.lower()) for text in pair) for pair in documents]
    assert holding(part, table, len(texts), lists).tolist() == expected
    assert holding(part, table, len(texts)).tolist() == expected


# ---- in an index ------------------------------------------------------------------------------------------

WORDS = ["moon", "sea", "ERR_ARG", "the", "Tide", "x", "sea-level", "é", "wind"]
CONFIG = BuildConfig(words=True)


def texts_of(n: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(0, 12))) + " the" * (i % 3) for i in range(n)]


def bm25(texts: list[str], query: list[str]) -> list[float]:
    """By the formula, in plain Python."""
    documents = [words_of(text) for text in texts]
    mean = sum(map(len, documents)) / len(documents) or 1
    holding = {w: sum(w in d for d in documents) for w in query}
    rare = [w for w in query if 0 < holding[w] <= len(texts) / 2]
    scores = []
    for d in documents:
        score = 0.0
        for w in rare or query:
            n, count = holding[w], d.count(w)
            idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
            score += idf * count / (count + 0.9 * (0.6 + 0.4 * len(d) / mean)) if count else 0
        scores.append(score)
    return scores


@pytest.fixture
def changed(tmp_path: Path) -> tuple[SparseIndex, dict[str, str]]:
    """Three segments, with deleted and replaced documents, and the texts that are left."""
    first, more, last = texts_of(60, 1), texts_of(20, 2), texts_of(6, 3)
    index = SparseIndex.build(
        tmp_path / "ix",
        made.vectors(1, 60),
        [f"a{i}" for i in range(60)],
        payload=table_of(first),
        config=CONFIG,
    )
    index.add(made.vectors(2, 20), [f"b{i}" for i in range(20)], payload=table_of(more))
    index.update(made.vectors(3, 6), ["a5", "b7", "c0", "c1", "c2", "c3"], payload=table_of(last))
    index.delete(["a1", "b0", "c1", "a59"])
    texts = {f"a{i}": t for i, t in enumerate(first)} | {f"b{i}": t for i, t in enumerate(more)}
    for gone in ("a5", "b7"):
        del texts[gone]
    texts |= dict(zip(["a5", "b7", "c0", "c1", "c2", "c3"], last, strict=True))
    for gone in ("a1", "b0", "c1", "a59"):
        del texts[gone]
    assert index.info().n_segments == 3
    return index, texts


QUERIES = ["moon", "moon sea", "the", "the moon", "err_arg é é", "tide wind the x", "nobody", "sea level", ""]


@pytest.mark.parametrize("stage", ["changed", "reopened", "compacted"])
def test_scores_are_those_of_the_formula_over_the_live_documents(
    changed: tuple[SparseIndex, dict[str, str]], stage: str
) -> None:
    index, texts = changed
    if stage == "reopened":
        index = SparseIndex.open(index.path)
    if stage == "compacted":
        index.compact()
        assert index.info().n_segments == 1
    ids = index.ids()
    for query in QUERIES:
        words = words_of(query)
        scores = dict(zip(ids, bm25([texts[id] for id in ids], words), strict=True))
        expected = sorted((id for id in ids if scores[id] > 0), key=lambda id: -round(scores[id], 6))
        for k in (1, 5, 200):
            ordinals, values = index.reader.search_words(words, k)
            assert index.ids(ordinals) == expected[:k], query
            assert values.tolist() == pytest.approx([scores[id] for id in expected[:k]], rel=1e-6)
        kept = [id for id in expected if "moon" not in words_of(texts[id])]
        ordinals, _ = index.reader.search_words(words, 200, where=Not(HoldsWords(("moon",))))
        assert index.ids(ordinals) == kept
        for id in expected[:3]:
            matches = index.reader.explain_words(words, index.ordinal(id))
            assert sum(m.contribution for m in matches) == pytest.approx(scores[id], rel=1e-6)
            assert all(words_of(texts[id]).count(m.word) == m.count for m in matches)
    index.check(deep=True)


def test_an_index_is_the_one_built_of_its_live_documents(
    changed: tuple[SparseIndex, dict[str, str]], tmp_path: Path
) -> None:
    index, _ = changed
    index.compact()
    payload = pa.Table.from_pylist(index.payload(range(len(index))), schema=table_of([""]).schema)
    built = SparseIndex.build(tmp_path / "new", index.vectors(), index.ids(), payload=payload, config=CONFIG)
    names = [path.name for path in sorted(tmp_path.glob("*/*.words"))]
    a, b = (i.reader.snapshot.segments[0].words for i in (index, built))
    assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in WORD_ARRAYS)
    assert len(names) == 2


def test_without_word_lists_an_index_is_of_format_1(tmp_path: Path) -> None:
    plain = made.index(tmp_path / "plain", 30)
    assert (plain.info().format_version, plain.reader.has_words) == (1, False)
    with pytest.raises(InvalidInputError, match="has no word lists"):
        plain.reader.search_words(["moon"])
    listed = made.SparseIndex.build(tmp_path / "ix", made.vectors(1, 5), config=CONFIG)
    assert (listed.info().format_version, listed.reader.has_words) == (2, True)
    assert listed.reader.search_words(["moon"])[0].tolist() == []
    assert listed.info().bytes["words"] > 0
    joined = SparseIndex.merge(tmp_path / "joined", [plain.path], config=CONFIG)
    assert joined.reader.has_words
    joined.check(deep=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("list_docs", [0, 9], "list_docs: must be below 2"),
        ("list_docs", [1, 0], "list_docs: must rise within a list"),
        ("list_counts", [0, 1], "list_counts: must be above 0"),
        ("list_counts", [1], "list_counts: 1 counts for 2 entries"),
        ("list_offsets", [0, 1], "list_offsets: must end with the length of list_docs"),
        ("list_offsets", [0, 2, 1, 2], "list_offsets: must not fall"),
        ("list_offsets", [0, 1, 2], "list_offsets: as many lists as words"),
        ("list_offsets", [1, 2], "list_offsets: must begin with 0"),
        ("word_offsets", [0, 0], "word_offsets: must end with the length of word_bytes"),
        ("word_bytes", [255], "word_bytes: not UTF-8"),
        ("doc_lengths", [1], "doc_lengths: 1 lengths for 2 documents"),
    ],
)
def test_damaged_lists_are_named(name: str, value: list[int], message: str) -> None:
    arrays = build_words(table_of(["a", "a"]), 2)
    check_words(arrays, 2, full=True)
    with pytest.raises(IndexCorruptError, match=message):
        check_words({**arrays, name: np.array(value, WORD_ARRAYS[name])}, 2, full=True)


def test_words_that_do_not_rise_are_refused() -> None:
    arrays = build_words(table_of(["a b"]), 1)
    with pytest.raises(IndexCorruptError, match="the words must rise"):
        check_words({**arrays, "word_bytes": arrays["word_bytes"][::-1].copy()}, 1, full=True)


def test_a_changed_byte_of_the_file_is_noticed(tmp_path: Path) -> None:
    texts = texts_of(20, 4)
    SparseIndex.build(tmp_path / "ix", made.vectors(1, 20), payload=table_of(texts), config=CONFIG)
    file = next((tmp_path / "ix").glob("*.words"))
    whole = file.read_bytes()
    index = SparseIndex.open(tmp_path / "ix")
    sections = {name: array.nbytes for name, array in index.reader.snapshot.segments[0].words.arrays.items()}
    start = 0
    for size in sections.values():
        for place in {start, start + size // 2, start + size - 1}:
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(IndexCorruptError, match=r"\.words"):
                SparseIndex.open(tmp_path / "ix")
        start = -(-(start + size) // 64) * 64
    file.write_bytes(whole[:-1])
    with pytest.raises(IndexCorruptError, match=r"\.words"):
        SparseIndex.open(tmp_path / "ix")
    file.unlink()
    with pytest.raises(IndexCorruptError):
        SparseIndex.open(tmp_path / "ix")
