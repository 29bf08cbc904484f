"""`Recipe`: everything that decides a training run, as frozen dataclasses that map one to one to a TOML file.

Published recipes are TOML files in `published/`, each value with its source; every field can be overridden
(`--set train.lr=1e-5` on the command line, `recipe.override({"train.lr": 1e-5})` in Python).
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from splade_engine.arguments import flag, path_of, shown
from splade_engine.errors import InvalidInputError
from splade_engine.files import disk_errors, read_toml
from splade_engine.plain_text import one_line, shortened
from splade_engine.training.fields import check_fields, field_comments
from splade_engine.training.objective.parts import LossConfig
from splade_engine.training.objective.penalties import RegularizerConfig
from splade_engine.training.recipe.combinations import check_together
from splade_engine.training.recipe.sections import (
    DataConfig,
    ModelConfig,
    ProbeConfig,
    SourceConfig,
    TrainConfig,
)
from splade_engine.training.recipe.values import toml_value
from splade_engine.typed import check_types, checked_fields

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
        check_types(self, f"recipe {shown(self.name)[1:-1]}")
        for section in _SECTIONS:
            check_types(getattr(self, section), f"recipe {self.name}: {section}.", joined=True)
            check_fields(getattr(self, section), f"recipe {self.name}: {section}.")
        for source in self.data.sources:
            check_fields(source, f"recipe {self.name}: {source.path}: data.sources.")
        check_together(self)

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

    def to_toml(self, *, explain: bool = False) -> str:
        """The recipe as a TOML file that `load_recipe` reads back.

        Args:
            explain: with what each field means, as a comment above it.

        Raises:
            InvalidInputError: `explain` is neither True nor False.
        """
        explain = flag("explain", explain)
        lines = [f"name = {toml_value(self.name)}", f"description = {toml_value(self.description)}"]
        for name in _SECTIONS:
            section = getattr(self, name)
            lines += ["", f"[{name}]"]
            for key in (f.name for f in fields(section) if f.name != "sources"):
                lines += _explained(type(section), key) if explain else []
                lines.append(f"{key} = {toml_value(getattr(section, key))}")
        for source in self.data.sources:
            lines += ["", "[[data.sources]]"]
            for key, value in ((f.name, getattr(source, f.name)) for f in fields(source)):
                if value is not None:
                    lines += _explained(SourceConfig, key) if explain else []
                    lines.append(f"{key} = {toml_value(value)}")
        return "\n".join(lines) + "\n"


def _explained(section: type, key: str) -> list[str]:
    text = field_comments(section).get(key, "")
    return [f"# {line}" for line in textwrap.wrap(text, 106, break_on_hyphens=False)]


_SECTIONS = ("model", "data", "loss", "regularizer", "train", "probe")


def recipe_names() -> list[str]:
    """The recipes in the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str | Path) -> Recipe:
    """A recipe by its name in the package, or from a TOML file.

    Raises:
        InvalidInputError: naming the file and the key that is unknown or of the wrong type.
    """
    path = path_of("name", name)
    path = path if path.suffix == ".toml" else RECIPES / f"{name}.toml"
    with disk_errors(shortened(str(name), 200), "read"):
        there = path.is_file()
    if not there:
        raise InvalidInputError(
            f"recipe {one_line(str(name))[:200]}: not a file, and not one of {', '.join(recipe_names())}"
        )
    return recipe_from_table(read_toml(path), str(path))


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
