"""What the report's script needs: values query by query, texts, ranks, terms; as plain JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from splade_engine.errors import InvalidInputError
from splade_engine.eval.report.comparison import Comparison
from splade_engine.eval.run.results import Result
from splade_engine.eval.systems.base import System, parse_system
from splade_engine.eval.systems.sparse import Sparse

SHOWN = 10  # queries gained and lost that are listed; terms are kept for these only


def page_data(c: Comparison) -> dict[str, Any]:
    """`values[collection][measure][system]` are lists in the order of `ids[collection]`."""
    number = {system: i for i, system in enumerate(c.systems)}
    ids = {dataset: list(c.topics[dataset].qrels) for dataset in c.datasets}
    values: dict[str, dict[str, dict[int, list[float]]]] = {d: {} for d in c.datasets}
    first: dict[str, dict[int, dict[str, int]]] = {d: {} for d in c.datasets}
    for r in c.results:
        for measure, found in r.effectiveness.per_query.items():
            row = [round(found.get(query, 0.0), 4) for query in ids[r.dataset]]
            values[r.dataset].setdefault(measure, {})[number[r.system]] = row
        first[r.dataset][number[r.system]] = _first_ranks(c, r)
    sources = {system: _terms_source(c, system) for system in c.systems}
    return {
        "shown": SHOWN,
        "systems": [
            {"name": s, "terms": number[source] if (source := sources[s]) is not None else None}
            for s in c.systems
        ],
        "ids": ids,
        "queries": {d: {q: c.topics[d].queries.get(q, "") for q in ids[d]} for d in c.datasets},
        "values": values,
        "first": first,
        "terms": {d: _terms(c, d, values[d], ids[d], number) for d in c.datasets},
    }


def _first_ranks(c: Comparison, result: Result) -> dict[str, int]:
    """The rank of the first relevant document by query, for those that have one among their hits."""
    if result.run is None:
        return {}
    out = {}
    for query, judged in c.topics[result.dataset].qrels.items():
        ranking = result.run.rankings.get(query)
        ids = ranking.ids if ranking is not None else ()
        rank = next((i for i, doc_id in enumerate(ids, 1) if judged.get(doc_id, 0) > 0), None)
        if rank is not None:
            out[query] = rank
    return out


def _terms_source(c: Comparison, system: str) -> str | None:
    """The system whose terms explain this one: itself, or its sparse part."""
    with_terms = {name for _, name in c.terms}
    if system in with_terms:
        return system
    spec = next(r.spec for r in c.results if r.system == system)
    try:
        parsed = parse_system(spec)
    except InvalidInputError:
        return None
    specs = {next(r.spec for r in c.results if r.system == name): name for name in sorted(with_terms)}
    inside = [part.spec for part in _parts(parsed) if isinstance(part, Sparse)]
    if not inside:
        return None
    return next((specs[spec] for spec in inside if spec in specs), next(iter(specs.values()), None))


def _parts(system: System) -> Iterator[System]:
    yield system
    for part in system.parts:
        yield from _parts(part)


def _terms(
    c: Comparison,
    dataset: str,
    values: dict[str, dict[int, list[float]]],
    ids: list[str],
    number: dict[str, int],
) -> dict[int, dict[str, Any]]:
    """Terms of the queries that are listed for some pair of systems under the first measure."""
    kept = {system: found for (d, system), found in c.terms.items() if d == dataset}
    if not kept:
        return {}
    rows = list(values.get(c.measures[0], {}).values())
    wanted: set[str] = set()
    for i, one in enumerate(rows):
        for other in rows[i + 1 :]:
            order = sorted(range(len(ids)), key=lambda q: one[q] - other[q])  # used at once
            wanted.update(ids[q] for q in (*order[:SHOWN], *order[-SHOWN:]))
    return {
        number[system]: {q: found[q] for q in ids if q in wanted and q in found}
        for system, found in kept.items()
    }
