"""Phrase terms: pairs and words behind the vocabulary, compared with dictionaries, in every layout."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.phrases import PhraseTerms, WordTerms, _bucket, hashed
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.vectors import SparseVectors
from tests.encoder import zoo
from tests.encoder.made import VOCABULARY, WORDS, random_texts

TOKENS = len(VOCABULARY)
BUCKETS = 4096
TEXTS = [*random_texts(9, seed=5), "bado kime, bado - kime! lume", "", "bado", "zzqq bado zzqq kime"]
WITH_PAIRS = [name for name in zoo.ZOO if name not in ("st-csr", "echo", "adapted")]
MASK = 2**64 - 1


def hash_of(pieces: list[int], buckets: int) -> int:
    """`hashed` in Python's own numbers."""
    total = len(pieces)
    for piece in pieces:
        total = ((total ^ piece) + 0x9E3779B97F4A7C15) & MASK
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            total = ((total ^ (total >> shift)) * factor) & MASK
        total ^= total >> 31
    return total % buckets


def load(folder: Path) -> SparseEncoder:
    return SparseEncoder.load(folder, device="cpu", dtype="float32")


def made(name: str, folder: Path, **options: Any) -> tuple[SparseEncoder, SparseEncoder]:
    """An encoder of the zoo as it is, and with phrase terms."""
    plain = load(zoo.make(name, folder / "model"))
    options = {"buckets": BUCKETS, "factor": 0.7, **options}
    return plain, plain.save_with_phrases(folder / "with", **options)


def pairs_of(tokens: list[str], weight: dict[str, float], factor: float) -> dict[int, float]:
    """What `pairs` adds to one text, by dictionaries."""
    role = {t: -1 if t in VOCABULARY[:5] else int(any(c.isalnum() for c in t)) for t in VOCABULARY}
    known = [t for t in tokens if role[t]]
    found: dict[int, float] = {}
    for a, b in pairwise(known):
        lighter = min(weight.get(a, 0.0), weight.get(b, 0.0))
        if min(role[a], role[b]) > 0 and lighter > 0:
            term = TOKENS + hash_of([VOCABULARY.index(a), VOCABULARY.index(b)], BUCKETS)
            found[term] = max(found.get(term, 0.0), factor * lighter)
    return found


def rows(vectors: SparseVectors) -> list[dict[int, float]]:
    return [dict(zip(t.tolist(), w.tolist(), strict=True)) for t, w in vectors]


@pytest.mark.parametrize("name", WITH_PAIRS)
def test_pairs_are_those_of_the_tokens(name: str, tmp_path: Path) -> None:
    """In every layout and kind, for documents and for queries; single terms stay as they were."""
    plain, phrased = made(name, tmp_path)
    assert phrased.n_terms == TOKENS + BUCKETS and len(phrased.vocabulary) == phrased.n_terms
    assert phrased.vocabulary[:TOKENS] == plain.vocabulary
    table = plain.query_table
    for queries in (False, True):
        encode = "encode_queries" if queries else "encode_documents"
        before, after = getattr(plain, encode)(TEXTS), getattr(phrased, encode)(TEXTS)
        assert after.n_terms == phrased.n_terms
        side = plain._queries if queries else plain._documents
        windows = plain.checkpoint.settings.long_texts == "windows"
        for text, old, new in zip(TEXTS, rows(before), rows(after), strict=True):
            single = {t: w for t, w in new.items() if t < TOKENS}
            pairs = {t: w for t, w in new.items() if t >= TOKENS}
            prompted = side.prompt + text if text.strip() else ""
            tokens = side.tokenizer
            if windows and not queries:
                parts, _ = tokens.encode_windows([prompted])
            else:
                parts, _ = tokens.encode([prompted], special_tokens=not (queries and table is not None))
            if queries and table is not None:
                weight = {VOCABULARY[t]: float(w) for t, w in enumerate(table)}
            else:
                weight = {VOCABULARY[t]: w for t, w in old.items()}
            expected: dict[int, float] = {}
            for part in parts:
                expected |= pairs_of([VOCABULARY[i] for i in part], weight, 0.7)
            few = plain.checkpoint.settings.query_top_k if queries else plain.checkpoint.settings.top_k
            if few is not None and len(old) + len(expected) > few:
                assert len(new) <= few and set(single) <= set(old)
                assert all(expected[t] == pytest.approx(w) for t, w in pairs.items() if t in expected)
                continue
            assert single == old
            assert pairs == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", WITH_PAIRS)
def test_every_layout_keeps_them(name: str, tmp_path: Path) -> None:
    """Saved again, copied and loaded, an encoder with phrase terms is the same one."""
    _, phrased = made(name, tmp_path)
    phrased.save(tmp_path / "again")
    shutil.copytree(tmp_path / "with", tmp_path / "copied")
    wanted = rows(phrased.encode_documents(TEXTS)), rows(phrased.encode_queries(TEXTS))
    for folder in ("again", "copied"):
        other = load(tmp_path / folder)
        found = rows(other.encode_documents(TEXTS)), rows(other.encode_queries(TEXTS))
        for a, b in zip(wanted[0] + wanted[1], found[0] + found[1], strict=True):
            assert a == pytest.approx(b, abs=1e-5), folder
        assert other.checkpoint.settings.phrase_buckets == BUCKETS
    assert load(tmp_path / "copied").fingerprint()["hash"] == phrased.fingerprint()["hash"]


def test_sentence_transformers_gets_our_module(tmp_path: Path) -> None:
    """It knows no pairs, so a folder of ours that it could load names the module that does."""
    folder = zoo.make("mlm", tmp_path / "model")
    zoo.edit(folder / "config.json", splade_engine={"format": 1, "kind": "mlm"})
    load(folder).save_with_phrases(tmp_path / "with", buckets=BUCKETS)
    models = pytest.importorskip("sentence_transformers")
    theirs = models.SparseEncoder(str(tmp_path / "with"), trust_remote_code=True, device="cpu")
    found = theirs.encode_document(TEXTS[:4]).to_dense().numpy()
    ours = SparseEncoder.load(tmp_path / "with", device="cpu")  # in the precision that theirs has too
    np.testing.assert_array_equal(found, ours.encode_documents(TEXTS[:4]).to_scipy().toarray())


def test_an_onnx_folder_has_them(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    _, phrased = made("compact", tmp_path)
    phrased.export_onnx(tmp_path / "onnx")
    other = SparseEncoder.load(tmp_path / "onnx")
    assert other.encode_queries(TEXTS) == phrased.encode_queries(TEXTS)
    for a, b in zip(rows(other.encode_documents(TEXTS)), rows(phrased.encode_documents(TEXTS)), strict=True):
        shared = a.keys() & b.keys()
        assert len(shared) >= 0.95 * max(len(a), len(b))
        assert {t: a[t] for t in shared} == pytest.approx({t: b[t] for t in shared}, abs=2e-3)
    plain = zoo.make("compact", tmp_path / "other")
    load(plain).export_onnx(tmp_path / "bare")
    again = SparseEncoder.load(tmp_path / "bare").save_with_phrases(
        tmp_path / "late", buckets=BUCKETS, factor=0.7
    )
    assert again.encode_queries(TEXTS) == phrased.encode_queries(TEXTS)


def test_deepimpact_weighs_words(tmp_path: Path) -> None:
    """A word of pieces is one term: it scores what its pieces scored, and nothing with another word."""
    plain, words = made("deepimpact", tmp_path, phrases="words")
    # two pieces that weigh something, another word with one of them, a word of one piece
    row = rows(plain.encode_documents([" ".join(f"{w}ba" for w in WORDS[:40:2])]))[0]
    long = next(f"{w}ba" for w in WORDS[:40:2] if VOCABULARY.index(w) in row)
    other, short = WORDS[61] + "ba", WORDS[3]
    assert [len(plain.word_spans(w)) for w in (long, other, short)] == [2, 2, 1]
    assert [len(words.word_spans(w)) for w in (long, other, short)] == [1, 1, 1]
    texts = [" ".join(f"{w}ba" for w in WORDS[:40:2]), f"{long} {long} {short} {short}", ""]
    queries = [f"{short} {long}", long, other, short, ""]

    def scores(encoder: SparseEncoder) -> Any:
        q, d = encoder.encode_queries(queries).to_scipy(), encoder.encode_documents(texts).to_scipy()
        return (q @ d.T).toarray()

    by_piece, by_word = scores(plain), scores(words)
    np.testing.assert_allclose(by_word[[0, 1, 3, 4], 1], by_piece[[0, 1, 3, 4], 1], rtol=1e-5)
    assert by_word[1, 0] > 0 and not by_word[:, 2].any()
    assert by_piece[2, 0] > 0 and not by_word[2].any(), "one piece in common scored"
    term = TOKENS + hash_of([VOCABULARY.index(p) for p in (long[:-2], "##ba")], BUCKETS)
    of_first, of_second = rows(words.encode_documents(texts[:2]))
    assert term in of_first and not {VOCABULARY.index("##ba"), term - 1} & {*of_first, *of_second}
    assert words.term_names(long) == {term: long}
    assert words.encode_queries(queries)[[0, 2]] == SparseVectors.concat(
        [words.encode_queries([queries[0]]), words.encode_queries([queries[2]])]
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=3, max_size=3), min_size=1, max_size=20),
    st.integers(1, 1 << 20),
    st.integers(1, 3),
)
def test_the_hash_is_the_same_everywhere(table: list[list[int]], buckets: int, width: int) -> None:
    columns = [np.array([row[i] for row in table], np.int64) for i in range(width)]
    found = hashed(columns, buckets)
    assert found.tolist() == [hash_of(row[:width], buckets) for row in table]
    assert found.min() >= 0 and found.max() < buckets
    if width == 2:
        assert [_bucket(a, b, buckets) for a, b, _ in table] == found.tolist()


def test_the_hash_spreads_and_knows_the_order() -> None:
    a, b = (x.ravel() for x in np.meshgrid(np.arange(300), np.arange(300)))
    counts = np.bincount(hashed([a, b], 1 << 16), minlength=1 << 16)
    assert counts.max() <= 12 and abs((counts == 0).mean() - np.exp(-90_000 / 65_536)) < 0.01
    other = a != b
    assert (hashed([a, b], 1 << 20) == hashed([b, a], 1 << 20))[other].mean() < 1e-4
    assert (hashed([a, b], 1 << 20) == hashed([a, b, b], 1 << 20)).mean() < 1e-4


class _Tokenizer:
    """Ten tokens: 0 is special, 1 is punctuation."""

    special_ids = np.array([0], np.int32)

    def vocabulary(self, n_terms: int) -> list[str]:
        return ["[CLS]", "##,", *"abcdefgh"]


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(np.float32, (3, 10), elements=st.sampled_from([0.0, 0.25, 1.0, 3.0])),
    st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=3, max_size=6),
    st.integers(1, 40),
)
def test_rows_with_pairs_are_those_of_a_dictionary(
    weights: Any, windows: list[list[int]], buckets: int
) -> None:
    terms = PhraseTerms(EncoderSettings(phrase_terms="pairs", phrase_buckets=buckets), _Tokenizer(), 10)  # type: ignore[arg-type]
    owners = [i % 3 for i in range(len(windows))]
    vectors = SparseVectors.from_dicts([{t: float(w) for t, w in enumerate(row) if w} for row in weights], 10)
    out = terms.added(vectors, [np.array(w, np.int32) for w in windows], owners)
    expected: list[dict[int, float]] = rows(vectors)
    for row, tokens in zip(owners, windows, strict=True):
        kept = [t for t in tokens if t != 1]
        for a, b in pairwise(kept):
            weight = 0.75 * min(float(weights[row, a]), float(weights[row, b]))
            if a and b and weight:
                term = 10 + hash_of([a, b], buckets)
                expected[row][term] = max(expected[row].get(term, 0.0), weight)
    assert rows(out) == expected
    for row, tokens in enumerate(windows[:3]):
        assert terms.of_query(tokens, weights[row]) == {
            t: w
            for t, w in rows(terms.added(vectors, [np.array(tokens, np.int32)], [row]))[row].items()
            if t >= 10
        }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(-1, 6)), max_size=20), st.integers(1, 1000))
def test_words_are_runs_of_pieces(pieces: list[tuple[int, int]], buckets: int) -> None:
    ids, numbers = (np.array([p[i] for p in pieces], np.int64) for i in (0, 1))
    terms, starts, counts = WordTerms(100, buckets).of_tokens(ids, numbers)
    expected, i = [], 0
    while i < len(pieces):
        j = i
        while j < len(pieces) and pieces[j][1] == pieces[i][1]:
            j += 1
        if pieces[i][1] >= 0:
            word = ids[i:j].tolist()
            expected.append((word[0] if j == i + 1 else 100 + hash_of(word, buckets), i, j - i))
        i = j
    assert list(zip(terms.tolist(), starts.tolist(), counts.tolist(), strict=True)) == expected


def test_spans_of_phrases_are_those_of_their_words(tmp_path: Path) -> None:
    _, phrased = made("compact", tmp_path)
    text = f"{WORDS[0]}ba  {WORDS[3].upper()} {WORDS[4]} zzqq {WORDS[4]}"
    spans = [(text[a:b], term) for term, a, b in phrased.word_spans(text) if term >= TOKENS]
    whole, second, third = f"{WORDS[0]}ba", WORDS[3].upper(), WORDS[4]
    assert [words for words, _ in spans] == [whole, f"{whole}  {second}", f"{second} {third}"]
    assert phrased.term_names(text) == {term: words.lower() for words, term in spans}
    assert phrased.word_spans("") == [] and phrased.term_names("") == {}


# ---- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"phrases": "trios"}, "phrase_terms 'trios' is not one of"),
        ({"phrases": "none"}, "is not one of pairs, words"),
        ({"buckets": 0}, "phrase_buckets must be a whole number from 1 to 1,048,576, got 0"),
        ({"buckets": 1 << 21}, "phrase_buckets must be"),
        ({"buckets": 2.5}, "phrase_buckets must be"),
        ({"buckets": True}, "phrase_buckets must be"),
        ({"factor": 0}, "phrase_factor must be above 0"),
        ({"factor": float("nan")}, "phrase_factor must be above 0"),
        ({"factor": "1"}, "phrase_factor must be above 0"),
    ],
)
def test_bad_arguments(options: dict[str, Any], says: str, tmp_path: Path) -> None:
    encoder = load(zoo.make("compact", tmp_path / "model"))
    with pytest.raises(InvalidInputError, match=says):
        encoder.save_with_phrases(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("st-csr", {}, "phrase_terms = pairs with an encoder of kind csr: none"),
        ("echo", {}, "phrase_terms = pairs with an encoder of kind echo: none"),
        ("mlm", {"phrases": "words"}, "phrase_terms = words with an encoder of kind mlm: none or pairs"),
        (
            "unicoil",
            {"phrases": "words"},
            "phrase_terms = words with an encoder of kind scalar: none or pairs",
        ),
    ],
)
def test_encoders_without_such_terms(name: str, options: dict[str, Any], says: str, tmp_path: Path) -> None:
    encoder = load(zoo.make(name, tmp_path / "model"))
    with pytest.raises(CheckpointError, match=says):
        encoder.save_with_phrases(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_taken(tmp_path: Path) -> None:
    encoder = load(zoo.make("compact", tmp_path / "model"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="the folder is not empty"):
        encoder.save_with_phrases(tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"phrase_terms": "all"}, "phrase_terms 'all' is not one of none, pairs, words"),
        ({"phrase_terms": "words"}, "phrase_terms = words with an encoder of kind mlm"),
        ({"phrase_buckets": -5}, "phrase_buckets must be a whole number"),
        ({"phrase_buckets": 10**9}, "phrase_buckets must be a whole number"),
        ({"phrase_factor": 0.0}, "phrase_factor must be above 0"),
        ({"phrase_weights": "x"}, "unknown splade_engine setting 'phrase_weights'"),
    ],
)
def test_damaged_folders_are_refused(section: dict[str, Any], says: str, tmp_path: Path) -> None:
    made("compact", tmp_path)
    path = tmp_path / "with" / "config.json"
    config = json.loads(path.read_text())
    zoo.edit(
        path, splade_engine={k: v for k, v in {**config["splade_engine"], **section}.items() if v is not None}
    )
    with pytest.raises(CheckpointError, match=says) as error:
        load(tmp_path / "with").encode_queries(["bado"])
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_sides_that_differ_are_refused(tmp_path: Path) -> None:
    zoo.make("pair", tmp_path / "model")
    for side, buckets in (("document", 64), ("query", 32)):
        section = {"format": 1, "kind": "mlm", "phrase_terms": "pairs", "phrase_buckets": buckets}
        zoo.edit(tmp_path / "model" / side / "config.json", splade_engine=section)
    with pytest.raises(CheckpointError, match="phrase_buckets is 32 for queries and 64 for documents"):
        load(tmp_path / "model")
