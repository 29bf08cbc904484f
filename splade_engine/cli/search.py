"""`splade-engine search`: ranked hits for one query, with reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.hit_lines import SNIPPET, write_hit

if TYPE_CHECKING:
    from splade_engine.engine.hits import Hit


def run(
    folder: options.IndexFolder,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for, in plain words.")],
    k: options.K = 10,
    exact: Annotated[bool, typer.Option("--exact", help="The true top k, whatever it costs.")] = False,
    accuracy: options.Accuracy = None,
    where: Annotated[
        str | None,
        typer.Option("--where", "-w", help="Filter on metadata: \"year >= 1990 and lang = 'en'\"."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why each document was found.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, not the best passage of each.")] = False,
    encoder: options.IndexEncoder = None,
    as_json: options.Json = False,
) -> None:
    """Search an index: the best documents, their matching words, and the reasons with --explain.

    \b
    Examples:
      splade-engine search my-index "how do tides work"
      splade-engine search my-index "how do tides work" -k 3 --exact --explain
      splade-engine search my-index "tides" --where "year >= 1990 and lang in ['en', 'de']"
      splade-engine search my-index "tides" --json | jq -r '.hits[].id'
    """
    from splade_engine.engine import SearchEngine
    from splade_engine.errors import InvalidInputError

    engine = SearchEngine.open(folder, options.named_encoder(encoder))
    vectors = engine.encode_queries([query])
    if vectors.nnz == 0:
        raise InvalidInputError(f"query {query!r}: holds no term that the encoder knows")
    hits = engine.search_vectors(vectors, k, accuracy=accuracy, exact=exact, where=where)[0]
    if as_json:
        output.write_json({"query": query, "hits": [_as_dict(hit, explain) for hit in hits]})
        return
    for hit in hits:
        write_hit(hit, reasons=explain, length=None if full else SNIPPET)
    output.note(f"{len(hits)} of {len(engine):,} documents" if hits else "No document matches")


def _as_dict(hit: Hit, explain: bool) -> dict[str, object]:
    reasons = {"explanation": hit.explain().to_dict()} if explain else {}
    return {**hit.to_dict(), **reasons}
