"""Hits for programs and spreadsheets: JSON, a line of JSON each, CSV, and an aligned table for people."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from splade_engine.cli import output
from splade_engine.collections.metadata import value_text
from splade_engine.plain_text import one_line

if TYPE_CHECKING:
    from splade_engine.engine.hits import Hit, Hits

FORMATS = ("text", "table", "json", "jsonl", "csv")
_TITLE = 60  # columns of a title in a table


@dataclass(frozen=True)
class Answered:
    """A query and its hits; the id is that of a file of queries, "" elsewhere."""

    query_id: str
    query: str
    hits: Hits


def write_answers(answers: Sequence[Answered], form: str, *, explain: bool, several: bool) -> None:
    """Write the hits of one query, or of several, in one of the formats but "text"."""
    if form == "json":
        found = [_answer(answer, explain, several) for answer in answers]
        output.write_json({"queries": found} if several else found[0])
    elif form == "jsonl":
        for answer in answers:
            named = {"query_id": answer.query_id} if several else {}
            for hit in answer.hits:
                output.write_json({**named, **as_dict(hit, explain)}, indent=None)
    elif form == "csv":
        output.write_data(_csv(answers, several))
    else:
        header = ["rank", "score", "id", "title"]
        rows = [
            [*([one_line(answer.query_id)] if several else []), *_row(hit)]
            for answer in answers
            for hit in answer.hits
        ]
        _write_table([*(["query"] if several else []), *header], rows)


def as_dict(hit: Hit, explain: bool) -> dict[str, Any]:
    """A hit as JSON has it, with reasons if they are wanted."""
    reasons = {"explanation": hit.explain().to_dict()} if explain else {}
    return {**hit.to_dict(), **reasons}


def _answer(answer: Answered, explain: bool, several: bool) -> dict[str, Any]:
    hits = answer.hits
    found: dict[str, Any] = {"query_id": answer.query_id} if several else {}
    found |= {"query": answer.query, "hits": [as_dict(hit, explain) for hit in hits]}
    if hits.total is not None:
        found["total"] = hits.total
    if hits.facets:
        found["facets"] = hits.facets
    if hits.notes:
        found["notes"] = hits.notes
    found |= {"weak": True} if hits.weak else {}
    meant = hits.did_you_mean
    return found if meant is None else {**found, "did_you_mean": meant}


def doubts(hits: Hits) -> list[str]:
    """What a person should know of how sure the hits of a query are."""
    told = []
    if hits and hits.weak and not hits.notes:
        told.append(f"weak: the best hit holds {100 * hits.covered:.0f} % of what the query asks")
    meant = hits.did_you_mean
    return [*told, f"did you mean: {meant}"] if meant is not None else told


def _row(hit: Hit) -> list[str]:
    title = hit.title
    if not title:
        title = hit.snippet(_TITLE).text
    return [str(hit.rank), f"{hit.score:.3f}", one_line(hit.id), output.fitted(one_line(title), _TITLE)]


def _write_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        first, *others = output.table_lines(header, rows, to_the_left=len(header))
        output.write(output.styled(first, "heading"))
        for line in others:
            output.write(line)


def _csv(answers: Sequence[Answered], several: bool) -> str:
    lines: list[str] = []
    # rows that end in both line breaks: with one of them, csv does not quote the other in a text
    writer = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n")
    fields = list(dict.fromkeys(name for answer in answers for hit in answer.hits for name in hit.metadata))
    named = [*(["query_id"] if several else []), "rank", "id", "score", "title", "text"]
    # no two columns of one name: a reader keeps the last
    writer.writerow([*named, *(f"document.{name}" if name in named else name for name in fields)])
    for answer in answers:
        for hit in answer.hits:
            values = (value_text(hit.metadata.get(name)) for name in fields)
            own = [answer.query_id] if several else []
            writer.writerow([*own, hit.rank, hit.id, f"{hit.score:.9g}", hit.title, hit.text, *values])
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)
