"""The reference of all fields of a recipe as Markdown, from the comments above them.

python -m splade_engine.training.recipe.reference > docs/recipe.md
"""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from splade_engine.training.fields import field_comments
from splade_engine.training.recipe.recipe import Recipe
from splade_engine.training.recipe.sections import SourceConfig
from splade_engine.training.recipe.values import toml_value

_HEAD = """# The fields of a recipe

Every field of a recipe, its default and its meaning. Set one with `--set SECTION.FIELD=VALUE`, with
`Recipe.override({"SECTION.FIELD": value})`, or in a TOML file of your own.
`splade-engine train -r NAME --show` prints these explanations above the values of one recipe.
This page is made from the comments in the source, by `python -m splade_engine.training.recipe.reference`.
"""


def reference() -> str:
    """The whole page."""
    recipe = Recipe()
    parts = [_HEAD]
    for name in ("model", "data", "loss", "regularizer", "train", "probe"):
        parts.append(_section(f"[{name}]", type(getattr(recipe, name))))
        if name == "data":
            parts.append(_section("[[data.sources]]", SourceConfig))
    return "\n".join(parts)


def _section(title: str, section: type) -> str:
    comments, hints = field_comments(section), get_type_hints(section)
    lines = [f"## `{title}`", "", "| field | default | meaning |", "|---|---|---|"]
    for each in fields(section):
        if each.name == "sources":
            continue
        default = "required" if each.default is MISSING else _default(each.default)
        choices = each.metadata.get("choices") or _choices(hints[each.name])
        meaning = comments[each.name].replace("|", "\\|")
        if choices and not all(f"`{choice}`" in meaning for choice in choices):
            meaning += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
        lines.append(f"| `{each.name}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    return "" if value in (None, "", ()) else f"`{toml_value(value)}`"


def _choices(hint: Any) -> tuple[str, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


if __name__ == "__main__":
    sys.stdout.write(reference())
