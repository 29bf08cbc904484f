"""Tokens that tokenizer_config.json names beside a tokenizer.json, against transformers itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from splade_engine.encoder.folders.tokenizer import overridden
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[S2]", "moon", "sea", "<x>", "[", "]", "<", ">"]
NAMES = {name.lower() + "_token": f"[{name}]" for name in ("CLS", "SEP", "PAD", "UNK", "MASK")}
TEXTS = ["moon", "moon [SEP] sea [S2]", "[MASK] <x> moon", "<new>moon <new2>"]


def wordpiece() -> Tokenizer:
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.add_special_tokens([AddedToken(word, normalized=False) for word in WORDS[:5]])
    return made


def byte_level() -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made = Tokenizer(models.BPE({word: i for i, word in enumerate([*special, *letters])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    made.add_special_tokens([AddedToken(word, normalized=False) for word in special])
    return made


def write(folder: Path, tokenizer: Tokenizer, kind: str, config: dict[str, Any]) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    return folder


def entry(content: str, **flags: bool) -> dict[str, Any]:
    plain = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    return {"__type": "AddedToken", "content": content, **plain, "special": True, **flags}


FOLLOWED = [
    ("BertTokenizer", {}),
    ("BertTokenizer", {"mask_token": "<x>"}),
    ("BertTokenizer", {"pad_token": "sea"}),
    ("BertTokenizer", {"added_tokens_decoder": {"8": entry("<x>")}}),
    (
        "BertTokenizer",
        {
            "added_tokens_decoder": {
                "14": entry("<new2>", special=False, normalized=True),
                "13": entry("<new>", rstrip=True),
            }
        },
    ),
    ("BertTokenizer", {"extra_special_tokens": ["<new>"]}),
    ("BertTokenizer", {"extra_special_tokens": ["<new>"], "additional_special_tokens": ["[S2]"]}),
    ("BertTokenizer", {"extra_special_tokens": {"a_token": "<new2>", "b": "<new>"}}),
    ("BertTokenizer", {"image_token": "<new>", "mask_token": "<new2>"}),
    ("BertTokenizer", {"mask_token": "<new2>", "eos_token": "<new>", "bos_token": entry("<x>", lstrip=True)}),
    ("PreTrainedTokenizerFast", {"added_tokens_decoder": {"13": entry("<new>")}, "eos_token": "<new2>"}),
    ("PreTrainedTokenizerFast", {"sep_token": "[S2]"}),
    ("PreTrainedTokenizerFast", {"mask_token": entry("<x>", lstrip=True)}),
    ("PreTrainedTokenizerFast", {"unk_token": "sea"}),
]


@pytest.mark.parametrize(("name", "said"), FOLLOWED)
def test_what_is_followed_is_what_transformers_does(tmp_path: Path, name: str, said: dict[str, Any]) -> None:
    from transformers import AutoTokenizer

    write(tmp_path, wordpiece(), "bert", {**NAMES, "tokenizer_class": name, **said})
    theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    ours, _ = TextTokenizer(tmp_path, 64).encode(TEXTS)
    assert [ids.tolist() for ids in ours] == [theirs(text)["input_ids"] for text in TEXTS]
    assert bool(overridden(tmp_path)) == bool(said)  # another encoder


OLDER = [  # special_tokens_map.json, added_tokens.json, whether tokens come of it
    ({"sep_token": "[SEP]"}, {}, False),
    ({"additional_special_tokens": ["<new>", "[S2]"]}, {}, True),
    ({"mask_token": entry("<x>", lstrip=True), "pad_token": "<new>"}, {}, True),
    ({}, {"<new>": 13, "<new2>": 14}, True),
    ({"extra_special_tokens": ["<new>"]}, {"<new>": 13}, True),
]


@pytest.mark.parametrize(("roles", "added", "acts"), OLDER)
@pytest.mark.parametrize("config", ["roles", "class alone", "none"])
def test_older_files_are_followed_as_transformers_does(
    tmp_path: Path, roles: dict[str, Any], added: dict[str, int], acts: bool, config: str
) -> None:
    """Both were left unread beside a tokenizer.json: texts with such tokens got other ids."""
    from transformers import AutoTokenizer

    kept = {"tokenizer_class": "BertTokenizer", **(NAMES if config == "roles" else {})}
    write(tmp_path, wordpiece(), "bert", kept)
    if config == "none":
        (tmp_path / "tokenizer_config.json").unlink()
    for name, value in (("special_tokens_map.json", roles), ("added_tokens.json", added)):
        (tmp_path / name).write_text(json.dumps(value))
    theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    ours, _ = TextTokenizer(tmp_path, 64).encode(TEXTS)
    assert [ids.tolist() for ids in ours] == [theirs(text)["input_ids"] for text in TEXTS]
    assert bool(overridden(tmp_path)) == acts


def test_older_files_do_not_count_beside_the_newer_entry(tmp_path: Path) -> None:
    kept = {**NAMES, "tokenizer_class": "BertTokenizer", "added_tokens_decoder": {}}
    write(tmp_path, wordpiece(), "bert", kept)
    (tmp_path / "special_tokens_map.json").write_text('{"sep_token": "[S2]"}')
    (tmp_path / "added_tokens.json").write_text('{"<new>": 99}')
    assert TextTokenizer(tmp_path, 64).encode(["moon <new>"])[0][0].tolist() == [2, 6, 11, 1, 12, 3]
    assert overridden(tmp_path) == {}


@pytest.mark.parametrize(
    ("roles", "added", "message"),
    [
        ({"sep_token": "[S2]"}, {}, "sep_token is '[S2]', and tokenizer.json has '[SEP]' in its place"),
        ({}, {"<new>": 99}, "'<new>' has id 99 among added tokens, and would get 13"),
        ({}, {"<new>": "13"}, "/added_tokens.json: an id for each token is expected, of its own"),
        ({}, {"<new>": 13, "<new2>": 13}, "/added_tokens.json: an id for each token is expected"),
    ],
)
def test_older_files_that_contradict_are_refused(
    tmp_path: Path, roles: dict[str, Any], added: dict[str, Any], message: str
) -> None:
    write(tmp_path, wordpiece(), "bert", {"tokenizer_class": "BertTokenizer"})
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(roles))
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(CheckpointError) as error:
        TextTokenizer(tmp_path, 64)
    assert str(error.value).startswith(f"{tmp_path}{'' if message[0] == '/' else ': '}{message}")


BYTE_ROLES = {"cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
BYTE_ROLES |= {"pad_token": "<pad>"}


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "normalized", "single_word", "special"])
@pytest.mark.parametrize("name", ["BertTokenizer", "RobertaTokenizer", "PreTrainedTokenizerFast"])
def test_a_token_of_both_files_has_the_flags_of_the_list(tmp_path: Path, name: str, flag: str) -> None:
    """Those of a role say nothing of a token that is there."""
    from transformers import AutoTokenizer

    texts = ["moon <x> sea", "moon<x>sea", "<X> moon", " <x>  moon", "<x>"]
    made, roles = (wordpiece(), NAMES) if name == "BertTokenizer" else (byte_level(), BYTE_ROLES)
    made.add_special_tokens([AddedToken("<x>", normalized=False)])
    plain = [made.encode(text).ids for text in texts]
    number, other = made.token_to_id("<x>"), entry("<x>", **{flag: flag != "special"})
    for said in ({"added_tokens_decoder": {str(number): other}}, {"additional_special_tokens": [other]}):
        write(tmp_path, made, "bert", {**roles, "tokenizer_class": name, **said})
        theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
        tokenizer = TextTokenizer(tmp_path, 64)
        ours = [ids.tolist() for ids in tokenizer.encode(texts)[0]]
        assert ours == [theirs(text)["input_ids"] for text in texts]
        assert (number in tokenizer.special_ids) == (flag != "special" or "additional_special_tokens" in said)
        assert bool(overridden(tmp_path)) == ("added_tokens_decoder" in said)
        if "additional_special_tokens" in said:
            assert ours == plain


@pytest.mark.parametrize("said", [True, False, None])
def test_the_space_before_a_text_of_bytes(tmp_path: Path, said: bool | None) -> None:
    from transformers import AutoTokenizer

    for name in ("RobertaTokenizerFast", "GPT2Tokenizer", "PreTrainedTokenizerFast"):
        config = {**BYTE_ROLES, "tokenizer_class": name, "add_prefix_space": said}
        kept = {key: value for key, value in config.items() if value is not None}
        write(tmp_path, byte_level(), "roberta", kept)
        theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
        ours, _ = TextTokenizer(tmp_path, 64).encode(["moon", " x"])
        assert [ids.tolist() for ids in ours] == [theirs(text)["input_ids"] for text in ("moon", " x")]
        assert overridden(tmp_path) == (
            {"add_prefix_space": True} if said and not name.startswith("Pre") else {}
        )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"sep_token": "[S2]"}, "sep_token is '[S2]', and tokenizer.json has '[SEP]' in its place"),
        ({"cls_token": entry("moon")}, "cls_token is 'moon', and tokenizer.json has '[CLS]' in its place"),
        ({"unk_token": "sea"}, "unk_token is 'sea', and tokenizer.json has '[UNK]' in its place"),
        (
            {"added_tokens_decoder": {"99": entry("<new>")}},
            "'<new>' has id 99 among added tokens, and would get 13",
        ),
        ({"extra_special_tokens": "sea"}, "extra_special_tokens must be several tokens, got 'sea'"),
        ({"additional_special_tokens": 1.5}, "additional_special_tokens must be several tokens, got 1.5"),
        ({"additional_special_tokens": [["sea"]]}, "additional_special_tokens holds ['sea'], which is no"),
        ({"added_tokens_decoder": True}, "added_tokens_decoder must be several tokens, got True"),
        (
            {"added_tokens_decoder": {"13": {"content": 3}}},
            "added_tokens_decoder holds {'content': 3}, which",
        ),
    ],
)
def test_files_that_contradict_each_other_are_refused(
    tmp_path: Path, said: dict[str, Any], message: str
) -> None:
    write(tmp_path, wordpiece(), "bert", {**NAMES, "tokenizer_class": "BertTokenizer", **said})
    with pytest.raises(CheckpointError) as error:
        TextTokenizer(tmp_path, 64)
    assert str(error.value).startswith(f"{tmp_path / 'tokenizer_config.json'}: {message}")


@pytest.mark.parametrize("added", [1.5, True, "sea", {"content": "sea"}, [{"content": ["sea"]}, 7, None]])
def test_added_tokens_of_other_types_are_refused_as_a_tokenizer_file(tmp_path: Path, added: Any) -> None:
    """The fingerprint looked at them first, and a number was a traceback."""
    write(tmp_path, wordpiece(), "bert", {"tokenizer_class": "BertTokenizer", "mask_token": "<x>"})
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**saved, "added_tokens": added}))
    assert [token["content"] for token in overridden(tmp_path)["tokens"]] == ["<x>"]
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a tokenizer file"):
        TextTokenizer(tmp_path, 64)


@pytest.mark.parametrize("direction", ["left", "right"])
def test_a_tokenizer_that_pads_is_read(tmp_path: Path, direction: str) -> None:
    """As many of sentence-transformers are saved: what stands around a text is not what fills it up."""
    made = wordpiece()
    made.enable_padding(length=16, pad_id=0, pad_token="[PAD]", direction=direction)
    write(tmp_path, made, "bert", {**NAMES, "tokenizer_class": "BertTokenizer"})
    (ids,), _ = TextTokenizer(tmp_path, 64).encode(["moon"])
    assert ids.tolist() == [2, 6, 3]


@pytest.mark.parametrize(
    ("before", "said", "words"),
    [
        (pre_tokenizers.Metaspace(prepend_scheme="always"), False, "Metaspace in tokenizer.json puts one"),
        (pre_tokenizers.Metaspace(prepend_scheme="never"), True, "Metaspace in tokenizer.json puts none"),
        (pre_tokenizers.ByteLevel(add_prefix_space=False), True, "ByteLevel in tokenizer.json puts none"),
        (pre_tokenizers.Metaspace(prepend_scheme="first"), True, None),
        (pre_tokenizers.ByteLevel(add_prefix_space=False), False, None),
    ],
)
@pytest.mark.parametrize("within", [False, True])
def test_another_space_where_releases_differ_is_refused(
    tmp_path: Path, before: Any, said: bool, words: str | None, within: bool
) -> None:
    made = byte_level()
    made.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), before]) if within else before
    )
    config = {**BYTE_ROLES, "add_prefix_space": said}
    write(tmp_path, made, "bert", {**config, "tokenizer_class": "PreTrainedTokenizerFast"})
    TextTokenizer(tmp_path, 64)  # takes tokenizer.json as it is
    write(tmp_path, made, "bert", {**config, "tokenizer_class": "LlamaTokenizerFast"})
    if words is None:
        TextTokenizer(tmp_path, 64)
        return
    with pytest.raises(CheckpointError) as error:
        TextTokenizer(tmp_path, 64)
    told = f"add_prefix_space is {str(said).lower()}, and {words}: make both say the same"
    assert str(error.value) == f"{tmp_path / 'tokenizer_config.json'}: {told}"


@pytest.mark.parametrize("said", [True, None])
def test_a_class_of_bytes_puts_no_space_unless_it_is_told(tmp_path: Path, said: bool | None) -> None:
    from transformers import AutoTokenizer

    made = byte_level()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    prefix = {} if said is None else {"add_prefix_space": said}
    write(tmp_path, made, "roberta", {**BYTE_ROLES, "tokenizer_class": "GPT2Tokenizer", **prefix})
    theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    (ours,), _ = TextTokenizer(tmp_path, 64).encode(["moon"])
    assert ours.tolist() == theirs("moon")["input_ids"]
    assert overridden(tmp_path) == ({} if said else {"add_prefix_space": False})


def test_a_list_of_tokens_that_lacks_some_is_refused(tmp_path: Path) -> None:
    made = wordpiece()
    made.add_special_tokens([AddedToken("<y>", normalized=False)])
    config = {**NAMES, "added_tokens_decoder": {"8": entry("<x>")}}
    write(tmp_path, made, "bert", {**config, "tokenizer_class": "PreTrainedTokenizerFast"})
    TextTokenizer(tmp_path, 64)
    write(tmp_path, made, "bert", {**config, "tokenizer_class": "BertTokenizer"})
    with pytest.raises(CheckpointError, match=r"lacks '<y>', which tokenizer\.json adds"):
        TextTokenizer(tmp_path, 64)


def test_a_bare_vocabulary_has_the_tokens_of_its_config(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    config = {"sep_token": entry("[S2]"), "mask_token": "<x>", "added_tokens_decoder": {"13": entry("<new>")}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = TextTokenizer(tmp_path, 64)
    (ids,), _ = tokenizer.encode(["moon <x> <new>"])
    assert ids.tolist() == [2, 6, 8, 13, 5]
    assert tokenizer.special_ids.tolist() == [0, 1, 2, 5, 8, 13]
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "special_tokens_map.json").write_text('{"cls_token": "[CLS]", "mask_token": "[MASK]"}')
    assert overridden(tmp_path) == {}, "as without it"
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"sep_token": "[S2]", "mask_token": "<x>"}))
    (tmp_path / "added_tokens.json").write_text('{"<new>": 13}')
    (ids,), _ = TextTokenizer(tmp_path, 64).encode(["moon <x> <new>"])
    assert ids.tolist() == [2, 6, 8, 13, 5]
    assert overridden(tmp_path)["roles"] == ["[BOS]", "[EOS]", "[UNK]", "[S2]", "[PAD]", "[CLS]", "<x>"]


def test_a_file_of_the_same_date_and_size_is_another_file(tmp_path: Path) -> None:
    """Two encoders out of one archive, one put in the place of the other while the process runs."""
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))

    def put(lowercase: bool) -> None:
        made = wordpiece()
        made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        path = tmp_path / "tokenizer.json"
        path.write_text(made.to_str().ljust(9000))
        os.utime(path, ns=(10**18, 10**18))

    put(True)
    assert "lowercase" not in overridden(tmp_path)
    put(False)
    assert overridden(tmp_path)["lowercase"] is True
