"""What decides a training run: frozen dataclasses, one to one with a TOML file."""

from __future__ import annotations

from splade_engine.training.recipe.recipe import Recipe, load_recipe, recipe_names
from splade_engine.training.recipe.values import parse_assignment

__all__ = ["Recipe", "load_recipe", "parse_assignment", "recipe_names"]
