"""`SparseTrainer`: transformers' Trainer with the losses, penalties and checks of learned sparse retrieval.

Mixed precision, gradient accumulation, several devices, schedules and checkpoints are the Trainer's own.
Added: the recipe's `Objective`, a learning rate of its own for the idf table, the moving average of
self-distillation, collapse and out-of-memory checks, and state enough in every checkpoint that a resumed run
continues bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from splade_engine.errors import TrainingError
from splade_engine.files import read_json, write_json
from splade_engine.training.data.collate import Collator
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.objective.batch import Bank, Helpers
from splade_engine.training.objective.distillation import moving_average
from splade_engine.training.objective.objective import Objective
from splade_engine.training.objective.vectors import Teacher, Vectors
from splade_engine.training.recipe.recipe import Recipe
from splade_engine.training.run.health import check_loss, check_weights
from splade_engine.training.run.memory import first_queries, is_out_of_memory, memory_advice
from splade_engine.training.run.monitor import Monitor
from splade_engine.training.student.cpu_layers import use_cpu_layers
from splade_engine.training.student.student import Student, batch_inputs
from splade_engine.training.teachers.opening import dense_teacher

WEIGHTS, STATE, STATE_TENSORS = "model.safetensors", "splade_state.json", "splade_state.safetensors"


class SparseTrainer(Trainer):
    """See the module.

    Args:
        student: what is trained.
        recipe: losses, penalties and schedule.
        data: the run's examples.
        collator: makes batches of them.
        args: transformers' arguments, from `run.training_arguments`.
        ramp_steps: the step at which the lambdas are whole.
        teachers: score every batch on the fly.
        bank: further queries for every batch's documents.
    """

    def __init__(
        self,
        student: Student,
        recipe: Recipe,
        data: TrainingSet,
        collator: Collator,
        args: TrainingArguments,
        *,
        ramp_steps: int,
        teachers: Sequence[Teacher] = (),
        bank: Bank | None = None,
    ) -> None:
        self.recipe = recipe
        self.training_set = data
        self.collator = collator
        self.objective: Objective = Objective(recipe.loss, recipe.regularizer, ramp_steps)
        self.monitor = Monitor(student.n_terms, recipe.train.collapse_below)
        self.average = student.average_copy() if recipe.loss.self_weight else None
        self.helpers = Helpers(
            encode_queries=self._encoded_queries,
            table=self._table,
            average=None if self.average is None else self._average_vectors,
            teachers=tuple(teachers),
            bank=bank,
            embedder=partial(dense_teacher, recipe, teachers, "loss.embed"),
        )
        if args.use_cpu:
            use_cpu_layers(student)
        super().__init__(model=student, args=args, train_dataset=data, data_collator=collator)
        self.loss_is_scaled_for_ga = False
        if self.average is not None:
            self.average.to(self.args.device)

    # ---- the step -----------------------------------------------------------------------------------

    @property
    def student(self) -> Student:
        """The student without the wrappers of several devices."""
        unwrapped: Student = self.accelerator.unwrap_model(self.model)
        return unwrapped

    def _table(self) -> Tensor | None:
        table = self.student.table
        return None if table is None else table.detach().clamp(min=0)

    def _encoded_queries(self, texts: Sequence[str]) -> Tensor:
        parts = self.collator.encoded("query", texts)
        return self.student.query_vectors(*(part.to(self.args.device) for part in parts))

    def _average_vectors(self, inputs: dict[str, Any]) -> Vectors:
        assert self.average is not None
        vectors: Vectors = self.average(**batch_inputs(inputs))
        return vectors

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The recipe's total of one micro-batch; its parts go to the monitor."""
        del num_items_in_batch  # every loss is a mean over the micro-batch
        vectors: Vectors = model(**batch_inputs(inputs))
        loss, parts = self._total(vectors, inputs)
        if model.training:
            step = self.state.global_step + 1
            check_loss(loss.detach(), parts, vectors, self.student, self.recipe, step)
            self.monitor.add(vectors, {"loss": loss, **parts}, self.objective.lambdas(step), step)
            self.objective.observe(vectors)
        return (loss, vectors) if return_outputs else loss

    def _total(self, vectors: Vectors, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        step = self.state.global_step + 1
        # sums of squares in full precision
        with torch.autocast(vectors.documents.device.type, enabled=False):
            return self.objective.total(vectors, inputs, self.helpers, step)

    def after_step(self) -> None:
        """Once per optimiser step, by the run's callback: averages, frequencies, collapse."""
        step = self.state.global_step
        if self.average is not None:
            moving_average(self.average, self.student, self.recipe.loss.self_decay)
        self.objective.after_step(step)
        self.monitor.check_collapse(step, self.objective.lambdas(step))

    # ---- memory -------------------------------------------------------------------------------------

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """The Trainer's step; out of memory becomes advice.

        Raises:
            TrainingError: naming a batch size that was tried and fits.
        """
        shape = (len(inputs["query_ids"]), *inputs["document_ids"].shape)
        try:
            loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
            return loss
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # outside the handler: its traceback would keep the failed step's tensors alive
        fits = self._largest_fitting(model, inputs)
        raise TrainingError(memory_advice(shape, fits, self.recipe))

    def _largest_fitting(self, model: nn.Module, inputs: dict[str, Any]) -> int:
        """Half the queries until forward and backward pass; 0 if not even one does."""
        size = len(inputs["query_ids"]) // 2
        while size >= 1:
            model.zero_grad(set_to_none=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            try:
                part = self._prepare_inputs(first_queries(inputs, size))
                with self.compute_loss_context_manager():
                    loss, _ = self._total(model(**batch_inputs(part)), part)
                self.accelerator.backward(loss)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                size //= 2
            else:
                return size
        return 0

    # ---- optimiser ----------------------------------------------------------------------------------

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW; the idf table and the factor of pairs have their own rate and no decay."""
        if self.optimizer is None:
            target: Any = self.model if model is None else model
            decayed = set(self.get_decay_parameter_names(target))
            groups: list[dict[str, Any]] = [
                {"params": [], "weight_decay": self.args.weight_decay},
                {"params": [], "weight_decay": 0.0},
                {"params": [], "weight_decay": 0.0, "lr": self.recipe.train.idf_lr},
            ]
            for name, parameter in target.named_parameters():
                if parameter.requires_grad:
                    kind = 2 if name.endswith(("table", "pairs.log_factor")) else 0 if name in decayed else 1
                    groups[kind]["params"].append(parameter)
            cls, kwargs = self.get_optimizer_cls_and_kwargs(self.args, target)
            self.optimizer = cls([g for g in groups if g["params"]], **kwargs)
        return self.optimizer

    # ---- checkpoints --------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Weights (tied ones once) and our own state, without pickled arguments."""
        check_weights(self.student, self.recipe, self.state.global_step)
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        state = self.student.state_dict() if state_dict is None else state_dict
        save_file(_untied(state), folder / WEIGHTS, metadata={"format": "pt"})
        tensors = {f"monitor.{k}": v for k, v in self.monitor.state().items()}
        tensors |= self.objective.state()
        if self.average is not None:
            tensors |= {f"average.{k}": v.cpu() for k, v in _untied(self.average.state_dict()).items()}
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / STATE_TENSORS)
        write_json(folder / STATE, {"data": self.training_set.state()}, indent=None)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with _readable(resume_from_checkpoint):
            self._load_ours(Path(resume_from_checkpoint), model)

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        with _readable(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: Any) -> None:
        with _readable(checkpoint):
            super()._load_rng_state(checkpoint)

    def _load_ours(self, folder: Path, model: nn.Module | None) -> None:
        _load_state(self.student if model is None else model, load_file(folder / WEIGHTS))
        tensors = load_file(folder / STATE_TENSORS)
        self.monitor.load_state({k[8:]: v for k, v in tensors.items() if k.startswith("monitor.")})
        self.objective.load_state(tensors, str(self.args.device))
        if self.average is not None:
            _load_state(self.average, {k[8:]: v for k, v in tensors.items() if k.startswith("average.")})
        state = read_json(folder / STATE)
        self.training_set.load_state(state["data"])


@contextmanager
def _readable(checkpoint: str | Path) -> Iterator[None]:
    """Whatever a foreign or damaged checkpoint raises, as one line with a way on.

    Raises:
        TrainingError: naming the checkpoint.
    """
    try:
        yield
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise TrainingError(
            f"{checkpoint}: does not fit this run or cannot be read ({reason}); remove this folder, and "
            "resuming takes the checkpoint before it"
        ) from error


def _untied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every storage once: tied weights are tied again by the model that loads them."""
    seen: set[tuple[int, torch.Size]] = set()
    out = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tensor.shape)
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        out[name] = tensor.detach().contiguous()
    return out


def _load_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) != set(model.state_dict()) - set(_untied(model.state_dict())):
        raise TrainingError(f"other weights than the model's: missing {missing[:3]}, more {unexpected[:3]}")
