"""`splade-engine tune`: which settings reach a recall, measured and stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_engine.cli import options, output
from splade_engine.cli.log import shows_progress
from splade_engine.cli.numbers import THREADS, real, whole

if TYPE_CHECKING:
    from splade_engine.index import SparseIndex
    from splade_engine.vectors import SparseVectors


def run(
    folder: options.IndexFolder,
    queries: Annotated[
        Path | None,
        typer.Argument(metavar="QUERIES", help="JSONL or TSV with id and text: what users ask, 300 or more."),
    ] = None,
    k: options.K = 10,
    targets: Annotated[
        list[float] | None,
        real("--target", help="Recall@k to reach; repeatable. [0.9 0.95 0.99]"),
    ] = None,
    encoder: options.IndexEncoder = None,
    threads: Annotated[int, whole("--threads", most=THREADS, help="Searches at a time.")] = 1,
    compare_lists: Annotated[
        bool,
        typer.Option(
            "--compare-lists",
            help="Measure both ways to store posting lists on a sample; store nothing.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Find the cheapest settings that find a given share of the exact top k, and store them in the index.

    `search --accuracy 0.95` uses them. A fifth of the queries decides what is tried, the others whether it
    reaches the share. With 30 queries or more, further queries like these reach it with 90 % confidence. With
    few queries the margin has to be wide, so give a few hundred. Without queries, texts of documents are
    used, which is less accurate. Small indexes are searched exactly anyway, which is fastest there.

    \b
    Examples:
      splade-engine tune my-index queries.jsonl -k 10
      splade-engine tune my-index queries.tsv --target 0.9 --target 0.98
      splade-engine tune my-index queries.tsv --compare-lists
    """
    from splade_engine.collections.queries import query_texts
    from splade_engine.engine import SearchEngine
    from splade_engine.index import SparseIndex
    from splade_engine.index.tuning import CONFIDENCE, doubted
    from splade_engine.progress import heartbeat

    if queries is None:
        index, vectors = SparseIndex.open(folder), None
    else:
        texts = list(query_texts(queries).values())
        engine = SearchEngine.open(folder, options.named_encoder(encoder))
        index, vectors = engine.index, engine.encode_queries(texts)
    wanted = tuple(targets) if targets else (0.90, 0.95, 0.99)
    if compare_lists:
        _compare_lists(index, vectors, k, wanted, threads, as_json)
        return
    with heartbeat(shows_progress(), "tune"):
        tuned = index.tune(vectors, k=k, targets=wanted, threads=threads, progress=shows_progress())
    if as_json:
        from dataclasses import asdict

        output.write_json([asdict(setting) for setting in tuned])
        return
    rows = [
        (
            f"{setting.target:.2f}",
            f"{setting.recall:.3f}",
            f"{setting.microseconds:.0f}",
            "  " + ", ".join(f"{name} {value}" for name, value in setting.settings.items()),
        )
        for setting in tuned
    ]
    for line in output.table_lines((f"recall@{k}", "held out", "us per query", "  settings"), rows):
        output.write(line)
    if not doubted(tuned):  # else a warning has said so
        output.write(f"Further queries like these reach the recall with {CONFIDENCE:.0%} confidence.")


def _compare_lists(
    index: SparseIndex,
    queries: SparseVectors | None,
    k: int,
    targets: tuple[float, ...],
    threads: int,
    as_json: bool,
) -> None:
    from splade_engine.index.list_choice import faster_lists, measure_lists
    from splade_engine.progress import heartbeat

    with heartbeat(shows_progress(), "tune"):
        measured = measure_lists(
            index, queries, k=k, targets=targets, threads=threads, progress=shows_progress()
        )
    faster = faster_lists(measured).kind
    if as_json:
        from dataclasses import asdict

        ways = [{**asdict(one), "lists": one.lists.kind} for one in measured]
        output.write_json({"faster": faster, "measured": ways})
        return
    head = ("lists", "build s", "MiB", *(f"us at {target:.2f}" for target in sorted(set(targets))))
    rows = [
        (
            one.lists.kind,
            f"{one.build_seconds:.1f}",
            f"{one.bytes / 2**20:.0f}",
            *(f"{setting.microseconds:.0f}" for setting in one.tuned),
        )
        for one in measured
    ]
    for line in output.table_lines(head, rows):
        output.write(line)
    output.write(f"For these queries, on {measured[0].n_docs:,} documents: {faster}.")
    if faster != index.info().lists.kind:
        output.write(f"The index is stored otherwise; to change it: compact --lists {faster}")
