"""One measure by systems and collections, with the means over several collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from splade_engine.eval.run.results import Result


@dataclass(frozen=True)
class MeasureMeans:
    """One measure, systems by columns; a column is a collection or a group of collections.

    Attributes:
        systems, columns: names in order.
        values: by (system, column); absent where the system was not measured on all of the column.
        means: by system, over `averaged`; empty where that is fewer than two columns.
        averaged: the columns that every system has.
        part_means: named means over some of the columns, by label and system; a system that lacks one of
            the columns is not there.
        answerable: of collections with queries that no document is relevant to, the means over the others,
            by label (the collection's name and a star) and system.
    """

    systems: list[str]
    columns: list[str]
    values: dict[tuple[str, str], float]
    means: dict[str, float]
    averaged: list[str]
    part_means: dict[str, dict[str, float]] = field(default_factory=dict)
    answerable: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def mean_label(self) -> str:
        """Heading of the mean: how many columns it is over, if not all."""
        return "mean" if len(self.averaged) == len(self.columns) else f"mean of {len(self.averaged)}"


def measure_means(
    results: Sequence[Result],
    measure: str,
    groups: Mapping[str, str] | None = None,
    parts: Mapping[str, Sequence[str]] | None = None,
) -> MeasureMeans:
    """Means by system and column.

    Args:
        results: of any number of systems and collections.
        measure: its name.
        groups: the group of a collection; the mean of a group is one column.
        parts: labels of further means, with the columns that they are over; left out where a column is
            missing altogether.
    """
    column_of = {r.dataset: (groups or {}).get(r.dataset) or r.dataset for r in results}
    columns, systems = list(dict.fromkeys(column_of.values())), list(dict.fromkeys(r.system for r in results))
    found = {(r.system, r.dataset): r.effectiveness.mean.get(measure) for r in results}
    values: dict[tuple[str, str], float] = {}
    for system in systems:
        for column in columns:
            members = [found.get((system, d)) for d, c in column_of.items() if c == column]
            known = [value for value in members if value is not None]
            if len(known) == len(members):
                values[system, column] = sum(known) / len(known)
    averaged = [c for c in columns if all((s, c) in values for s in systems)]
    means = {s: sum(values[s, c] for c in averaged) / len(averaged) for s in systems if len(averaged) > 1}
    part_means = {
        label: {
            s: sum(values[s, c] for c in wanted) / len(wanted)
            for s in systems
            if all((s, c) in values for c in wanted)
        }
        for label, wanted in (parts or {}).items()
        if set(wanted) <= set(columns)
    }
    answerable: dict[str, dict[str, float]] = {}
    for r in results:
        if measure in r.effectiveness.mean_answerable:
            answerable.setdefault(f"{r.dataset} *", {})[r.system] = r.effectiveness.mean_answerable[measure]
    return MeasureMeans(systems, columns, values, means, averaged, part_means, answerable)
