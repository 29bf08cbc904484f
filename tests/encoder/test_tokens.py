from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splade_engine.encoder.batching import length_sorted_batches
from splade_engine.encoder.folders.hub import DEFAULT, MODELS
from splade_engine.encoder.folders.tokenizer import overridden, truncation_side
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError
from tests.encoder.made import VOCABULARY


def test_vocab_txt_alone_gives_the_same_ids(mlm_folder: Path, texts: list[str], tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    old, new = TextTokenizer(tmp_path, 48), TextTokenizer(mlm_folder, 48)
    for a, b in zip(old.encode(texts)[0], new.encode(texts)[0], strict=True):
        assert a.tolist() == b.tolist()
    assert old.special_ids.tolist() == new.special_ids.tolist() == [0, 1, 2, 3, 4]
    assert old.vocabulary(203)[-4:] == [VOCABULARY[-1], "[unused-200]", "[unused-201]", "[unused-202]"]


def test_truncation_side(mlm_folder: Path, tmp_path: Path) -> None:
    import json
    import shutil

    shutil.copy(mlm_folder / "tokenizer.json", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"truncation_side": "left"}))
    text = "bado kime lulu nono"
    (right,), cut = TextTokenizer(mlm_folder, 4).encode([text])
    (left,), _ = TextTokenizer(tmp_path, 4).encode([text])
    (whole,), none = TextTokenizer(mlm_folder, 6).encode([text])
    assert (cut, none) == (1, 0)
    assert right.tolist() == [2, *whole[1:3], 3]
    assert left.tolist() == [2, *whole[3:5], 3]


@pytest.mark.parametrize("spread", [False, True])
def test_the_truncation_side_of_tokenizer_json(mlm_folder: Path, tmp_path: Path, spread: bool) -> None:
    """It decides where tokenizer_config.json says nothing, as in transformers; it was not looked at."""
    saved = json.loads((mlm_folder / "tokenizer.json").read_text())
    cut = {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
    saved.pop("truncation")
    content = {**saved, "truncation": cut} if spread else {"version": "1.0", "truncation": cut, **saved}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    before = truncation_side(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"truncation_side": "right"}))
    assert (before, truncation_side(tmp_path), truncation_side(mlm_folder)) == ("left", "right", "right")


@pytest.mark.parametrize(
    ("stored", "said", "ids"),
    [
        ({"lowercase": True}, {"do_lower_case": False}, ["[UNK]", "kime", "[UNK]"]),
        ({"lowercase": False}, {"do_lower_case": True}, ["bado", "kime", "bado"]),
        ({"lowercase": True}, {"strip_accents": False}, ["bado", "kime", "[UNK]"]),
        ({"lowercase": True}, {"do_lower_case": True}, ["bado", "kime", "bado"]),
        (
            {"lowercase": True, "strip_accents": False},
            {"do_lower_case": True, "strip_accents": None},
            ["bado", "kime", "bado"],
        ),
    ],
)
def test_what_the_config_says_of_letters(
    mlm_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    stored: dict[str, bool],
    said: dict[str, Any],
    ids: list[str],
) -> None:
    """Classes of BERT follow tokenizer_config.json, the generic one tokenizer.json, as in transformers."""
    content = json.loads((mlm_folder / "tokenizer.json").read_text())
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps({**content, "normalizer": {**normalizer, **stored}}))
    for name, follows in (("BertTokenizer", True), ("PreTrainedTokenizerFast", False)):
        config = {"tokenizer_class": name, "unk_token": "[UNK]", "pad_token": "[PAD]", **said}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        caplog.clear()
        tokenizer = TextTokenizer(tmp_path, 48)
        read = tokenizer.encode_one("Bado kime BÁDO")[0]
        assert bool(caplog.records) == bool(overridden(tmp_path))
        if follows:
            assert read == [tokenizer.token_id(token) for token in ids]
        else:
            assert not caplog.records
        transformers = pytest.importorskip("transformers")
        reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
        assert read == reference("Bado kime BÁDO", add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("said", [{}, {"do_lower_case": False}, {"tokenize_chinese_chars": False}])
@pytest.mark.parametrize(
    ("class_in", "kind", "follows"),
    [
        ("tokenizer_config.json", "BertTokenizer", True),
        ("tokenizer_config.json", "LxmertTokenizerFast", True),
        ("config.json", "BertTokenizerFast", True),
        ("model_type", "bert", True),
        ("model_type", "distilbert", True),
        ("model_type", "electra", True),
        ("model_type", "mobilebert", True),
        ("model_type", "ernie", True),
        ("model_type", "modernbert", False),
        ("model_type", "other", False),
    ],
)
@pytest.mark.parametrize("lowercase", [True, False])
def test_a_class_that_the_tokenizer_s_config_does_not_name(
    mlm_folder: Path,
    tmp_path: Path,
    said: dict[str, Any],
    class_in: str,
    kind: str,
    follows: bool,
    lowercase: bool,
) -> None:
    """It is that of the model, and what the config leaves out are its own defaults; both were passed over."""
    transformers = pytest.importorskip("transformers")
    content = json.loads((mlm_folder / "tokenizer.json").read_text())
    content["normalizer"].update(lowercase=lowercase, handle_chinese_chars=False)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    named = {"tokenizer_class": kind}
    config = {"model_type": kind} if class_in == "model_type" else {"model_type": "bert"}
    config |= named if class_in == "config.json" else {}
    (tmp_path / "config.json").write_text(json.dumps(config))
    beside = {"unk_token": "[UNK]", "pad_token": "[PAD]", **said}
    beside |= named if class_in == "tokenizer_config.json" else {}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(beside))
    text = "Bado kime BÁDO bado\u6771"
    tokenizer = TextTokenizer(tmp_path, 48)
    read = tokenizer.encode_one(text)[0]
    assert (overridden(tmp_path) != {}) == (
        follows and (not lowercase or said != {"tokenize_chinese_chars": False})
    )
    if kind != "other":  # transformers has no class for it
        reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
        assert read == reference(text, add_special_tokens=False)["input_ids"]


def test_places_are_those_of_the_text_where_lower_case_has_more_letters(mlm_folder: Path) -> None:
    tokenizer = TextTokenizer(mlm_folder, 64, lowercase=True)
    for text in ("\u0130\u0130\u0130 the dog", "the \u0130 dog"):
        assert "dog" in [text[start:end] for _, start, end in tokenizer.word_spans(text)]


def test_lowercase_first(mlm_folder: Path) -> None:
    lower = TextTokenizer(mlm_folder, 48, lowercase=True)
    assert lower.encode_one("BADO")[0] == lower.encode_one("bado")[0]


LONG = {
    "words": "bado kime lulu nono " * 2000,
    "no spaces": "bado" * 9000,
    "one word, then words": "x" * 40_000 + " bado kime" * 300,
    "white space": " " * 50_000 + "bado kime lulu",
    "lines": "bado\nkime\n" * 5000,
    "no letters": "\u6771\u4eac" * 20_000,
    "accents": "b\u00e1d\u0301o \u0130ME " * 5000,
    "long words": ("y" * 90 + " ") * 900,
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("lowercase", [False, True])
def test_of_a_long_text_only_the_beginning_is_tokenized(mlm_folder: Path, name: str, lowercase: bool) -> None:
    text = LONG[name]
    tokenizer = TextTokenizer(mlm_folder, 16, lowercase=lowercase)
    (ids,), cut = tokenizer.encode([text])
    found = (ids.tolist(), cut, *tokenizer.encode_one(text), tokenizer.word_spans(text))
    numbers = tokenizer.word_numbers([text])[0].tolist()
    tokenizer._stretch = None
    (ids,), cut = tokenizer.encode([text])
    assert found == (ids.tolist(), cut, *tokenizer.encode_one(text), tokenizer.word_spans(text))
    assert numbers == tokenizer.word_numbers([text])[0].tolist()


def test_the_bundled_tokenizer_reads_long_texts_alike() -> None:
    tokenizer = TextTokenizer(MODELS / DEFAULT, 64)
    rng = np.random.default_rng(3)
    words = [
        "harbour",
        "d\u00e9j\u00e0",
        "\u6771\u4eac",
        "naïveté's",
        "x" * 70,
        "1999",
        "\U0001f469\u200d\U0001f680",
        "\n",
        "\t",
    ]
    texts = [" ".join(rng.choice(words, 3000)) for _ in range(30)]
    found, cut = tokenizer.encode(texts)
    tokenizer._stretch = None
    expected, n = tokenizer.encode(texts)
    assert cut == n == 30
    for a, b in zip(found, expected, strict=True):
        assert a.tolist() == b.tolist()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("filler", ["y", " ", "\n", "\0", "\u0301", "\U0001f6a2", "\u200b"])
def test_ten_million_characters_without_a_token_take_no_half_minute(
    mlm_folder: Path, tmp_path: Path, filler: str, side: str
) -> None:
    """What lies beyond eight times the usual stretch is not looked at, and the text counts as cut."""
    folder = tmp_path / "m"
    shutil.copytree(mlm_folder, folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"truncation_side": side}))
    tokenizer = TextTokenizer(folder, 64)
    text = "bado " + filler * 10_000_000 + " kime"
    start = time.process_time()
    (ids,), cut = tokenizer.encode([text], special_tokens=False)
    one = tokenizer.encode_one(text)
    assert time.process_time() - start < 5
    assert (ids.tolist(), bool(cut)) == one
    assert cut == 1
    assert tokenizer.token_id("kime" if side == "left" else "bado") in one[0]


def test_a_text_of_10_mb_is_tokenized_at_once(mlm_folder: Path) -> None:
    text = "bado kime lulu nono " * 500_000
    tokenizer = TextTokenizer(mlm_folder, 256)
    start = time.process_time()
    tokenizer.encode([text])
    tokenizer.encode_one(text)
    tokenizer.word_spans(text)
    assert time.process_time() - start < 1


def test_saved_tokenizer_has_no_limit(mlm_folder: Path, tmp_path: Path) -> None:
    TextTokenizer(mlm_folder, 4).save(tmp_path / "tokenizer.json")
    (ids,), cut = TextTokenizer(tmp_path, 48).encode(["bado kime lulu nono"])
    assert (len(ids), cut) == (6, 0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{}", "not a tokenizer file"),
        ("vocab.txt", "bado\nkime\n", r"no \[UNK\]"),
        ("other.txt", "", "no tokenizer"),
    ],
)
def test_no_tokenizer(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        TextTokenizer(tmp_path, 48)


def test_batches_hold_every_row_once_within_the_budget() -> None:
    rng = np.random.default_rng(0)
    for tokens in (1, 50, 300, 10_000):
        lengths = rng.integers(1, 200, 77)
        batches = list(length_sorted_batches(lengths, tokens))
        assert sorted(np.concatenate(batches).tolist()) == list(range(77))
        for batch in batches:
            assert len(batch) == 1 or len(batch) * lengths[batch].max() <= tokens
        assert (np.diff([lengths[b].max() for b in batches]) <= 0).all()
    assert list(length_sorted_batches([], 10)) == []


def test_the_places_of_tokens_do_not_depend_on_how_much_is_read_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = TextTokenizer(MODELS / DEFAULT, 64)
    text = "The café  near\nthe harbour, ﬁnally; " * 40 + "x" * 90 + " 東京 " + "tea-leaf\t" * 6
    whole = tokens.starts(text)
    monkeypatch.setattr("splade_engine.encoder.tokens._AT_ONCE", 100)
    assert tokens.starts(text).tolist() == whole.tolist()
    assert tokens.starts("").tolist() == []
