"""`splade-engine search`: ranked hits for one query or a file of them, with reasons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_engine.cli import options, output, texts
from splade_engine.cli.hit_formats import FORMATS, Answered, doubts, write_answers
from splade_engine.cli.hit_lines import SNIPPET, write_hit
from splade_engine.cli.numbers import real, whole
from splade_engine.cli.targets import check_files, check_like

if TYPE_CHECKING:
    from splade_engine.engine import SearchEngine
    from splade_engine.engine.fusion import Hybrid
    from splade_engine.engine.hits import Hits
    from splade_engine.engine.rerank import Rerank

_SHOWN_VALUES = 10  # of a facet


def run(
    folder: options.IndexFolder,
    query: Annotated[str | None, texts.argument("[QUERY]", help="What to look for, in plain words.")] = None,
    k: options.K = 10,
    exact: Annotated[bool, typer.Option("--exact", help="The true top k, whatever it costs.")] = False,
    accuracy: options.Accuracy = None,
    where: Annotated[
        str | None,
        texts.option("--where", "-w", help="Filter on metadata: \"year >= 1990 and lang = 'en'\"."),
    ] = None,
    must: Annotated[
        list[str] | None, texts.option("--must", help="A word or phrase that a hit holds; may be repeated.")
    ] = None,
    must_not: Annotated[
        list[str] | None, texts.option("--must-not", help="One that it does not hold; may be repeated.")
    ] = None,
    plain: options.Plain = False,
    offset: Annotated[
        int | None, whole("--offset", least=0, help="Leave out so many hits: the next page.")
    ] = None,
    min_score: Annotated[
        float | None, real("--min-score", most=1e9, zero=True, help="The lowest score of a hit.")
    ] = None,
    group_by: Annotated[
        str | None,
        texts.option("--group-by", help='Only the best hit of each value of a field; "parent": a document.'),
    ] = None,
    sort: Annotated[
        str | None, texts.option("--sort", help="All matches by a metadata field; -FIELD: largest first.")
    ] = None,
    total: Annotated[bool, typer.Option("--total", help="Count all matches.")] = False,
    facets: Annotated[
        list[str] | None, texts.option("--facet", help="Count the values of a field; may be repeated.")
    ] = None,
    facets_over: Annotated[
        str, typer.Option("--facets-over", help="Count over the hits that are shown, or over all matches.")
    ] = "hits",
    feedback: Annotated[
        int | None,
        whole("--feedback", most=100, help="Take terms of so many best hits, and search again."),
    ] = None,
    hybrid: Annotated[
        str | None,
        typer.Option(
            "--hybrid", help="Words as they are written count too: sum or rrf; off: not even ERR_SUCH_NAMES."
        ),
    ] = None,
    hybrid_weight: Annotated[
        float | None, real("--hybrid-weight", most=1e6, zero=True, help="Of the words; the terms' is 1.")
    ] = None,
    rerank: Annotated[
        str | None, typer.Option("--rerank", help="A CrossEncoder (folder or hub id) scores the best hits.")
    ] = None,
    rerank_depth: Annotated[
        int, whole("--rerank-depth", most=100_000, help="Hits that --rerank scores.")
    ] = 50,
    related: Annotated[
        bool,
        typer.Option(
            "--related/--no-related", help="Where nothing or little matches, search by related terms."
        ),
    ] = True,
    explain: Annotated[bool, typer.Option("--explain", help="Say why each document was found.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, not the best passage of each.")] = False,
    queries: Annotated[
        Path | None, typer.Option("--queries", help="Ask all queries of a file (JSONL, TSV or CSV).")
    ] = None,
    run_file: Annotated[
        Path | None, typer.Option("--run", help="With --queries: write the hits as a TREC run.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="text (default), table, json, jsonl or csv.")
    ] = None,
    encoder: options.IndexEncoder = None,
    as_json: options.Json = False,
) -> None:
    """Search an index: the best documents with the matching words, and with --explain the reasons.

    In a query, +word must be there, -word must not, and "quoted words" must follow one another.

    \b
    Examples:
      splade-engine search my-index "how do tides work"
      splade-engine search my-index "how do tides work" -k 3 --exact --explain
      splade-engine search my-index 'refund -atlas "money back"' --offset 10
      splade-engine search my-index "tides" --where "year >= 1990 and lang in ['en', 'de']"
      splade-engine search my-index "tides" --group-by parent --facet lang --total
      splade-engine search my-index "tides" --json | jq -r '.hits[].id'
      splade-engine search my-index "ERR_INVALID_ARG_TYPE in a stream" --hybrid sum --explain
      splade-engine search my-index --queries queries.tsv -k 1000 --run out.trec
    """
    from splade_engine.collections.limits import check_query
    from splade_engine.engine import SearchEngine
    from splade_engine.engine.related import WEAK
    from splade_engine.errors import InvalidInputError

    if (query is None) == (queries is None):
        raise typer.BadParameter("give a QUERY, or --queries FILE")
    if run_file is not None and queries is None:
        raise typer.BadParameter("--run needs --queries")
    check_files([run_file], [queries, folder], reports=True)
    check_like(run_file, "TREC run")
    form = _format(form, as_json)
    asked: dict[str, Any] = {
        "accuracy": accuracy, "exact": exact, "where": where, "must": must or (), "must_not": must_not or (),
        "operators": not plain, "offset": offset, "min_score": min_score, "group_by": group_by, "sort": sort,
        "total": total, "facets": facets or (), "facets_over": facets_over,
        "feedback": feedback,
        "hybrid": _hybrid(hybrid, hybrid_weight), "rerank": _rerank(rerank, rerank_depth),
        # of a file of queries only those without a match take the model: they may be thousands
        "related": WEAK if related and query is not None else related,
    }  # fmt: skip
    asked_for = {"": query or ""} if queries is None else _read_queries(queries)
    if query is not None:
        check_query(query, "query")
    engine = SearchEngine.open(folder, options.named_encoder(encoder))
    if query is not None and engine.encode_queries([query]).nnz == 0:
        raise InvalidInputError(f"query {query!r:.80}: holds no term that the encoder knows")
    found = engine.search_many(list(asked_for.values()), k, **asked)
    answers = [Answered(id, text, hits) for (id, text), hits in zip(asked_for.items(), found, strict=True)]
    if run_file is not None:
        _write_run(run_file, answers, engine)
    elif form == "text":
        _write_text(answers, engine, explain=explain, length=None if full else SNIPPET)
    else:
        _write_others(answers, form, explain=explain, several=queries is not None)


def _format(form: str | None, as_json: bool) -> str:
    if form is not None and form not in FORMATS:
        raise typer.BadParameter(f"--format: one of {', '.join(FORMATS)}, got {form!r:.60}")
    if as_json and form not in (None, "json"):
        raise typer.BadParameter(f"--json and --format {form}: give one of them")
    return "json" if as_json else form or "text"


def _hybrid(method: str | None, weight: float | None) -> Hybrid | bool | None:
    from splade_engine.engine.fusion import hybrid_of, weighted

    if method is None and weight is None:
        return None
    if method == "off":
        return False
    return weighted(hybrid_of(method or True), weight)


def _rerank(model: str | None, depth: int) -> Rerank | None:
    if model is None:
        return None
    from splade_engine.engine.rerank import Rerank

    return Rerank(model, depth)


def _read_queries(file: Path) -> dict[str, str]:
    """Texts by id; every line is checked before any is searched."""
    from splade_engine.collections.queries import query_texts

    return query_texts(file)


def _write_run(file: Path, answers: list[Answered], engine: SearchEngine) -> None:
    from splade_engine.eval.run.runs import Ranking, Run, write_run

    rankings = {
        answer.query_id: Ranking.in_order([hit.id for hit in answer.hits], [hit.score for hit in answer.hits])
        for answer in answers
    }
    write_run(Run(engine.path.name, rankings), file)
    n_hits = sum(map(len, rankings.values()))
    for answer in answers:
        _tell(answer.hits, before=f"{answer.query_id}: ", doubtful=False)
    output.note(f"{file}: {n_hits:,} hits of {len(answers):,} queries")


def _write_text(answers: list[Answered], engine: SearchEngine, *, explain: bool, length: int | None) -> None:
    for answer in answers:
        hits = answer.hits
        if len(answers) > 1:
            output.write(output.styled(f"{answer.query_id}: {answer.query}", "heading"))
        for hit in hits:
            write_hit(hit, reasons=explain, length=length)
        for field, values in _counted(hits):
            output.write(f"{output.styled(field, 'heading')}: {values}")
        _tell(hits)
        among = _among(hits) or f"{len(hits)} of {len(engine):,} documents"
        output.note(among if hits else "No document matches")


def _write_others(answers: list[Answered], form: str, *, explain: bool, several: bool) -> None:
    """Hits in a format; what it has no place for is told on standard error."""
    write_answers(answers, form, explain=explain, several=several)
    for answer in answers if form != "json" else ():
        before = f"{answer.query_id}: " if several else ""
        for field, values in _counted(answer.hits):
            output.note(f"{before}{field}: {values}")
        _tell(answer.hits, before=before, doubtful=not several)
        if among := _among(answer.hits):
            output.note(f"{before}{among}")


def _tell(hits: Hits, *, before: str = "", doubtful: bool = True) -> None:
    """How a query was read, and how sure its hits are."""
    for note in (*hits.notes, *(doubts(hits) if doubtful else ())):
        output.note(f"{before}{note}")


def _counted(hits: Hits) -> list[tuple[str, str]]:
    from splade_engine.collections.metadata import value_text

    return [
        (field, ", ".join(f"{value_text(value)} ({count:,})" for value, count in counts[:_SHOWN_VALUES]))
        for field, counts in hits.facets.items()
    ]


def _among(hits: Hits) -> str:
    """How many hits of all matches; "" where these were not counted."""
    if hits.total is None:
        return ""
    return f"{len(hits)} of {hits.total:,} {'match' if hits.total == 1 else 'matches'}"
