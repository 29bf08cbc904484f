"""A training run in a folder: start it, watch it, stop it, continue it.

DIR/recipe.toml     everything that decides the run; `resume` reads it
DIR/checkpoints/    transformers' checkpoints; one without `complete.json` was cut short and is ignored
DIR/log.jsonl       one object per log line
DIR/curves.png      the log as curves (with matplotlib)
DIR/model/          the trained encoder: `SparseEncoder.load("DIR/model")`
DIR/best/           with probe.keep_best: the one with the best held-out nDCG@10
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import set_seed

from splade_engine.errors import InvalidInputError, MissingExtraError
from splade_engine.files import expanded
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.data.opening import build_training_set, open_sources
from splade_engine.training.machine import choose_device, world_size
from splade_engine.training.objective.parts import PARTS, Need
from splade_engine.training.recipe.recipe import Recipe, load_recipe
from splade_engine.training.run.monitor import RunLog
from splade_engine.training.run.probe import Probe, folder_probe, held_out_probe
from splade_engine.training.run.trainer import COMPLETE, SparseTrainer
from splade_engine.training.run.watch import Watch, announce
from splade_engine.training.student.build import Start, build_student
from splade_engine.training.student.saving import save_student
from splade_engine.training.teachers.opening import load_teachers, query_bank

logger = logging.getLogger(__name__)

_LOOK = 64  # examples looked at to see whether the data has the negatives and scores that the losses need


@dataclass(frozen=True)
class TrainingResult:
    """What a run left behind."""

    # Folder of the trained encoder.
    model: Path
    # Optimiser steps in all.
    steps: int
    # The log.
    rows: list[dict[str, Any]]
    # The last held-out nDCG@10, None where nothing was held out.
    ndcg: float | None


def train(
    recipe: Recipe, output: str | Path, *, resume: bool = False, progress: bool = False
) -> TrainingResult:
    """Train an encoder.

    Args:
        recipe: model, data, losses and schedule; see `load_recipe`.
        output: a new or empty folder, or with `resume` the folder of a run that was cut short.
        resume: continue from the last complete checkpoint, with the recipe in the folder; the result is bit
            for bit that of a run which was never interrupted (same machine, same number of threads).
        progress: a progress bar on stderr.

    Raises:
        InvalidInputError: for bad input, naming file and row or the recipe's field.
        TrainingError: collapse or out of memory, with what to change.
    """
    folder = Path(output)
    if resume:
        recipe = _stored_recipe(folder)
    else:
        _check_new(folder)
        recipe = _with_absolute_paths(recipe)
    _check_installed()
    set_seed(recipe.train.seed)
    cache = folder / "cache"
    announce(f"reading {_counted(len(recipe.data.sources), 'source')}", progress)
    sources = open_sources(recipe, cache)
    world = world_size()
    data = build_training_set(recipe, sources, world)
    group = _checked_group(recipe, data)
    rows = sum(len(source) for source in sources)
    fitted = ", fitting a vocabulary head on it" if recipe.model.align else ""
    announce(f"{_counted(rows, 'example')}; base model {recipe.model.base}{fitted}", progress)
    start = build_student(recipe.model, sources, cache)
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        (folder / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    return _run(recipe, folder, start, data, group, world, resume, progress)


def _run(
    recipe: Recipe,
    folder: Path,
    start: Start,
    data: TrainingSet,
    group: int,
    world: int,
    resume: bool,
    progress: bool,
) -> TrainingResult:
    steps = data.n_batches // (recipe.train.accumulation * world)
    arguments = training_arguments(recipe, folder, steps)
    if recipe.loss.teachers:
        announce(f"teachers: {', '.join(recipe.loss.teachers)}", progress)
    teachers = load_teachers(recipe, data.sources)
    if recipe.loss.bank:
        announce("embedding the queries of all sources", progress)
    bank = query_bank(recipe, data, teachers)
    if recipe.model.dense_head:
        from splade_engine.training.teachers.dense_fit import attach_dense_head

        announce("fitting a dense head to the teacher", progress)
        attach_dense_head(recipe, start, data.sources, teachers, bank, folder / "cache")
    collator = start.collator(group, texts=bool(teachers))
    if recipe.loss.term:
        from splade_engine.training.teachers.term_targets import term_targets

        collator.term_targets = term_targets(recipe, start)
    trainer = SparseTrainer(
        start.student,
        recipe,
        data,
        collator,
        arguments,
        ramp_steps=recipe.regularizer.ramp_steps or round(recipe.regularizer.ramp_share * steps),
        teachers=teachers,
        bank=bank,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    watch = Watch(
        trainer, start, RunLog(folder / "log.jsonl"), _probe(recipe, data, folder / "cache"), folder, progress
    )
    trainer.add_callback(watch)
    checkpoint = last_checkpoint(folder) if resume else None
    watch.log.cut(int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        watch.bar.close()
    ndcg = (
        watch.measure()
        if recipe.probe.every == 0 or watch.measured_at != trainer.state.global_step
        else watch.ndcg
    )
    if trainer.is_world_process_zero():
        save_student(trainer.student, folder / "model", start.documents, start.queries, overwrite=True)
        shutil.rmtree(folder / "cache", ignore_errors=True)
        _draw(watch.log, folder, recipe)
    return TrainingResult(folder / "model", trainer.state.global_step, watch.log.rows(), ndcg)


def training_arguments(recipe: Recipe, folder: Path, steps: int) -> TrainingArguments:
    """transformers' arguments for a recipe."""
    t = recipe.train
    device = choose_device(t.device)
    precision = t.precision
    if precision == "auto":
        precision = "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    if precision == "fp16" and device == "cpu":
        raise InvalidInputError("train.precision = fp16 needs a GPU; on a CPU bf16 and float32 are possible")
    args = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=t.batch_size,
        gradient_accumulation_steps=t.accumulation,
        learning_rate=t.lr,
        weight_decay=t.weight_decay,
        warmup_steps=t.warmup_steps or round(t.warmup_share * steps),
        lr_scheduler_type=t.scheduler,
        max_grad_norm=t.max_grad_norm,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=device == "cpu",
        seed=t.seed,
        train_sampling_strategy="sequential",  # the order is the training set's
        remove_unused_columns=False,
        dataloader_num_workers=t.workers,
        dataloader_pin_memory=device != "cpu",
        logging_strategy="steps",
        logging_steps=t.log_steps,
        save_strategy="steps" if t.save_steps else "no",
        save_steps=t.save_steps or steps,
        save_total_limit=max(1, t.keep),
        disable_tqdm=True,
        report_to=[],
    )
    if device == "cuda":
        args._n_gpu = min(
            1, args.n_gpu
        )  # several GPUs: torchrun, one process each; DataParallel would split texts
    return args


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint whose files all have the sizes that were noted when it was complete."""
    found = sorted(
        (folder / "checkpoints").glob("checkpoint-*"),
        key=lambda p: int(p.name.rpartition("-")[2]),
        reverse=True,
    )
    return next((checkpoint for checkpoint in found if _is_complete(checkpoint)), None)


def _is_complete(checkpoint: Path) -> bool:
    try:
        sizes = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _stored_recipe(folder: Path) -> Recipe:
    if not (folder / "recipe.toml").is_file():
        raise InvalidInputError(f"{folder}: no recipe.toml, so no run to resume")
    if (folder / "model").is_dir():
        raise InvalidInputError(f"{folder}: this run is finished, its model is in {folder / 'model'}")
    return load_recipe(folder / "recipe.toml")


def _check_new(folder: Path) -> None:
    """A new or empty folder; what an attempt left that was killed before its recipe was written, goes."""
    if folder.is_dir() and [path.name for path in folder.iterdir()] == ["cache"]:
        shutil.rmtree(folder / "cache")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInputError(
            f"{folder}: not empty; --resume continues a run, a new run needs a new folder"
        )


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _with_absolute_paths(recipe: Recipe) -> Recipe:
    """Local paths made absolute, so that a run can be resumed from anywhere."""

    def absolute(path: str | None) -> str | None:
        if not path:
            return path
        local = expanded(path)
        return str(local.absolute()) if local.exists() else path

    sources = tuple(
        replace(
            s,
            path=absolute(s.path) or "",
            corpus=absolute(s.corpus),
            queries=absolute(s.queries),
            negatives=absolute(s.negatives),
        )
        for s in recipe.data.sources
    )
    model = replace(
        recipe.model,
        base=absolute(recipe.model.base) or "",
        query_base=absolute(recipe.model.query_base) or "",
        idf=absolute(recipe.model.idf) or ""
        if recipe.model.idf not in ("data", "uniform", "base")
        else recipe.model.idf,
    )
    probe = replace(recipe.probe, data=absolute(recipe.probe.data) or "")
    return replace(recipe, data=replace(recipe.data, sources=sources), model=model, probe=probe)


def _check_installed() -> None:
    try:
        import accelerate  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        raise MissingExtraError("training needs accelerate: pip install 'splade-engine[train]'") from None


def _checked_group(recipe: Recipe, data: TrainingSet) -> int:
    """Documents per query; the losses get the negatives and teacher scores that they need, or there is an
    error.
    """
    looked = [data[i] for i in range(min(_LOOK, len(data)))]
    has_negatives = any(e.negatives for e in looked)
    has_scores = any(e.scores for e in looked)
    needing: dict[Need, list[str]] = {}
    for part in PARTS:
        for need in part.needs(recipe.loss) if part.weight(recipe.loss) else ():
            needing.setdefault(need, []).append(f"loss.{part.name}")
    given = (has_negatives and recipe.data.negatives) or recipe.data.refresh_steps
    if "own_documents" in needing and not given:
        none = f"none of the first {len(looked)} rows has negatives"
        why = none if recipe.data.negatives else "data.negatives is 0"
        raise InvalidInputError(
            f"recipe {recipe.name}: its losses compare a query's own documents, but {why}; "
            "`splade-engine mine` finds hard negatives"
        )
    if "teacher_scores" in needing and not (has_scores or recipe.loss.teachers):
        raise InvalidInputError(
            f"recipe {recipe.name}: {' and '.join(needing['teacher_scores'])} need teacher scores: none of "
            f"the first {len(looked)} rows has scores, and loss.teachers is empty"
        )
    return 1 + (recipe.data.negatives if has_negatives or recipe.data.refresh_steps else 0)


def _probe(recipe: Recipe, data: TrainingSet, cache: Path) -> Probe | None:
    if recipe.probe.data:
        return folder_probe(Path(recipe.probe.data), recipe.probe.documents, recipe.data.held_out, cache)
    return held_out_probe(data, recipe.probe.documents)


def _draw(log: RunLog, folder: Path, recipe: Recipe) -> None:
    from splade_engine.training.run.curves import draw_curves

    try:
        draw_curves(log.rows(), folder / "curves.png", f"{recipe.name}: {folder.name}")
    except MissingExtraError as error:
        logger.warning("no curves.png: %s", error)
