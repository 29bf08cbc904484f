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

from typing import TYPE_CHECKING

from splade_engine.lazy import lazy
from splade_engine.training.mining.config import MiningConfig
from splade_engine.training.recipe import Recipe, load_recipe, recipe_names

if TYPE_CHECKING:
    from splade_engine.training.mining.negatives import mine
    from splade_engine.training.run.run import TrainingResult, train

__all__ = ["MiningConfig", "Recipe", "TrainingResult", "load_recipe", "mine", "recipe_names", "train"]

_HOMES = {
    "mine": "mining.negatives",
    "train": "run.run",
    "TrainingResult": "run.run",
}

# recipes do without torch
__getattr__ = lazy(__name__, _HOMES)
