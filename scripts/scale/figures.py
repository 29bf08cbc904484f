"""`Figures`: what was measured on one machine, read from a TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from splade_engine.errors import InvalidInputError

GIB = 1 << 30


@dataclass(frozen=True)
class Figures:
    """One machine and what it does; times in seconds unless a name says otherwise."""

    # of a passage
    terms: float
    bytes_per_posting: float
    payload_bytes: float
    # one core
    passages_per_second_core: float
    seconds_per_million_core: float
    # {recall: (documents, microseconds) measured}
    search: Mapping[str, tuple[tuple[float, float], ...]]
    # of a request without its search: quantiles from 0 to 1, and milliseconds
    quantiles: tuple[float, ...]
    milliseconds: tuple[float, ...]
    network_ms: float
    # a machine
    memory_gib: float
    cores: int
    price_per_hour: float
    memory_share: float
    hours_between_failures: float
    hours_to_replace: float
    # of a collection
    shards: int

    @property
    def passage_bytes(self) -> float:
        """Of a passage in an index."""
        return self.terms * self.bytes_per_posting + self.payload_bytes

    @property
    def documents_per_machine(self) -> int:
        """That fit the memory of one machine."""
        return int(self.memory_gib * GIB * self.memory_share / self.passage_bytes)

    @property
    def availability(self) -> float:
        """The share of time that a machine works."""
        return self.hours_between_failures / (self.hours_between_failures + self.hours_to_replace)

    def search_ms(self, recall: str, documents: float) -> float:
        """Milliseconds of one thread, along the power law through the two measured sizes."""
        (n, a), (m, b) = self.search[recall]
        exponent = math.log(b / a) / math.log(m / n)
        return b * (documents / m) ** exponent / 1000


def read_figures(file: Path) -> Figures:
    """The figures in a file.

    Raises:
        InvalidInputError: naming what is missing or cannot be.
    """
    try:
        tables = tomllib.loads(file.read_text())
        search = tables.pop("search")
        sizes = search.pop("documents")
        given: dict[str, Any] = {"search": {k: tuple(zip(sizes, v, strict=True)) for k, v in search.items()}}
        for table in tables.values():
            given |= {name: tuple(v) if isinstance(v, list) else v for name, v in table.items()}
        figures = Figures(**given)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInputError(f"{file}: {error}") from None
    _check(file, figures)
    return figures


def _check(file: Path, figures: Figures) -> None:
    for field in fields(figures):
        value = getattr(figures, field.name)
        numbers = value if isinstance(value, tuple) else () if field.name == "search" else (value,)
        for number in numbers:
            real = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
            if not real or number < 0 or (number == 0 and field.name not in ("quantiles", "price_per_hour")):
                raise InvalidInputError(f"{file}: {field.name}: not a positive number: {number!r:.40}")
    for recall, points in figures.search.items():
        if len(points) != 2 or points[0][0] >= points[1][0] or min(min(p) for p in points) <= 0:
            raise InvalidInputError(f"{file}: search {recall}: two sizes, the smaller first, and their times")
    q = figures.quantiles
    if len(q) != len(figures.milliseconds) or q[0] != 0 or q[-1] != 1 or list(q) != sorted(set(q)):
        raise InvalidInputError(f"{file}: quantiles must rise from 0 to 1, one for each of milliseconds")
    if not figures.memory_share <= 1:
        raise InvalidInputError(f"{file}: memory_share: at most 1")
