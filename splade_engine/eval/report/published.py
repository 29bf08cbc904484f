"""Published numbers, shown beside ours and marked as published."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Published:
    """A row of published numbers: values by collection of this comparison."""

    system: str
    source: str
    measure: str
    values: Mapping[str, float]

    def mean(self, columns: Sequence[str]) -> float | None:
        """Over some collections; None where one of them was not published."""
        whole = all(column in self.values for column in columns)
        return sum(self.values[c] for c in columns) / len(columns) if whole else None


def published(
    measure_name: str, datasets: Sequence[str], sizes: Mapping[str, int] | None = None
) -> list[Published]:
    """Published rows for a measure; the chosen few where they cover less than half of these collections.

    Args:
        measure_name: the measure.
        datasets: names of collections.
        sizes: their numbers of documents; one that is not the published collection's is another corpus.
    """
    text = (files("splade_engine.eval.report") / "published.toml").read_text(encoding="utf-8")
    ours = {_plain(name): name for name in datasets}
    rows: dict[tuple[str, str], dict[str, float]] = {}
    headlines: set[tuple[str, str]] = set()
    for table in tomllib.loads(text)["tables"]:
        if table["measure"] != measure_name:
            continue
        known = table.get("documents", [None] * len(table["collections"]))
        meant = {
            place: ours[_plain(name)]
            for place, (name, size) in enumerate(zip(table["collections"], known, strict=True))
            if _plain(name) in ours and size in (None, (sizes or {}).get(ours[_plain(name)], size))
        }
        for row in table["rows"]:
            values = {name: float(row["values"][place]) for place, name in meant.items()}
            if values:
                rows.setdefault((row["system"], row["source"]), {}).update(values)
                headlines.update({(row["system"], row["source"])} if row.get("headline") else ())
    covered = {name for values in rows.values() for name in values}
    shown = (
        rows
        if 2 * len(covered) >= len(datasets)
        else {place: rows[place] for place in rows if place in headlines}
    )
    return [Published(system, source, measure_name, values) for (system, source), values in shown.items()]


def _plain(name: str) -> str:
    """`beir/scifact/test`, `scifact` and `SciFact` are one collection; distractors make another."""
    parts = [p for p in name.casefold().split("/") if p not in ("beir", "test")]
    return "".join(c for c in "".join(parts) if c.isalnum())
