"""`Recipe`: everything that decides a training run, as frozen dataclasses that map one to one to a TOML file.

Published recipes are TOML files in `published/`, each value with its source; every field can be overridden
(`--set train.lr=1e-5` on the command line, `recipe.override({"train.lr": 1e-5})` in Python).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from splade_engine.errors import InvalidInputError
from splade_engine.training.recipe.sections import (
    DataConfig,
    LossConfig,
    ModelConfig,
    ProbeConfig,
    RegularizerConfig,
    TrainConfig,
)
from splade_engine.training.recipe.values import checked_fields, toml_value

RECIPES = Path(__file__).parent / "published"


@dataclass(frozen=True)
class Recipe:
    """A training run; see the parts."""

    name: str = "custom"
    description: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)

    def __post_init__(self) -> None:
        train, loss, model = self.train, self.loss, self.model
        for name, value, low in (
            ("train.batch_size", train.batch_size, 1),
            ("train.accumulation", train.accumulation, 1),
            ("train.log_steps", train.log_steps, 1),
            ("train.steps", train.steps, 0),
            ("train.lr", train.lr, 0),
            ("data.negatives", self.data.negatives, 0),
            ("model.dropout", model.dropout, -1),
            ("model.document_length", model.document_length, 3),
            ("model.query_length", model.query_length, 3),
            ("loss.temperature", loss.temperature, 1e-9),
            ("loss.kl_temperature", loss.kl_temperature, 1e-9),
            ("loss.bank", loss.bank, 0),
            ("loss.bank_queries", loss.bank_queries, 1),
            ("loss.embed", loss.embed, 0),
            ("loss.term_start", loss.term_start, 0),
            ("model.dense_head", model.dense_head, 0),
            ("model.dense_texts", model.dense_texts, 1),
            ("regularizer.document_lambda", self.regularizer.document_lambda, 0),
            ("regularizer.query_lambda", self.regularizer.query_lambda, 0),
        ):
            if not value >= low:
                raise InvalidInputError(f"recipe {self.name}: {name} must be at least {low:g}, got {value}")
        if loss.term_start > 1:
            raise InvalidInputError(
                f"recipe {self.name}: loss.term_start is a share, 0 to 1, got {loss.term_start}"
            )
        if loss.teacher_weights and len(loss.teacher_weights) != len(loss.teachers):
            raise InvalidInputError(
                f"recipe {self.name}: {len(loss.teachers)} loss.teachers and {len(loss.teacher_weights)} "
                "loss.teacher_weights"
            )

    def override(self, values: Mapping[str, Any]) -> Recipe:
        """A copy with fields replaced, e.g. {"train.lr": 1e-5, "name": "mine"}.

        Raises:
            InvalidInputError: naming the field that does not exist or the value of the wrong type.
        """
        tables: dict[str, dict[str, Any]] = {}
        top: dict[str, Any] = {}
        for key, value in values.items():
            section, _, name = key.partition(".")
            if name and section in _SECTIONS:
                tables.setdefault(section, {})[name] = value
            else:
                top[key] = value
        changes = checked_fields(Recipe, top, f"recipe {self.name}")
        for section, table in tables.items():
            kind = type(getattr(self, section))
            changes[section] = replace(
                getattr(self, section),
                **checked_fields(kind, table, f"recipe {self.name}: {section}.", joined=True),
            )
        return replace(self, **changes)

    def to_toml(self) -> str:
        """The recipe as a TOML file that `load_recipe` reads back."""
        lines = [f"name = {toml_value(self.name)}", f"description = {toml_value(self.description)}"]
        for section in _SECTIONS:
            part = getattr(self, section)
            lines += ["", f"[{section}]"]
            lines += [
                f"{f.name} = {toml_value(getattr(part, f.name))}" for f in fields(part) if f.name != "sources"
            ]
        for source in self.data.sources:
            lines += ["", "[[data.sources]]"]
            given = {f.name: getattr(source, f.name) for f in fields(source)}
            lines += [f"{name} = {toml_value(value)}" for name, value in given.items() if value is not None]
        return "\n".join(lines) + "\n"


_SECTIONS = ("model", "data", "loss", "regularizer", "train", "probe")


def recipe_names() -> list[str]:
    """The recipes in the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str | Path) -> Recipe:
    """A recipe by its name in the package, or from a TOML file.

    Raises:
        InvalidInputError: naming the file and the key that is unknown or of the wrong type.
    """
    path = RECIPES / f"{name}.toml"
    if str(name).endswith(".toml"):
        path = Path(name)
    if not path.is_file():
        raise InvalidInputError(f"recipe {name}: not a file, and not one of {', '.join(recipe_names())}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path}: not TOML: {error}") from None
    return recipe_from_table(table, str(path))


def recipe_from_table(table: Mapping[str, Any], place: str) -> Recipe:
    """A recipe from parsed TOML; `place` begins error messages."""
    parts: dict[str, Any] = {}
    for key, value in table.items():
        if key in _SECTIONS:
            if not isinstance(value, dict):
                raise InvalidInputError(f"{place}: {key} must be a table")
            kind = get_type_hints(Recipe)[key]
            parts[key] = kind(**checked_fields(kind, value, f"{place}: {key}.", joined=True))
        else:
            parts.update(checked_fields(Recipe, {key: value}, place))
    return Recipe(**parts)
