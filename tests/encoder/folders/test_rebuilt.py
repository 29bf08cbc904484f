"""Tokenizers that transformers 5 builds anew: the log tells of one that is read otherwise there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import pre_tokenizers

from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError

transformers = pytest.importorskip("transformers")

LETTERS = [
    *"abcdefghilmnoprstuxyzABMT0123456789.,'-()@_`\"\u6771\u4eac\u00e9",
    "##o",
    "##n",
    "moon",
    "e\u0301",
]
TEXTS = [
    "the moon", "The Moon", " moon", "  moon", "moon ", "a  b   c", "a\tb", "line\nbreak\r\n",
    "caf\u00e9 na\u00efve", "cafe\u0301", "\ufb01ne \uff21", "\u6771\u4eac", "don't ``a'' (x) a-b",
    "12345 3.14", "x@y.org", "   ", "\u200bzero\u00a0nbsp", "\u2581a \u2581",
    "<extra_id_0> moon",
]  # fmt: skip
META: dict[str, Any] = {
    "type": "Metaspace",
    "replacement": "\u2581",
    "prepend_scheme": "always",
    "split": True,
}
LEGACY = {
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        ],
    },
    "pre_tokenizer": None,
}
PIECES = {
    "type": "WordPiece",
    "unk_token": "[UNK]",
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
    "vocab": {
        piece: i
        for i, piece in enumerate(
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, "caf", "##e", "@@e"]
        )
    },
}
NFKC = {"normalizer": {"type": "NFKC"}}
LOWER = {"normalizer": {"type": "Lowercase"}}

THREE = [
    {"id": i, "content": token, "special": True, "normalized": False}
    | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    for i, token in enumerate(("<pad>", "</s>", "<unk>"))
]
NO_SENTINELS = {"added_tokens_decoder": {}, "extra_special_tokens": None, "additional_special_tokens": None}

# what release 5 builds and does not write
UNSAVED: dict[str, dict[str, Any]] = {
    "RemBertTokenizer": {
        "post_processor": {
            "type": "BertProcessing",
            "cls": ["[CLS]", 1],
            "sep": ["[SEP]", 3],
        }
    }
}


def unigram(*special: str) -> Callable[[Any], Any]:
    pieces = [(piece, -4.0) for piece in ["\u2581", *LETTERS, "\u2581m", "oon"]]
    return lambda kind: kind(vocab=[(name, 0.0) for name in special] + pieces)


def pieces(kind: Any) -> Any:
    special = ["<pad>", "<unk>", "<s>", "</s>", "<bos>", "<eos>", "<mask>"]
    ordered = [
        *special,
        *(f"<0x{i:02X}>" for i in range(256)),
        "\u2581",
        *LETTERS,
        "oo",
        "oon",
        "\u2581m",
        "\u2581\u2581",
    ]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(ordered))}
    return kind(vocab=vocabulary, merges=[("o", "o"), ("oo", "n"), ("\u2581", "m"), ("\u2581", "\u2581")])


def byte_level(kind: Any) -> Any:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"]
    letters = [
        *special,
        "<|endoftext|>",
        "<|padding|>",
        *sorted(pre_tokenizers.ByteLevel.alphabet()),
        "12",
        "oo",
    ]
    return kind(vocab={piece: i for i, piece in enumerate(letters)}, merges=[("1", "2"), ("o", "o")])


def herbert(kind: Any) -> Any:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    ordered = [*special, *LETTERS, *(letter + "</w>" for letter in LETTERS), "oo", "oon</w>"]
    vocabulary = {piece: i for i, piece in enumerate(ordered)}
    return kind(vocab=vocabulary, merges=[("o", "o"), ("oo", "n</w>")])


def wordpiece(kind: Any) -> Any:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>", "<pad>", "<mask>"]
    return kind(vocab={piece: i for i, piece in enumerate([*special, *LETTERS, "the", "cafe"])})


CLASSES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "BertTokenizer": ("bert", wordpiece),
    "MPNetTokenizer": ("mpnet", wordpiece),
    "LlamaTokenizer": ("llama", pieces),
    "CodeLlamaTokenizer": ("llama", pieces),
    "GemmaTokenizer": ("gemma", pieces),
    "T5Tokenizer": ("t5", unigram("<pad>", "</s>", "<unk>")),
    "XLMRobertaTokenizer": ("xlm-roberta", unigram("<s>", "<pad>", "</s>", "<unk>", "<mask>")),
    "CamembertTokenizer": ("camembert", unigram("<s>", "<pad>", "</s>", "<unk>", "<mask>")),
    "AlbertTokenizer": ("albert", unigram("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")),
    "RemBertTokenizer": ("rembert", unigram("<pad>", "[CLS]", "<unk>", "[SEP]", "[MASK]")),
    "DebertaV2Tokenizer": ("deberta-v2", unigram("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")),
    "BigBirdTokenizer": ("big_bird", unigram("<pad>", "</s>", "<s>", "<unk>", "[CLS]", "[SEP]", "[MASK]")),
    "HerbertTokenizer": ("bert", herbert),
    "CohereTokenizer": ("cohere", byte_level),
    "RobertaTokenizer": ("roberta", byte_level),
    "GPT2Tokenizer": ("gpt2", byte_level),
    "DebertaTokenizer": ("deberta", byte_level),
    "GPTNeoXTokenizer": ("gpt_neox", byte_level),
    "Qwen2Tokenizer": ("qwen2", byte_level),
}


def made(folder: Path, name: str, saved: dict[str, Any], said: dict[str, Any], model_type: str) -> Path:
    """A tokenizer of that class as transformers saves it, and then changed by hand."""
    CLASSES[name][1](getattr(transformers, name)).save_pretrained(folder)
    saved = {**UNSAVED.get(name, {}), **saved}
    for file, changes in (("tokenizer.json", saved), ("tokenizer_config.json", said)):
        merged = {**json.loads((folder / file).read_text()), **changes}
        left_out = [entry for entry, value in said.items() if value is None]
        (folder / file).write_text(json.dumps({k: v for k, v in merged.items() if k not in left_out}))
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


def differs(folder: Path) -> bool:
    """Whether transformers reads one of the texts otherwise than we do."""
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    ours = [ids.tolist() for ids in TextTokenizer(folder, 64).encode(TEXTS)[0]]
    return ours != [reference(text)["input_ids"] for text in TEXTS]


@pytest.mark.parametrize("name", CLASSES)
def test_what_transformers_saves_is_read_alike_and_without_a_word(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not differs(made(tmp_path, name, {}, {}, CLASSES[name][0]))
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "saved", "said", "told"),
    [
        ("LlamaTokenizer", LEGACY, {}, "reads ' moon' as other tokens"),
        ("LlamaTokenizer", LEGACY, {"legacy": True}, "reads ' moon' as other tokens"),
        ("CodeLlamaTokenizer", LEGACY, {}, "reads ' moon' as other tokens"),
        ("GemmaTokenizer", LOWER, {}, "reads ' moon' as other tokens"),
        ("T5Tokenizer", {"pre_tokenizer": META}, {}, "reads '  moon' as other tokens"),
        ("T5Tokenizer", LOWER, {}, "reads 'Moon' as other tokens"),
        ("T5Tokenizer", {"added_tokens": THREE}, NO_SENTINELS, "reads '<extra_id_0>' as one token"),
        ("RemBertTokenizer", LOWER, {}, "reads '  moon' as other tokens"),
        ("RemBertTokenizer", {}, {"keep_accents": False}, r"reads 'caf\xe9' as other tokens"),
        ("RemBertTokenizer", {}, {"do_lower_case": True}, "reads 'Moon' as other tokens"),
        ("RemBertTokenizer", {"normalizer": None}, {}, "reads '  moon' as other tokens"),
        ("XLMRobertaTokenizer", NFKC, {}, r"reads 'cafe\u0301' as other tokens"),
        ("CamembertTokenizer", LOWER, {}, "reads 'Moon' as other tokens"),
        ("AlbertTokenizer", {}, {"do_lower_case": False}, "reads 'Moon' as other tokens"),
        ("AlbertTokenizer", {}, {"keep_accents": True}, r"reads 'caf\xe9' as other tokens"),
        ("DebertaV2Tokenizer", NFKC, {}, "reads '  moon' as other tokens"),
        (
            "DebertaV2Tokenizer",
            {},
            {"split_by_punct": True},
            """reads "don't (see) a-b x_1" as other tokens""",
        ),
        ("DebertaV2Tokenizer", {}, {"do_lower_case": True}, "reads 'Moon' as other tokens"),
        ("BigBirdTokenizer", {"normalizer": None}, {}, "reads '  moon' as other tokens"),
        ("HerbertTokenizer", LOWER, {}, "reads 'Moon' as other tokens"),
        ("CohereTokenizer", {"normalizer": None}, {}, r"reads 'cafe\u0301' as other tokens"),
        ("RobertaTokenizer", LOWER, {}, "reads 'Moon' as other tokens"),
        ("GPT2Tokenizer", LOWER, {}, "reads 'Moon' as other tokens"),
        ("DebertaTokenizer", LOWER, {}, "reads 'Moon' as other tokens"),
        ("GPTNeoXTokenizer", {"normalizer": None}, {}, r"reads 'cafe\u0301' as other tokens"),
        ("Qwen2Tokenizer", LOWER, {}, "reads 'Moon' as other tokens"),
        ("BertTokenizer", LOWER, {}, r"reads 'caf\xe9' as other tokens"),
        (
            "BertTokenizer",
            {"pre_tokenizer": {"type": "WhitespaceSplit"}},
            {},
            """reads "don't (see) a-b x_1" as other tokens""",
        ),
        ("BertTokenizer", {"post_processor": None}, {}, "puts 2 special tokens around a text, not 0"),
        (
            "BertTokenizer",
            {"model": {**PIECES, "max_input_chars_per_word": 3}},
            {},
            "has 100 for the max_input_chars_per_word 3",
        ),
        (
            "BertTokenizer",
            {"model": {**PIECES, "continuing_subword_prefix": "@@"}},
            {},
            "has '##' for the continuing_subword_prefix '@@'",
        ),
        ("MPNetTokenizer", LOWER, {}, r"reads 'caf\xe9' as other tokens"),
    ],
)
def test_another_reading_is_told(
    tmp_path: Path,
    name: str,
    saved: dict[str, Any],
    said: dict[str, Any],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert differs(made(tmp_path, name, saved, said, CLASSES[name][0]))
    (line,) = [record.getMessage() for record in caplog.records]
    followed = "tokenizer.json is followed; transformers 5 builds its tokenizer anew"
    assert line.startswith(f"{tmp_path}: {followed}, as a {name}, and ")
    assert line.endswith(told)


@pytest.mark.parametrize(
    ("name", "saved", "said", "model_type"),
    [
        ("LlamaTokenizer", LEGACY, {}, "mistral"),  # whose class release 5 does not look at
        ("XLMRobertaTokenizer", LOWER, {"tokenizer_class": "PreTrainedTokenizerFast"}, "xlm-roberta"),
        ("T5Tokenizer", {}, {"legacy": True}, "t5"),
        ("T5Tokenizer", {"added_tokens": THREE}, {**NO_SENTINELS, "extra_ids": 0}, "t5"),
    ],
)
def test_what_is_read_alike_is_not_told(
    tmp_path: Path,
    name: str,
    saved: dict[str, Any],
    said: dict[str, Any],
    model_type: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not differs(made(tmp_path, name, saved, said, model_type))
    assert not caplog.records


@pytest.mark.parametrize("name", ["LlamaTokenizer", "GemmaTokenizer"])
def test_ends_in_which_releases_differ_are_refused(tmp_path: Path, name: str) -> None:
    """Release 4 follows the config in what it puts around a text, release 5 tokenizer.json."""
    made(tmp_path, name, {}, {"add_eos_token": False, "add_bos_token": False}, CLASSES[name][0])
    TextTokenizer(tmp_path, 64)
    for side, place in (("eos", "behind"), ("bos", "before")):
        made(tmp_path, name, {}, {f"add_{side}_token": True}, CLASSES[name][0])
        with pytest.raises(CheckpointError) as error:
            TextTokenizer(tmp_path, 64)
        token = json.loads((tmp_path / "tokenizer_config.json").read_text())[f"{side}_token"]
        assert str(error.value) == (
            f"{tmp_path / 'tokenizer_config.json'}: add_{side}_token is true, and tokenizer.json puts no "
            f"{token!r} {place} a text: make both say the same"
        )
