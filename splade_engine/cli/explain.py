"""`splade-engine explain`: why one document is, or is not, a hit of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_engine.cli import options, output, texts

if TYPE_CHECKING:
    from splade_engine.index.explain import Placement


def run(
    folder: options.IndexFolder,
    query: Annotated[str, texts.argument("QUERY", help="What is searched for, in quotes.")],
    id: Annotated[str, texts.argument("ID", help="Id of the document.")],
    k: options.K = 10,
    where: Annotated[
        str | None, texts.option("--where", "-w", help="Filter on metadata, as for search.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Ask about an exact search.")] = False,
    accuracy: options.Accuracy = None,
    plain: options.Plain = False,
    encoder: options.IndexEncoder = None,
    as_json: options.Json = False,
) -> None:
    """Say where a document stands for a query, and show the terms that they share.

    A document that is no hit was left out by the filter, shares no term with the query, has a score below
    the last hit's, or was missed by an approximate search, which is told step by step. Where +word, -word
    or quotes leave it out, that is said.

    \b
    Examples:
      splade-engine explain my-index "lunar pull on the ocean" report-7
      splade-engine explain my-index "tides" report-7 --where "year >= 1990" -k 20
      splade-engine explain my-index "tides -moon" report-7
    """
    from splade_engine.cli.hit_lines import reason_lines
    from splade_engine.engine import SearchEngine
    from splade_engine.engine.standing import explain_document
    from splade_engine.plain_text import one_line

    engine = SearchEngine.open(folder, options.named_encoder(encoder))
    how: dict[str, Any] = {"where": where, "exact": exact, "accuracy": accuracy, "operators": not plain}
    place, why, notes = explain_document(engine, query, id, k, **how)
    if as_json:
        miss = place.miss.to_dict() if place.miss else None
        found = {"reason": place.reason, "rank": place.rank, "found_rank": place.found_rank}
        read = {"notes": notes} if notes else {}
        output.write_json(
            {"id": id, **found, **read, "last_score": place.last_score, "miss": miss, **why.to_dict()}
        )
        return
    output.write(f"{output.styled(one_line(id), 'id')}: {_told(place)}")
    for note in notes:
        output.write(f"   {note}")
    for line in reason_lines(why):
        output.write(f"   {line}")


def _told(place: Placement) -> str:
    """Where the document stands, in words."""
    if place.reason == "hit":
        return f"hit number {place.found_rank}, score {place.score:.2f}"
    if place.reason == "no shared term":
        return "no hit: it shares no term with the query"
    if place.reason == "filtered":
        return "no hit: the filter or the query leaves it out"
    last = f"score {place.score:.2f}, the last hit has {place.last_score:.2f}"
    if place.miss is not None:
        return f"missed by the approximate search, though it is number {place.rank} ({last}): {place.miss}"
    return f"no hit: {place.reason}, it is number {place.rank} ({last})"
