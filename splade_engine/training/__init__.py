"""Training: pairs of texts in, an encoder out.

    from splade_engine.training import load_recipe, train

    recipe = load_recipe("l0").override({
        "model.base": "distilbert/distilbert-base-uncased",
        "data.sources": [{"path": "pairs.jsonl"}],
    })
    result = train(recipe, "run")       # the same call with resume=True continues an interrupted run
    encoder = SparseEncoder.load(result.model)

`train` and `mine` come with torch when they are first asked for; recipes do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from splade_engine.training.mining.config import MiningConfig
from splade_engine.training.recipe import Recipe, load_recipe, recipe_names

if TYPE_CHECKING:
    from splade_engine.training.mining.negatives import mine
    from splade_engine.training.run.run import TrainingResult, train

__all__ = ["MiningConfig", "Recipe", "TrainingResult", "load_recipe", "mine", "recipe_names", "train"]

_LAZY = {
    "mine": "splade_engine.training.mining.negatives",
    "train": "splade_engine.training.run.run",
    "TrainingResult": "splade_engine.training.run.run",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
