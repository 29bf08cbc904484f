"""What tokenizer_config.json says of letters and tokenizer.json does not: case, accents, Chinese characters.

transformers' classes for BERT follow the config, and where it says nothing their own defaults, so a model was
trained with those; its generic class follows tokenizer.json.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splade_engine.encoder.folders.files import truth
from splade_engine.encoder.folders.tokenizer_class import class_of

logger = logging.getLogger(__name__)

# classes of transformers that follow tokenizer_config.json
BERT_LIKE = {
    f"{name}Tokenizer"
    for name in (
        "Bert", "DistilBert", "Electra", "MobileBert", "MPNet", "SqueezeBert", "ConvBert", "LayoutLM",
        "Lxmert", "Funnel", "Splinter",
    )
}  # fmt: skip


def told(config: Mapping[str, Any], normalizer: Any, path: Path) -> dict[str, bool]:
    """How BERT's normaliser treats letters where a config says it otherwise than tokenizer.json.

    Args:
        config: from `read_tokenizer_config`.
        normalizer: that of the parsed tokenizer.json.
        path: of the config, for messages.

    Returns:
        `lowercase`, `strip_accents` and `handle_chinese_chars`; nothing where both files say the same.

    Raises:
        CheckpointError: if one of the entries is neither true nor false.
    """
    if class_of(config) not in BERT_LIKE:
        return {}
    if not isinstance(normalizer, dict) or normalizer.get("type") != "BertNormalizer":
        return {}
    said = letters_said(config, path)
    return {} if said == _letters(normalizer) else said


def letters_said(config: Mapping[str, Any], path: Path) -> dict[str, bool]:
    """How a class for BERT treats letters beside a config: as it says, else in lower case without accents.

    Raises:
        CheckpointError: as `told`.
    """
    lowercase = truth(config, "do_lower_case", True, path)
    return {
        "lowercase": lowercase,
        # BERT takes accents away where it lowercases, unless it is told
        "strip_accents": truth(config, "strip_accents", lowercase, path),
        "handle_chinese_chars": truth(config, "tokenize_chinese_chars", True, path),
    }


def follow(tokenizer: Any, config: Mapping[str, Any], path: Path) -> None:
    """Make a `tokenizers.Tokenizer` treat letters as the config says, see `told`; the log says how.

    Raises:
        CheckpointError: as `told`.
    """
    from tokenizers import normalizers

    before = tokenizer.normalizer
    if not isinstance(before, normalizers.BertNormalizer):
        return
    names = ("lowercase", "strip_accents", "handle_chinese_chars")
    saved = {"type": "BertNormalizer", **{name: getattr(before, name) for name in names}}
    other = told(config, saved, path)
    if not other:
        return
    said = ", ".join(f"{name} {value}".lower() for name, value in sorted(other.items()))
    reads = f"as {class_of(config)} of transformers reads {path.name}"
    logger.warning("%s: %s, %s; tokenizer.json says otherwise", path.parent, said, reads)
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=before.clean_text, **other)


def _letters(normalizer: Mapping[str, Any]) -> dict[str, bool]:
    """What a BertNormalizer does; it takes accents away where it lowercases, unless it is told."""
    lowercase, strip = bool(normalizer.get("lowercase", True)), normalizer.get("strip_accents")
    return {
        "lowercase": lowercase,
        "strip_accents": lowercase if strip is None else bool(strip),
        "handle_chinese_chars": bool(normalizer.get("handle_chinese_chars", True)),
    }
