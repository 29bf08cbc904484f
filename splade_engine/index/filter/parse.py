"""Filters on metadata: a small language, parsed by hand, evaluated on Arrow columns.

Nothing is ever `eval`ed.
`eval`ed.

    year >= 1990 and lang in ['en', 'de'] and not (source = "web" or tags = 'draft')
    reviewer is null          `odd column name` != 3

The same as Python values, for filters made by a program (nothing to quote, nothing to inject):

    {"year": {">=": 1990}, "lang": ["en", "de"], "$not": {"$or": [{"source": "web"}, {"tags": "draft"}]}}

Comparisons with a missing value are neither true nor false, as in SQL; a document is kept only where the
whole is true. On a column of lists, `=` and `in` ask whether the list holds the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from splade_engine.arguments import check_many
from splade_engine.errors import InvalidInputError

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
MAX_LENGTH = 1 << 16  # characters of an expression
MAX_DEPTH = 50  # nested parentheses or nots
Value = str | int | float | bool


@dataclass(frozen=True)
class Compare:
    """`column operator value`."""

    column: str
    operator: str
    value: Value


@dataclass(frozen=True)
class In:
    """`column in [values]`."""

    column: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        check_many(f"where: {self.column}: in", self.values, "values", ordered=False)


@dataclass(frozen=True)
class IsNull:
    """`column is null`."""

    column: str


@dataclass(frozen=True)
class Not:
    """`not part`."""

    part: Filter


@dataclass(frozen=True)
class Every:
    """`part and part and ...`."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        check_many("where: parts", self.parts, "filters")


@dataclass(frozen=True)
class Some:
    """`part or part or ...`."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        check_many("where: parts", self.parts, "filters")


Filter = Compare | In | IsNull | Not | Every | Some
Where = str | Mapping[str, Any] | Filter  # what callers may write


def parse_where(where: Where) -> Filter:
    """The filter that an expression or a mapping stands for.

    Raises:
        InvalidInputError: naming the place that is not understood.
    """
    if isinstance(where, str):
        return _Parser(where).parse()
    if isinstance(where, Mapping):
        return _from_mapping(where, 0)
    if isinstance(where, Compare | In | IsNull | Not | Every | Some):
        return where
    raise InvalidInputError(f"where: expected an expression or a mapping, got {type(where).__name__}")


def columns_of(part: Filter) -> set[str]:
    """The names of the columns that a filter asks about."""
    if isinstance(part, Not):
        return columns_of(part.part)
    if isinstance(part, Every | Some):
        return set().union(*(columns_of(p) for p in part.parts))
    return {part.column}


# ---- the language ------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<quoted>`[^`]+`)
      | (?P<word>[^\W\d][\w.\-]*)
      | (?P<sign><=|>=|==|!=|<>|[=<>()\[\],])
    )""",
    re.VERBOSE,
)


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise InvalidInputError(f"where: {len(text)} characters, at most {MAX_LENGTH} are allowed")
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        place, end = 0, len(text.rstrip())
        while place < end:
            found = _TOKEN.match(text, place)
            if found is None:
                self._fail("not understood", place)
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind], found.start(kind)))
            place = found.end()
        self.tokens.append(("end", "", end))
        self.at = 0
        self.depth = 0

    def parse(self) -> Filter:
        made = self._some()
        if self.tokens[self.at][0] != "end":
            self._fail("expected 'and', 'or' or the end", self.tokens[self.at][2])
        return made

    def _fail(self, message: str, place: int) -> NoReturn:
        raise InvalidInputError(
            f"where: {message} at character {place + 1}: {self.text[place : place + 20]!r}"
        )

    def _word(self, *words: str) -> bool:
        kind, text, _ = self.tokens[self.at]
        if kind == "word" and text.lower() in words:
            self.at += 1
            return True
        return False

    def _sign(self, *signs: str) -> str | None:
        kind, text, _ = self.tokens[self.at]
        if kind == "sign" and text in signs:
            self.at += 1
            return text
        return None

    def _need(self, sign: str) -> None:
        if not self._sign(sign):
            self._fail(f"expected {sign!r}", self.tokens[self.at][2])

    def _some(self) -> Filter:
        parts = [self._every()]
        while self._word("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _every(self) -> Filter:
        parts = [self._one()]
        while self._word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Filter:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH}", self.tokens[self.at][2])
        if self._word("not"):
            made: Filter = Not(self._one())
        elif self._sign("("):
            made = self._some()
            self._need(")")
        else:
            made = self._comparison()
        self.depth -= 1
        return made

    def _comparison(self) -> Filter:
        kind, text, place = self.tokens[self.at]
        if kind not in ("word", "quoted"):
            self._fail("expected a column", place)
        self.at += 1
        column = text.strip("`")
        if self._word("is"):
            negated = self._word("not")
            if not self._word("null"):
                self._fail("expected 'null'", self.tokens[self.at][2])
            return Not(IsNull(column)) if negated else IsNull(column)
        negated = self._word("not")
        if self._word("in"):
            found = In(column, self._values())
            return Not(found) if negated else found
        sign = None if negated else self._sign("=", "==", "!=", "<>", "<", "<=", ">", ">=")
        if sign is None:
            self._fail("expected a comparison, 'in' or 'is null'", self.tokens[self.at][2])
        return Compare(column, {"==": "=", "<>": "!="}.get(sign, sign), self._value())

    def _values(self) -> tuple[Value, ...]:
        close = "]" if self._sign("[") else ")"
        if close == ")":
            self._need("(")
        values: list[Value] = []
        while not self._sign(close):
            if values:
                self._need(",")
            values.append(self._value())
        return tuple(values)

    def _value(self) -> Value:
        kind, text, place = self.tokens[self.at]
        self.at += 1
        if kind == "number" and len(text) > 400:
            self._fail("a number of more than 400 characters", place)
        if kind == "number":
            return float(text) if set(text) & set(".eE") else int(text)
        if kind == "text":
            return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
        if kind == "word" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        self._fail("expected a number, a quoted text, true or false", place)


# ---- the mapping -------------------------------------------------------------------------


def _from_mapping(where: Mapping[str, Any], depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise InvalidInputError(f"where: nested deeper than {MAX_DEPTH}")
    parts: list[Filter] = []
    for key, value in where.items():
        if key in ("$and", "$or"):
            if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence) or not value:
                raise InvalidInputError(f"where: {key} takes a list of filters, got {value!r:.60}")
            made = tuple(_from_mapping(_mapping(v), depth + 1) for v in value)
            parts.append(Every(made) if key == "$and" else Some(made))
        elif key == "$not":
            parts.append(Not(_from_mapping(_mapping(value), depth + 1)))
        elif isinstance(value, Mapping):
            parts.extend(_comparison(key, operator, v) for operator, v in value.items())
        elif value is None:
            parts.append(IsNull(key))
        elif isinstance(value, list | tuple | set | frozenset):
            parts.append(In(key, tuple(_plain(key, v) for v in value)))
        else:
            parts.append(Compare(key, "=", _plain(key, value)))
    if not parts:
        raise InvalidInputError("where: an empty filter")
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"where: expected a mapping, got {value!r:.60}")
    return value


def _comparison(column: str, operator: str, value: Any) -> Filter:
    if operator == "in":
        check_many(f"where: {column}: in", value, "values", ordered=False)
        return In(column, tuple(_plain(column, v) for v in value))
    if operator == "!=" and value is None:
        return Not(IsNull(column))
    if operator not in OPERATORS:
        raise InvalidInputError(f"where: {column}: {operator!r} is none of {', '.join(OPERATORS)}, in")
    return Compare(column, operator, _plain(column, value))


def _plain(column: str, value: Any) -> Value:
    if not isinstance(value, str | int | float | bool):
        raise InvalidInputError(f"where: {column}: {value!r:.60} is neither text, number nor bool")
    return value
