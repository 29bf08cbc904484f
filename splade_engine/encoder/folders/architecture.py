"""Whether the class that a config names is one of the network that it describes. Torch-free.

transformers loads whatever class it is asked for over the config that is there: a folder that says
`GPT2LMHeadModel` beside `"model_type": "bert"` became a BERT that was read as a causal model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from splade_engine.errors import CheckpointError

# "BertForMaskedLM", "XLMWithLMHeadModel" and "MPNetModel" begin with their network
_CLASS = re.compile(r"(\w+?)(?:(?:For|With)[A-Z]\w*|LMHeadModel|DoubleHeadsModel|Model)", re.ASCII)
_CAUSAL = ("ForCausalLM", "LMHeadModel")
_SAME_NETWORK = ({"roberta", "xlm-roberta", "camembert"},)  # under names of their own


def is_causal(name: str) -> bool:
    """Whether a class is a causal language model, by its name."""
    return name.endswith(_CAUSAL)


def check_architectures(config: Mapping[str, Any], encoders: set[str]) -> None:
    """Compare `architectures` with `model_type`; classes that transformers does not have say nothing.

    Args:
        config: of the model.
        encoders: model types whose tokens see the whole text.

    Raises:
        CheckpointError: a class is of another network, or a causal language model of an encoder.
    """
    named, kind = config.get("architectures"), config.get("model_type")
    if not isinstance(named, list) or not isinstance(kind, str):
        return
    for name in named:
        found = _CLASS.fullmatch(name) if isinstance(name, str) and len(name) < 100 else None
        if found is None:
            continue
        if _plain(found[1]) != _plain(kind):
            owners = _owners().get(name, frozenset())
            alike = next((names for names in _SAME_NETWORK if kind in names), {kind})
            if owners and not owners & alike and any(kind in kinds for kinds in _owners().values()):
                told = ", ".join(sorted(owners)[:3])
                raise CheckpointError(
                    f"architectures is {name}, a class of {told}, and model_type {kind}: not one model"
                )
        if is_causal(name) and kind in encoders:
            raise CheckpointError(
                f"architectures is {name}: no token of a causal language model sees what follows it, and "
                f"{kind} is made of tokens that do"
            )


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


@lru_cache(maxsize=1)
def _owners() -> Mapping[str, frozenset[str]]:
    """The model types of each class of transformers; none where it is not installed."""
    try:
        from transformers.models.auto import modeling_auto
    except ImportError:
        return {}
    owners: dict[str, set[str]] = {}
    for table, classes in vars(modeling_auto).items():
        if table.endswith("_MAPPING_NAMES"):
            for kind, names in classes.items():
                for name in (names,) if isinstance(names, str) else names:
                    owners.setdefault(name, set()).add(kind)
    return {name: frozenset(kinds) for name, kinds in owners.items()}
