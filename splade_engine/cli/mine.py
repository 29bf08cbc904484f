"""`splade-engine mine`: hard negatives for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from splade_engine.cli import output as terminal
from splade_engine.cli.log import shows_progress
from splade_engine.cli.numbers import LONGEST, real, whole


def run(
    data: Annotated[
        Path, typer.Argument(help="BEIR folder with qrels/train.tsv, or JSONL pairs or triples.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSONL file to write.")],
    retriever: Annotated[
        list[str] | None,
        typer.Option(
            help="bm25, sparse:MODEL (our own index; by default sparse:default, the bundled model) or "
            "dense:MODEL (faiss); several take turns. given: score the negatives of the rows."
        ),
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(
            help="cross:MODEL, dense:MODEL, sparse:MODEL or bm25: filters false negatives, gives scores."
        ),
    ] = "",
    negatives: Annotated[int, whole(help="Negatives kept per query.")] = 8,
    depth: Annotated[int, whole(help="Hits looked at.")] = 100,
    skip: Annotated[int, whole(least=0, help="Best hits passed over.")] = 0,
    relative_margin: Annotated[
        float,
        real(zero=True, help="Drop candidates that the teacher scores above (1 - this) x the positive."),
    ] = 0.05,
    absolute_margin: Annotated[
        float, real(most=1e6, zero=True, help="Or above the positive minus this.")
    ] = 0.0,
    sampling: Annotated[Literal["top", "random"], typer.Option(help="Take the best, or draw.")] = "top",
    ids_only: Annotated[bool, typer.Option("--ids-only", help="Write ids without texts.")] = False,
    seed: Annotated[int, whole(least=0, help="Of the draws.")] = 42,
    max_length: Annotated[int, whole(least=3, most=LONGEST, help="Tokens per text for dense models.")] = 256,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Find documents that rank high for a query and are not its answer.

    The same command continues an interrupted run.

    \b
    Examples:
      splade-engine mine beir-folder -o mined.jsonl --teacher dense:all-MiniLM-L6-v2
      splade-engine mine pairs.jsonl -o mined.jsonl --retriever bm25 --retriever sparse:run/model
      splade-engine mine triples.jsonl -o scored.jsonl --retriever given --teacher cross:MODEL
      splade-engine train -r l0 -d mined.jsonl -o run2
    """
    from splade_engine.training import MiningConfig, mine

    retrievers = tuple(retriever or ["sparse:default"])
    config = MiningConfig(
        retriever=retrievers[0] if len(retrievers) == 1 else retrievers,
        teacher=teacher,
        negatives=negatives,
        depth=depth,
        skip=skip,
        relative_margin=relative_margin,
        absolute_margin=absolute_margin,
        sampling=sampling,
        texts=not ids_only,
        seed=seed,
        max_length=max_length,
    )
    found = mine(data, output, config, device=device, progress=shows_progress())
    terminal.note(f"{output}: negatives for {found} queries")
