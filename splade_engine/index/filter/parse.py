"""Filters on metadata: a small language, and the same as Python values.

    year >= 1990 and lang in ['en', 'de'] and not (source = "web" or tags = 'draft')
    year between 1990 and 1999 and path prefix 'docs/' and title contains 'Moon'
    reviewer is null          author.name = 'Ada'          `odd column name` != 3

The same as values, for filters made by a program (nothing to quote, nothing to inject; `mapping.py` has the
forms of other frameworks too):

    {"year": {">=": 1990}, "lang": ["en", "de"], "$not": {"$or": [{"source": "web"}, {"tags": "draft"}]}}

Comparisons with a missing value are neither true nor false, as in SQL; a document is kept only where the
whole is true. On a column of lists, `=`, `in` and `contains` ask whether the list holds the value.
"""

from __future__ import annotations

from collections.abc import Mapping

from splade_engine.errors import InvalidInputError
from splade_engine.index.filter.expression import ExpressionParser
from splade_engine.index.filter.mapping import from_mapping
from splade_engine.index.filter.nodes import (
    FILTERS,
    MAX_NODES,
    Compare,
    Every,
    Filter,
    In,
    IsNull,
    Not,
    Some,
    Where,
    columns_of,
    parts_of,
)

__all__ = ["Compare", "Every", "Filter", "In", "IsNull", "Not", "Some", "Where", "columns_of", "parse_where"]


def parse_where(where: Where) -> Filter:
    """The filter that an expression or a mapping stands for.

    Raises:
        InvalidInputError: naming the place that is not understood.
    """
    if isinstance(where, str):
        return ExpressionParser(where).parse()
    if isinstance(where, Mapping):
        return from_mapping(where)
    if isinstance(where, FILTERS):
        _check_depth(where)
        return where
    raise InvalidInputError(f"where: expected an expression or a mapping, got {type(where).__name__}")


def _check_depth(part: Filter) -> None:
    """Raises InvalidInputError for nodes nested so deeply that reading them would exhaust the stack."""
    level: list[Filter] = [part]
    for _ in range(MAX_NODES):
        level = [inner for outer in level for inner in parts_of(outer)]
        if not level:
            return
    raise InvalidInputError(f"where: nested deeper than {MAX_NODES}")
