"""A training run: start it, watch it, stop it, continue it. `folder.py` says what lies in its folder."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import set_seed

from splade_engine.arguments import flag, path_of, shown
from splade_engine.encoder.arguments import model_folder
from splade_engine.errors import InvalidInputError, MissingExtraError
from splade_engine.progress import Progress, check_progress
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.data.opening import build_training_set, open_sources
from splade_engine.training.machine import choose_device, rank, world_size
from splade_engine.training.objective.parts import PARTS, Need
from splade_engine.training.recipe.combinations import check_reached
from splade_engine.training.recipe.recipe import Recipe
from splade_engine.training.run.checkpoints import checkpoints, last_checkpoint, step_of
from splade_engine.training.run.folder import (
    CACHE,
    LOG,
    MODEL,
    RECIPE,
    begin,
    check_new,
    close,
    held,
    is_closing,
    stored_recipe,
    unless_refused,
)
from splade_engine.training.run.health import check_learnt, check_weights, told
from splade_engine.training.run.inputs import check_inputs, run_inputs, run_steps
from splade_engine.training.run.monitor import LOSSES, RunLog
from splade_engine.training.run.paths import Moved, with_absolute_paths
from splade_engine.training.run.probe import Probe, folder_probe, held_out_probe
from splade_engine.training.run.scales import check_scales
from splade_engine.training.run.stopping import stopping
from splade_engine.training.run.trainer import SparseTrainer
from splade_engine.training.run.watch import Watch, announce
from splade_engine.training.student.build import Start, build_student
from splade_engine.training.student.saving import save_student
from splade_engine.training.student.sparse import SparseStudent
from splade_engine.training.student.student import Student
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
    # The same before the first step.
    start_ndcg: float | None = None


def train(
    recipe: Recipe,
    output: str | Path,
    *,
    resume: bool = False,
    moved: Moved | None = None,
    progress: Progress = False,
) -> TrainingResult:
    """Train an encoder.

    Args:
        recipe: model, data, losses and schedule; see `load_recipe`.
        output: a new or empty folder, or with `resume` the folder of a run that was cut short.
        resume: continue from the last complete checkpoint, with the recipe in the folder; the result is bit
            for bit that of a run which was never interrupted (same machine, same number of threads).
        moved: with `resume`, where data and models lie now, by where they lay when the run began; a folder
            stands for all that is in it.
        progress: see `Progress`; a step is an optimiser step.

    Raises:
        InvalidInputError: for bad input, naming file and row or the recipe's field; for a resumed run whose
            data, models or recipe changed.
        TrainingError: collapse, NaN or out of memory, with what to change.
        StorageError: for a disk that is full or cannot be written to.
        KeyboardInterrupt: after Ctrl-C, when the step is done and a checkpoint is written; a second one does
            not wait.
    """
    folder, resume = path_of("output", output), flag("resume", resume)
    check_progress(progress)
    if not isinstance(recipe, Recipe):
        hint = f"; load_recipe({shown(recipe)}) gives one" if isinstance(recipe, str | Path) else ""
        raise InvalidInputError(f"recipe: a Recipe is expected, got {shown(recipe)}{hint}")
    if moved and not resume:
        raise InvalidInputError("moved: is for a run that is resumed; the recipe of a new one names its data")
    if resume:
        recipe = stored_recipe(folder, moved or {})
    else:
        check_new(model_folder("output", folder))
        recipe = with_absolute_paths(recipe)
    _check_installed()
    rank(), world_size()  # what is no number is told before any work
    if resume and is_closing(folder):
        with held(folder), told(folder):
            return _closed(folder, recipe, run_steps(folder))
    with nullcontext() if resume else unless_refused(folder):
        return _trained(recipe, folder, resume, moved or {}, progress)


def _trained(recipe: Recipe, folder: Path, resume: bool, moved: Moved, progress: Progress) -> TrainingResult:
    """All of a run, from its data to its model."""
    set_seed(recipe.train.seed)
    announce(f"reading {_counted(len(recipe.data.sources), 'source')}", progress)
    sources = open_sources(recipe, folder / CACHE)
    data = build_training_set(recipe, sources, world_size())
    check_reached(recipe, _steps(recipe, data))
    group = _checked_group(recipe, data)
    inputs = run_inputs(recipe, sources, (folder / RECIPE).read_bytes() if resume else None)
    if resume:
        check_inputs(folder, inputs, moved)
    rows = sum(len(source) for source in sources)
    fitted = ", fitting a vocabulary head on it" if recipe.model.align else ""
    announce(f"{_counted(rows, 'example')}; base model {recipe.model.base}{fitted}", progress)
    start = build_student(recipe.model, sources, folder / CACHE)
    with held(folder), told(folder):
        if not resume:
            begin(folder, recipe, inputs, _steps(recipe, data))
        recipe = _settled(recipe, start.student)
        trainer = _trainer(recipe, folder, start, data, group, progress)
        watch = Watch(
            trainer, start, RunLog(folder / LOG), _probe(recipe, data, folder / CACHE), folder, progress
        )
        trainer.add_callback(watch)
        if not resume:
            check_scales(trainer)
        _run_steps(trainer, watch, folder, resume, progress)
        if watch.measured_at != trainer.state.global_step:
            watch.measure()
        if not trainer.is_world_process_zero():
            return TrainingResult(
                folder / MODEL, trainer.state.global_step, watch.log.rows(), watch.ndcg, watch.start_ndcg
            )
        check_weights(trainer.student, recipe, trainer.state.global_step)
        save_student(trainer.student, folder / MODEL, start.documents, start.queries, overwrite=True)
        return _closed(folder, recipe, trainer.state.global_step)


def _settled(recipe: Recipe, student: Student) -> Recipe:
    """The recipe with where queries come from, which it may leave to the base."""
    if recipe.model.query != "auto":
        return recipe
    separate = isinstance(student, SparseStudent) and student.queries is not None
    kind = "table" if student.inference_free else "separate" if separate else "shared"
    return recipe.override({"model.query": kind})


def _steps(recipe: Recipe, data: TrainingSet) -> int:
    return data.n_batches // (recipe.train.accumulation * world_size())


def _trainer(
    recipe: Recipe, folder: Path, start: Start, data: TrainingSet, group: int, progress: Progress
) -> SparseTrainer:
    """The trainer with the recipe's teachers, query bank, dense head and term targets."""
    if recipe.loss.teachers:
        announce(f"teachers: {', '.join(recipe.loss.teachers)}", progress)
    teachers = load_teachers(recipe, data.sources)
    if recipe.loss.bank:
        announce("embedding the queries of all sources", progress)
    bank = query_bank(recipe, data, teachers)
    if recipe.model.dense_head:
        from splade_engine.training.teachers.dense_fit import attach_dense_head

        announce("fitting a dense head to the teacher", progress)
        attach_dense_head(recipe, start, data.sources, teachers, bank, folder / CACHE)
    _check_embed(recipe, start.student)
    collator = start.collator(group, texts=bool(teachers), near_duplicates=recipe.data.near_duplicates)
    if recipe.loss.term:
        from splade_engine.training.teachers.term_targets import term_targets

        collator.term_targets = term_targets(recipe, start)
    steps = _steps(recipe, data)
    trainer = SparseTrainer(
        start.student,
        recipe,
        data,
        collator,
        training_arguments(recipe, folder, steps),
        ramp_steps=recipe.regularizer.rise(steps),
        teachers=teachers,
        bank=bank,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def _check_embed(recipe: Recipe, student: Student) -> None:
    has_head = isinstance(student, SparseStudent) and student.documents.dense_head is not None
    if recipe.loss.embed and not has_head:
        raise InvalidInputError(
            f"recipe {recipe.name}: loss.embed is of a dense head: it needs model.dense_head, or a base that "
            "has one"
        )


def _run_steps(trainer: SparseTrainer, watch: Watch, folder: Path, resume: bool, progress: Progress) -> None:
    """All steps, or those after the last checkpoint."""
    checkpoint = last_checkpoint(folder, say=logger.warning) if resume else None
    done = step_of(checkpoint) or 0 if checkpoint else 0
    if resume and checkpoint is None:
        why = "no checkpoint is whole" if checkpoints(folder) else "it has no checkpoint"
        logger.warning("%s: %s, so the run starts with its first step again", folder, why)
    elif resume:
        announce(f"resuming after step {done} of {watch.steps}", progress)
    watch.log.cut(done, checkpoint)
    try:
        with stopping(watch):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        watch.close()


def _closed(folder: Path, recipe: Recipe, steps: int) -> TrainingResult:
    """Draw the curves of a run whose model is written, and close its folder."""
    log = RunLog(folder / LOG)
    rows = log.rows()
    if log.lacks(steps, recipe.train.log_steps):
        logger.warning(
            "%s: damaged, its lines up to step %d are no longer whole; the curves and figures lack some, "
            "the model is whole",
            log.path,
            steps,
        )
    check_learnt(rows, LOSSES)
    _draw(rows, folder, recipe)
    close(folder)
    ndcg = next((row["ndcg@10"] for row in reversed(rows) if "ndcg@10" in row), None)
    start = next((row["ndcg@10"] for row in rows if "ndcg@10" in row and row["step"] == 0), None)
    return TrainingResult(folder / MODEL, steps, rows, ndcg, start)


def training_arguments(recipe: Recipe, folder: Path, steps: int) -> TrainingArguments:
    """The arguments of transformers' Trainer for a recipe."""
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
        warmup_steps=t.warmup(steps),
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
        # several GPUs: torchrun, one process each; DataParallel would split texts
        args._n_gpu = min(1, args.n_gpu)
    return args


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _check_installed() -> None:
    try:
        import accelerate  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        raise MissingExtraError("training needs accelerate: pip install 'splade-engine[train]'") from None


def _checked_group(recipe: Recipe, data: TrainingSet) -> int:
    """Documents per query.

    The losses get the negatives and teacher scores that they need, or there is an error.
    """
    looked = [data[i] for i in range(min(_LOOK, len(data)))]
    if len(looked) > 1 and len({(e.query, e.positives, e.negatives) for e in looked}) == 1:
        logger.warning(
            "all of the first %d examples are the same: there is nothing to tell apart", len(looked)
        )
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
    if "batch_scores" in needing and not recipe.loss.teachers:
        raise InvalidInputError(
            f"recipe {recipe.name}: {' and '.join(needing['batch_scores'])} with loss.kl_candidates = all "
            "need loss.teachers, which score the whole batch; the data has scores of a query's own documents"
        )
    return 1 + (recipe.data.negatives if has_negatives or recipe.data.refresh_steps else 0)


def _probe(recipe: Recipe, data: TrainingSet, cache: Path) -> Probe | None:
    if recipe.probe.data:
        return folder_probe(Path(recipe.probe.data), recipe.probe.documents, recipe.data.held_out, cache)
    return held_out_probe(data, recipe.probe.documents)


def _draw(rows: list[dict[str, Any]], folder: Path, recipe: Recipe) -> None:
    from splade_engine.training.run.curves import draw_curves

    try:
        draw_curves(rows, folder / "curves.png", f"{recipe.name}: {folder.name}")
    except MissingExtraError as error:
        logger.warning("no curves.png: %s", error)
