"""Systems under evaluation, and how they are written down.

    sparse                      our engine as it searches by default
    sparse-exact                the same index, searched exactly
    sparse(accuracy=0.95)       approximate, tuned to recall .95 at k = 10
    bm25, bm25(k1=1.2, b=0.75)
    words                       BM25 over words as they are written, from the index's own lists
    engine, engine(hybrid=sum)  a SearchEngine over titles and texts: by terms, or fused with written words
    dense, dense(index=hnsw)    a sentence-transformers model in faiss
    rrf(bm25, sparse-exact)     reciprocal rank fusion of any systems
    sum(bm25, dense, norm=zscore, weight=0.4)      weighted sum; chosen on a dev split if weight is not given
    rocchio(sparse-exact, docs=5), rm3(sparse-exact), dense-prf(dense)      pseudo-relevance feedback
    rm3(sparse-exact, bm25, interpolate=after)     ... interpolated with another system's scores
    rerank(bm25, model=FOLDER, depth=100)          a cross-encoder over another system's hits

A system is a frozen dataclass: its fields are the options, `parts` the systems it is made of.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import check_declared, shown
from splade_engine.errors import InvalidInputError
from splade_engine.eval.run.results import Cost, RecallPoint, Sparsity
from splade_engine.eval.run.runs import Run
from splade_engine.plain_text import shortened

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench, Settings

_KINDS = {
    "sparse": ("splade_engine.eval.systems.sparse", "Sparse"),
    "engine": ("splade_engine.eval.systems.engine", "Engine"),
    "bm25": ("splade_engine.eval.systems.bm25", "Bm25"),
    "words": ("splade_engine.eval.systems.words", "Words"),
    "dense": ("splade_engine.eval.systems.dense", "Dense"),
    "rrf": ("splade_engine.eval.systems.fusion", "ReciprocalRank"),
    "sum": ("splade_engine.eval.systems.fusion", "WeightedSum"),
    "rocchio": ("splade_engine.eval.systems.feedback", "Rocchio"),
    "rm3": ("splade_engine.eval.systems.feedback", "RM3"),
    "dense-prf": ("splade_engine.eval.systems.feedback", "DenseRocchio"),
    "rerank": ("splade_engine.eval.systems.rerank", "Rerank"),
}
SHORT_NAMES = {
    "sparse-exact": "sparse(exact=true)",
    "dense-hnsw": "dense(index=hnsw)",
    "hybrid": "rrf(bm25, sparse-exact)",
}
DEEPEST = 20  # systems within one another
_TOKEN = re.compile(r"\s*(\"[^\"]*\"|[(),=]|[^\s(),=\"]+)")


@dataclass(frozen=True)
class Answer:
    """What a system returned for the queries of one split.

    Attributes:
        run: a ranking for every query of the split.
        seconds: float64[queries], text to hits, one query at a time.
        search_seconds: the part of it after the query was encoded; None where there is no such part.
        mode: how it searched.
        sparsity, cost, recall_vs_exact, recall_at_k, recall_curve, notes, hashes: as in `Result`.
    """

    run: Run
    seconds: NDArray[np.float64]
    search_seconds: NDArray[np.float64] | None = None
    mode: str = "exact"
    sparsity: Sparsity | None = None
    cost: Cost = field(default_factory=Cost)
    recall_vs_exact: float | None = None
    recall_at_k: float | None = None
    recall_curve: tuple[RecallPoint, ...] = ()
    notes: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class System(ABC):
    """Base of every system. `name` is what tables print; the specification if it is empty."""

    kind: ClassVar[str] = ""
    needs: ClassVar[range] = range(1)  # how many systems it may be made of

    parts: tuple[System, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.parts) not in self.needs:
            low, high = self.needs.start, self.needs.stop - 1
            count = str(low) if low == high else f"{low} or more" if high > 9 else f"{low} to {high}"
            raise InvalidInputError(f"system {self.kind!r} is made of {count} systems, got {len(self.parts)}")
        check_declared(self)

    @property
    def spec(self) -> str:
        """The specification that `parse_system` reads back, options at their defaults left out."""
        options = [part.spec for part in self.parts]
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.name not in ("parts", "name") and value != f.default and f.init:
                options.append(f"{f.name}={_written(value)}")
        text = f"{self.kind}({', '.join(options)})" if options else self.kind
        return next(
            (short for short, long in SHORT_NAMES.items() if long == text and short != "hybrid"), text
        )

    @property
    def title(self) -> str:
        """What tables print."""
        return self.name or self.spec

    def models(self, settings: Settings) -> dict[str, str]:
        """Hashes of the models that it needs: with the corpus they decide whether a result is still valid."""
        return {name: value for part in self.parts for name, value in part.models(settings).items()}

    @abstractmethod
    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Search every query of the split for `k` hits."""


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):  # every digit: two systems that differ must not be written alike
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    text = str(value)
    return f'"{text}"' if re.search(r"[\s(),=]", text) else text


def parse_system(text: str) -> System:
    """Read a specification such as `rrf(bm25, sparse-exact, k=60)`; `label: specification` names it.

    Raises:
        InvalidInputError: naming what is not understood.
    """
    name, colon, rest = text.partition(":")
    label = name.strip() if colon and "(" not in name and "=" not in name else None
    tokens = _tokens(text if label is None else rest)
    system, place = _system(tokens, 0, text, 1)
    if place != len(tokens):
        raise InvalidInputError(f"system {_shown(text)}: {tokens[place]!r} is not expected there")
    return system if label is None else dataclasses.replace(system, name=label)


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    for match in _TOKEN.finditer(text):
        if match.start() != at:
            break
        found.append(match[1])
        at = match.end()
    if text[at:].strip():
        raise InvalidInputError(
            f"system {_shown(text)}: {_shown(text[at:].strip())} has no closing quotation mark"
        )
    return found


def _shown(text: str) -> str:
    return repr(shortened(text, 80))


def _system(tokens: list[str], place: int, text: str, depth: int) -> tuple[System, int]:
    kind = tokens[place] if place < len(tokens) else ""
    opened = tokens[place + 1 : place + 2] == ["("]
    if depth > DEEPEST:
        raise InvalidInputError(f"system {_shown(text)}: more than {DEEPEST} systems within one another")
    if kind in SHORT_NAMES and not opened:
        return parse_system(SHORT_NAMES[kind]), place + 1
    if kind in SHORT_NAMES:
        raise InvalidInputError(
            f"system {_shown(text)}: {kind} is short for {SHORT_NAMES[kind]}; write that with the options"
        )
    if kind not in _KINDS:
        known = ", ".join([*_KINDS, *SHORT_NAMES])
        raise InvalidInputError(f"system {_shown(text)}: {_shown(kind)} is not a system (known are {known})")
    parts: list[System] = []
    options: dict[str, str] = {}
    place += 1
    if opened:
        place += 1
        while tokens[place : place + 1] not in ([")"], []):
            if tokens[place + 1 : place + 2] == ["="]:
                if tokens[place] in options:
                    raise InvalidInputError(f"system {_shown(text)}: option {tokens[place]} is given twice")
                options[tokens[place]] = "".join(tokens[place + 2 : place + 3])
                place += 3
            else:
                part, place = _system(tokens, place, text, depth + 1)
                parts.append(part)
            if tokens[place : place + 1] == [","]:
                place += 1
            elif tokens[place : place + 1] not in ([")"], []):
                raise InvalidInputError(f"system {_shown(text)}: a comma is missing before {tokens[place]!r}")
        if place >= len(tokens):
            raise InvalidInputError(f"system {_shown(text)}: a closing parenthesis is missing")
        place += 1
    return make_system(kind, parts, options, f"system {_shown(text)}"), place


def make_system(kind: str, parts: Iterable[System], options: dict[str, Any], place: str) -> System:
    """A system from its kind and options (texts are converted to the fields' types).

    Raises:
        InvalidInputError: beginning with `place`, naming the option or value that is not accepted.
    """
    if kind not in _KINDS:
        raise InvalidInputError(f"{place}: {kind!r} is not a system (known are {', '.join(_KINDS)})")
    module, class_name = _KINDS[kind]
    cls = getattr(import_module(module), class_name)
    types_of = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    fields = [f.name for f in dataclasses.fields(cls) if f.name != "parts" and f.init]
    for option, value in options.items():
        if option not in fields:
            raise InvalidInputError(f"{place}: {kind} has no option {option!r} (it has {', '.join(fields)})")
        values[option] = _converted(value, types_of[option], f"{place}: option {option}")
    try:
        system: System = cls(parts=tuple(parts), **values)
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from None
    return system


def _converted(value: Any, wanted: Any, place: str) -> Any:
    kinds = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    text = str(value).strip('"')
    if bool in kinds:
        if text.lower() not in ("true", "false"):
            raise InvalidInputError(f"{place} must be true or false, got {shown(text)}")
        return text.lower() == "true"
    for kind in (int, float):
        if kind in kinds:
            try:
                number = kind("" if "_" in text else text)
                if math.isfinite(number):
                    return number
            except (ValueError, OverflowError):
                pass
            raise InvalidInputError(f"{place} must be a number, got {_shown(text)}")
    return text


def within(name: str, value: float, low: float, high: float) -> None:
    """Check an option.

    Raises:
        InvalidInputError: if it is not between `low` and `high` (both allowed).
    """
    if not low <= value <= high:
        raise InvalidInputError(f"{name} must be between {low:g} and {high:g}, got {value}")


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Check an option.

    Raises:
        InvalidInputError: if it is none of the choices.
    """
    if value not in choices:
        raise InvalidInputError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")
