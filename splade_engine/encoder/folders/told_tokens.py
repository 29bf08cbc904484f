"""What tokenizer_config.json says of tokens and tokenizer.json does not, followed as transformers does.

Older folders say some of it in special_tokens_map.json and added_tokens.json (`said`).

Tokens that only the config names are added: those of `added_tokens_decoder`, those with a role
(`sep_token`, `image_token`), and further special ones. So they are found in texts. Where both files have a
token, `added_tokens_decoder` says whether it takes the spaces beside it, and the like. Byte-level classes
follow `add_prefix_space`. What stands around a text is of tokenizer.json alone. Where releases of
transformers differ in which of the two acts, a contradiction is refused: another `cls_token`, `sep_token` or
`unk_token`, spaces before the texts of other classes, `add_bos_token` and `add_eos_token` of Llama's and
Gemma's classes, a list of tokens that lacks some.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from splade_engine.arguments import first_twice, shown
from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.folders.tokenizer_class import CONFIG, GENERIC, class_of, read_tokenizer_config
from splade_engine.errors import CheckpointError
from splade_engine.plain_text import shortened

logger = logging.getLogger(__name__)

OLDER_FILES = ("special_tokens_map.json", "added_tokens.json")
# in the order in which transformers adds tokens of which tokenizer.json has none
_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# tokens that a class has without being told
_USUAL = {
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
    "pad_token": ("[PAD]", "<pad>", "<|endoftext|>"),
    "unk_token": ("[UNK]", "<unk>", "<|endoftext|>"),
    "bos_token": ("<s>", "<|endoftext|>"),
    "eos_token": ("</s>", "<|endoftext|>"),
}
FURTHER = ("extra_special_tokens", "additional_special_tokens")
"""Entries of a config that name further tokens; the first that names any counts."""
_NUMBER = re.compile("[0-9]{1,10}")  # of a token
_FLAGS = ("lstrip", "rstrip", "normalized", "single_word", "special")
# in which release 4 follows `add_bos_token` and `add_eos_token`, and release 5 tokenizer.json
_TOLD_ENDS = {"LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer"}
_BYTE_LEVEL = {"GPT2Tokenizer", "RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"}


@dataclass(frozen=True)
class ToldToken:
    """A token as the config describes it."""

    content: str
    # the id that the config gives it; None: it names none
    id: int | None = None
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    single_word: bool = False
    special: bool = True


def said(folder: Path) -> tuple[dict[str, Any], Path]:
    """What a folder's config says, and the two older files where they count; the place for messages.

    transformers reads the older ones where the config has no `added_tokens_decoder`. special_tokens_map.json
    goes before the config, and added_tokens.json names further tokens with their ids.

    Raises:
        CheckpointError: added_tokens.json holds something else, or gives two tokens one id.
    """
    config, place = read_tokenizer_config(folder), folder / CONFIG
    if "added_tokens_decoder" in config:
        return config, place
    roles, added = (read_json(folder / name, optional=True) for name in OLDER_FILES)
    if not roles and not added:
        return config, place
    merged = {**config, **roles}
    further = "extra_special_tokens"
    if isinstance(roles.get(further), list):
        merged[further] = [*_several(config.get(further)), *roles[further]]
    if added:
        numbers = [number for number in added.values() if isinstance(number, int) and number >= 0]
        twice = first_twice(numbers)
        if len(numbers) < len(added) or twice is not None:
            raise CheckpointError(f"{folder / OLDER_FILES[1]}: an id for each token is expected, of its own")
        named = (*(merged.get(role) for role in _ROLES), *_several(merged.get(further)))
        special = {token.content for token in map(_token, named) if token is not None}
        merged["added_tokens_decoder"] = {
            str(number): {"content": text, "special": text in special, "normalized": text not in special}
            for text, number in added.items()
        }
    return merged, folder


def told_by_older_files(folder: Path) -> dict[str, Any]:
    """The same beside a vocab.txt: what of the older files acts there and the config does not say."""
    ways = []
    for config in (read_json(folder / CONFIG, optional=True), said(folder)[0]):
        names = {role: f"[{role.removesuffix('_token').upper()}]" for role in _ROLES}
        roles = [content_of(config.get(role), name) for role, name in names.items()]
        ways.append((roles, [asdict(token) for token in _tokens(config) if token.content not in roles]))
    roles, tokens = ways[1]
    return {} if ways[0] == ways[1] else {"roles": roles, "tokens": tokens}


def told(config: Mapping[str, Any], saved: Any) -> dict[str, Any]:
    """What of a config acts beside this tokenizer.json: for the fingerprint. Nothing where both say the same.

    Args:
        config: from `said`.
        saved: the parsed tokenizer.json.
    """
    if not config or not isinstance(saved, dict):
        return {}
    several = (_token(entry, 0) for entry in _several(saved.get("added_tokens")))
    there = {token.content: token for token in several if token is not None}
    listed = _lists_flags(config)
    acting = [asdict(token) for token in _tokens(config) if _acts(token, there, listed)]
    found: dict[str, Any] = {"tokens": acting} if acting else {}
    before: Any = saved.get("pre_tokenizer")
    prefix = _followed_prefix_space(config)
    byte_level = isinstance(before, dict) and before.get("type") == "ByteLevel"
    if prefix is not None and byte_level and prefix != before.get("add_prefix_space"):
        found["add_prefix_space"] = prefix
    return found


def follow(tokenizer: Any, config: Mapping[str, Any], path: Path) -> None:
    """Make a `tokenizers.Tokenizer` do what the config says beside it.

    Args:
        tokenizer: as tokenizer.json describes it.
        config: from `said`.
        path: the place for messages.

    Raises:
        CheckpointError: the config gives a token another id than it would get, or names another token around
            texts, or for unknown ones, than tokenizer.json has; or what should be several tokens is not.
    """
    from tokenizers import AddedToken, pre_tokenizers

    _check_several(config, path)
    there = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    listed = _lists_flags(config)
    acting = [token for token in _tokens(config) if _acts(token, there, listed)]
    for token in acting:
        flags = asdict(token)
        content, number = flags.pop("content"), flags.pop("id")
        made = AddedToken(content, **flags)
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([made])
        given = tokenizer.token_to_id(content)
        if number is not None and number != given:
            raise CheckpointError(
                f"{path}: {content!r:.60} has id {number} among added tokens, and would get {given}: "
                "tokenizer.json is of another model"
            )
    for told_here, words in (
        ([t for t in acting if t.content not in there], "adds tokens that tokenizer.json does not have"),
        ([t for t in acting if t.content in there], "other flags than in tokenizer.json for the tokens"),
    ):
        if told_here:
            names = shortened(", ".join(token.content for token in told_here), 200)
            logger.warning("%s: %s: %s", path, words, names)
    prefix, before = _followed_prefix_space(config), tokenizer.pre_tokenizer
    if prefix is not None and isinstance(before, pre_tokenizers.ByteLevel):
        if before.add_prefix_space != prefix:
            before.add_prefix_space = prefix
            tokenizer.pre_tokenizer = before
            is_it = str(prefix).lower()
            logger.warning("%s: add_prefix_space is %s, tokenizer.json says otherwise", path, is_it)
    elif class_of(config) not in GENERIC:
        _check_prefix_space(before, config, path)
    if class_of(config) not in GENERIC:
        if listed:
            _check_dropped(there, config, path)
        _check_around(tokenizer, config, path)


def _check_prefix_space(pre_tokenizer: Any, config: Mapping[str, Any], path: Path) -> None:
    """Refuse another space before texts than tokenizer.json puts there, wherever that says so."""
    said = config.get("add_prefix_space")
    if not isinstance(said, bool) or pre_tokenizer is None:
        return
    waiting = [json.loads(pre_tokenizer.__getstate__())]
    while waiting:
        step = waiting.pop()
        waiting += step.get("pretokenizers", [])
        puts = {"ByteLevel": step.get("add_prefix_space"), "Metaspace": step.get("prepend_scheme") != "never"}
        if puts.get(step["type"], said) != said:
            raise CheckpointError(
                f"{path}: add_prefix_space is {str(said).lower()}, and {step['type']} in tokenizer.json "
                f"{'puts none' if said else 'puts one'}: make both say the same"
            )


def _check_dropped(there: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> None:
    """Refuse tokens of tokenizer.json that a list of all of them lacks: newer releases drop them."""
    named = {token.content for token in _tokens(config)}
    for role, usual in _USUAL.items():
        named |= set(usual) if config.get(role) is None else {content_of(config[role], "")}
    lacking = next((content for content in there if content not in named), None)
    if lacking is not None:
        raise CheckpointError(
            f"{path}: added_tokens_decoder lacks {lacking!r:.60}, which tokenizer.json adds: make both say "
            "the same"
        )


def _check_around(tokenizer: Any, config: Mapping[str, Any], path: Path) -> None:
    empty = tokenizer.encode("")
    around = [token for token, counts in zip(empty.tokens, empty.attention_mask, strict=True) if counts]
    if class_of(config) in _TOLD_ENDS:
        for role, end in (("bos_token", around[:1]), ("eos_token", around[-1:])):
            puts, token = config.get(f"add_{role}"), content_of(config.get(role), "")
            if isinstance(puts, bool) and token and puts != (token in end):
                raise CheckpointError(
                    f"{path}: add_{role} is {str(puts).lower()}, and tokenizer.json puts "
                    f"{'no ' if puts else ''}{token!r:.60} {'before' if role == 'bos_token' else 'behind'} a "
                    "text: make both say the same"
                )
    has = {"unk_token": getattr(tokenizer.model, "unk_token", None)}
    if len(around) > 1:
        has |= {"cls_token": around[0], "sep_token": around[-1]}
    for role, other in has.items():
        said = _token(config.get(role))
        if said is not None and isinstance(other, str) and said.content != other:
            raise CheckpointError(
                f"{path}: {role} is {said.content!r:.60}, and tokenizer.json has {other!r:.60} in its place: "
                "make both say the same"
            )


def _lists_flags(config: Mapping[str, Any]) -> bool:
    """Whether a config lists tokens with their flags; added_tokens.json gives numbers alone."""
    listed = _several(config.get("added_tokens_decoder"))
    return any("lstrip" in entry for entry in listed if isinstance(entry, dict))


def _acts(token: ToldToken, there: Mapping[str, Any], listed: bool) -> bool:
    """Whether a token of the config changes what is read beside those of tokenizer.json.

    A token that is there follows the flags of a list that has them; those of a role say nothing of it.
    """
    known = there.get(token.content)
    if known is None:
        return True
    return (
        listed
        and token.id is not None
        and any(getattr(token, name) != getattr(known, name) for name in _FLAGS)
    )


def _tokens(config: Mapping[str, Any]) -> Iterator[ToldToken]:
    """All tokens that a config names, each once, in the order in which they are added."""
    seen = set()
    for token in _named(config):
        if token is not None and token.content and token.content not in seen:
            seen.add(token.content)
            yield token


def _named(config: Mapping[str, Any]) -> Iterator[ToldToken | None]:
    decoder = config.get("added_tokens_decoder")
    numbered = decoder.items() if isinstance(decoder, dict) else ()
    known = [(int(number), value) for number, value in numbered if _NUMBER.fullmatch(number)]
    for number, value in sorted(known, key=lambda pair: pair[0]):
        yield _token(value, number)
    for role in _ROLES:
        yield _token(config.get(role))
    for name, value in config.items():  # roles of one model alone, such as `image_token`
        if name.endswith("_token") and name not in _ROLES:
            yield _token(value)
    for value in next(filter(None, (_several(config.get(name)) for name in FURTHER)), ()):
        yield _token(value)


def _several(values: Any) -> Iterable[Any]:
    """What stands there as a list, or as an object by its roles; nothing where it is neither."""
    return values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()


def _check_several(config: Mapping[str, Any], path: Path) -> None:
    """Refuse one text, whose letters would be tokens, and whatever else is no tokens."""
    for name in (*FURTHER, "added_tokens_decoder"):
        values = config.get(name)
        if values is not None and not isinstance(values, list | dict):
            raise CheckpointError(f"{path}: {name} must be several tokens, got {shown(values)}")
        odd = next((value for value in _several(values) if value is not None and _token(value) is None), None)
        if odd is not None:
            raise CheckpointError(f"{path}: {name} holds {shown(odd)}, which is no token")


def _token(value: Any, number: int | None = None) -> ToldToken | None:
    """A token that stands there as a text, or with its flags."""
    if isinstance(value, str):
        return ToldToken(value, number)
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        return None
    flags = {name: value[name] for name in _FLAGS if isinstance(value.get(name), bool)}
    if number is None:  # it has a role
        flags["special"] = True
    else:  # as the library that reads it has it
        flags = {"special": False, "normalized": not flags.get("special", False), **flags}
    return ToldToken(value["content"], number, **flags)


def content_of(value: Any, default: str) -> str:
    """The token that an entry of a config names, as a text or with its flags."""
    found = _token(value)
    return default if found is None else found.content


def _followed_prefix_space(config: Mapping[str, Any]) -> bool | None:
    """What a config says of `add_prefix_space`, where its class follows it: none, unless it says so."""
    said = config.get("add_prefix_space")
    return said is True if class_of(config) in _BYTE_LEVEL else None
