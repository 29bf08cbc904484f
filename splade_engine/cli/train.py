"""`splade-engine train`: from pairs of texts to an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from splade_engine.cli import guard
from splade_engine.cli import output as terminal
from splade_engine.cli.interrupts import interrupts
from splade_engine.cli.log import shows_progress
from splade_engine.cli.numbers import LONGEST, real, whole
from splade_engine.errors import InvalidInputError
from splade_engine.files.ours import TRAINING_RUN


def run(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the run, new or empty; --show needs none."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            help="Name of a recipe (a wrong one lists them), or a .toml file; a sparse encoder has `tune`.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            "-d",
            help="JSONL file, BEIR folder or ir_datasets id, optionally =WEIGHT; several are mixed. "
            "ict:FILE, bfs:FILE and wlp:FILE make pairs from plain documents.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Base model: folder, hub id, or `bundled` for our own encoder."),
    ] = None,
    negatives_file: Annotated[
        Path | None,
        typer.Option("--negatives", help="Mined negatives of a BEIR folder (splade-engine mine)."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Corpus in which a JSONL file's ids are looked up.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Queries in which a JSONL file's ids are looked up.")
    ] = None,
    steps: Annotated[int | None, whole(help="Optimiser steps.")] = None,
    epochs: Annotated[float | None, real(most=1e6, help="Passes over the data, instead of steps.")] = None,
    batch_size: Annotated[int | None, whole(help="Queries per batch and device.")] = None,
    lr: Annotated[float | None, real(most=1e18, help="Learning rate.")] = None,
    document_lambda: Annotated[
        float | None,
        real("--lambda", most=1e18, zero=True, help="Weight of the document regulariser, fixed."),
    ] = None,
    terms: Annotated[
        float | None,
        real("--document-terms", most=1e6, help="Mean terms of a document, instead of a weight."),
    ] = None,
    max_length: Annotated[
        int | None,
        whole(
            least=3,
            most=LONGEST,
            help="Tokens per document while training; the finished encoder reads as many as its base.",
        ),
    ] = None,
    seed: Annotated[int | None, whole(least=0, help="Seed of everything that is random.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any field of the recipe: --set train.accumulation=4")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --output.")] = False,
    moved: Annotated[
        list[str] | None,
        typer.Option(
            "--moved",
            help="With --resume: OLD=NEW, where data or a model lies now; of a folder all that is in it.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option("--show", help="Print the recipe and what each field means; train nothing."),
    ] = False,
) -> None:
    """Train a sparse encoder on your own pairs, or reproduce a published recipe.

    \b
    Examples:
      splade-engine train -m bundled -d pairs.jsonl -o run
      splade-engine train -r l0 -d pairs.jsonl -m distilbert-base-uncased -o run
      splade-engine train -r idf-aware -d beir-folder --negatives mined.jsonl -o run --epochs 2
      splade-engine train -o run --resume
      splade-engine train -r l0 --show
      splade-engine index corpus.jsonl -o my-index --encoder run/model
    """
    from splade_engine.training import load_recipe, recipe_names
    from splade_engine.training.recipe import parse_assignment

    if resume:
        given = (
            data,
            model,
            steps,
            epochs,
            batch_size,
            lr,
            document_lambda,
            terms,
            max_length,
            seed,
            device,
            settings,
        )
        if any(value is not None for value in given):
            raise typer.BadParameter(
                "--resume continues with the recipe in the folder; nothing can be changed"
            )
        _run(None, _folder(output), dict(map(_moved, moved or [])))
        return
    folder = None if show else _folder(output)  # told before a base model is looked at
    if recipe is None and model is not None and _is_encoder(model):
        recipe = "tune"
    if recipe is None:
        raise InvalidInputError(f"which recipe? -r with one of {', '.join(recipe_names())}, or a .toml file")
    overrides: dict[str, Any] = {}
    if data:
        overrides["data.sources"] = [_source(text, negatives_file, corpus, queries) for text in data]
    if epochs is not None:
        overrides |= {"train.steps": 0, "train.epochs": epochs}
    for key, value in (
        ("model.base", model),
        ("train.steps", steps),
        ("train.batch_size", batch_size),
        ("train.lr", lr),
        ("regularizer.document_lambda", document_lambda),
        ("regularizer.document_terms", terms),
        ("model.document_length", max_length),
        ("train.seed", seed),
        ("train.device", device),
    ):
        if value is not None:
            overrides[key] = value
    if document_lambda is not None and terms is None:  # a weight that is given is kept
        overrides["regularizer.document_terms"] = 0.0
    overrides |= dict(parse_assignment(text) for text in settings or [])
    chosen = load_recipe(recipe).override(overrides)
    if folder is None:
        terminal.write_block(chosen.to_toml(explain=True))
        return
    _run(chosen, folder)


def _folder(output: Path | None) -> Path:
    if output is None:
        raise guard.UsageError("Missing option '--output' / '-o'")
    interrupts.hint = lambda: _way_on(output)
    return output


def _run(recipe: Any, output: Path, moved: dict[str, str] | None = None) -> None:
    from splade_engine.training import Recipe
    from splade_engine.training import train as train_run

    resume = recipe is None
    result = train_run(recipe or Recipe(), output, resume=resume, moved=moved, progress=shows_progress())
    terminal.write(str(result.model))
    if result.ndcg is not None and result.start_ndcg is not None:
        terminal.note(f"held-out nDCG@10: {result.start_ndcg:.3f} at the start, {result.ndcg:.3f} now")


def _is_encoder(model: str) -> bool:
    """Whether a base model is a sparse encoder already, which the recipe `tune` is for."""
    from splade_engine.encoder.folders.hub import resolve
    from splade_engine.encoder.folders.reading import is_encoder

    return is_encoder(resolve(model)[0])


def _way_on(output: Path) -> str:
    """How a run that was interrupted goes on."""
    if not (output / TRAINING_RUN).is_file():
        return "nothing was trained yet"
    # asked within a signal handler: nothing is imported here
    whole = (output / "checkpoints").glob("checkpoint-*/complete.json")
    steps = [int(n) for path in whole if (n := path.parent.name.partition("-")[2]).isdecimal()]
    where = f"goes on after step {max(steps)}" if steps else "begins again, there is no checkpoint"
    return f"splade-engine train -o {terminal.argument(output)} --resume {where}"


def _source(text: str, negatives: Path | None, corpus: Path | None, queries: Path | None) -> dict[str, Any]:
    """`[ict:|bfs:|wlp:]PATH[=WEIGHT]` as a source of a recipe.

    Raises:
        InvalidInputError: there is no path, which would be the working folder; or the weight is 0, which in a
            recipe stands for none.
    """
    from splade_engine.errors import InvalidInputError

    path, sign, weight = text.rpartition("=")
    source: dict[str, Any] = {"path": text}
    if sign and _is_number(weight) and not Path(text).exists():  # the name of a file may be `pairs-lr=0.1`
        source = {"path": path, "weight": float(weight)}
    kind, colon, rest = source["path"].partition(":")
    if colon and kind in ("ict", "bfs", "wlp"):
        source |= {"path": rest, "kind": kind}
    if not source["path"].strip():
        raise InvalidInputError(f"--data {text}: names no file or folder")
    if source.get("weight") == 0:
        raise InvalidInputError(
            f"--data {text}: a weight is above 0; without one it is the number of examples"
        )
    for name, value in (("negatives", negatives), ("corpus", corpus), ("queries", queries)):
        if value is not None:
            source[name] = str(value)
    return source


def _moved(text: str) -> tuple[str, str]:
    """`OLD=NEW`, where either may hold a `=`: what lies at the new place is there.

    Raises:
        InvalidInputError: it is not.
    """
    splits = [(text[:i], text[i + 1 :]) for i, letter in enumerate(text) if letter == "="]
    found = next(((old, new) for old, new in splits if old and new and Path(new).exists()), None)
    if found is None:
        raise InvalidInputError(f"--moved {text}: OLD=NEW is needed, and NEW a file or folder that is there")
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
