"""The language of filters: read by hand, by recursive descent. Nothing is ever `eval`ed."""

from __future__ import annotations

import math
import re
from typing import NoReturn

from splade_engine.errors import InvalidInputError
from splade_engine.index.filter.nodes import (
    MAX_DEPTH,
    Compare,
    Every,
    Filter,
    In,
    IsNull,
    Like,
    Not,
    Some,
    Value,
    between,
)

MAX_LENGTH = 1 << 16  # characters of an expression
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
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class ExpressionParser:
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
        """The filter.

        Raises:
            InvalidInputError: naming the place that is not understood.
        """
        made = self._some()
        if self.tokens[self.at][0] != "end":
            self._fail("expected 'and', 'or' or the end", self.tokens[self.at][2])
        return made

    def _fail(self, message: str, place: int) -> NoReturn:
        rest = self.text[place : place + 20]
        found = f": {rest!r}" if rest else ", where it ends"
        raise InvalidInputError(f"where: {message} at character {place + 1}{found}")

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
        found = self._word_comparison(column)
        if found is not None:
            return Not(found) if negated else found
        sign = None if negated else self._sign("=", "==", "!=", "<>", "<", "<=", ">", ">=")
        if sign is None:
            self._fail("expected a comparison, 'in' or 'is null'", self.tokens[self.at][2])
        return Compare(column, {"==": "=", "<>": "!="}.get(sign, sign), self._value())

    def _word_comparison(self, column: str) -> Filter | None:
        """What follows a column where that is `in`, `between`, `contains` or `prefix`."""
        if self._word("in"):
            return In(column, self._values())
        if self._word("between"):
            low = self._value()
            if not self._word("and"):
                self._fail("expected 'and'", self.tokens[self.at][2])
            return between(column, low, self._value())
        if self._word("contains"):
            return Like(column, "contains", self._text())
        if self._word("prefix"):
            return Like(column, "prefix", self._text())
        return None

    def _text(self) -> str:
        place = self.tokens[self.at][2]
        value = self._value()
        return value if isinstance(value, str) else self._fail("expected a quoted text", place)

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
            if not set(text) & set(".eE"):
                return int(text)
            if math.isinf(float(text)):
                self._fail("a number that is too large", place)
            return float(text)
        if kind == "text":
            for escape in _ESCAPE.finditer(text):
                if escape[1] not in "\\'\"":  # neither its letter nor a line break is certainly meant by \n
                    self._fail(
                        "a backslash stands before a quote or a backslash only", place + escape.start()
                    )
            return _ESCAPE.sub(r"\1", text[1:-1])
        if kind == "word" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        self._fail("expected a number, a quoted text, true or false", place)
