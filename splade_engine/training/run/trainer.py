"""`SparseTrainer`: transformers' Trainer with the losses, penalties and checks of learned sparse retrieval.

Mixed precision, gradient accumulation, several devices, schedules and checkpoints are the Trainer's own.
Added: loss parts from `objective.py`, a learning rate of its own for the idf table, teachers, the moving
average of self-distillation, document frequencies for DF-FLOPS, collapse and out-of-memory checks, and state
enough in every checkpoint that a resumed run continues bit by bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from splade_engine.errors import InvalidInputError, TrainingError
from splade_engine.training.data.collate import Collator
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.objective import losses
from splade_engine.training.objective.distillation import moving_average
from splade_engine.training.objective.objective import (
    Teaching,
    Vectors,
    bank_loss,
    lambdas,
    loss_parts,
    loss_weights,
    penalties,
    teacher_scores,
)
from splade_engine.training.recipe.recipe import Recipe
from splade_engine.training.run.memory import first_queries, is_out_of_memory, memory_advice
from splade_engine.training.run.monitor import Monitor
from splade_engine.training.student.cpu_layers import use_cpu_layers
from splade_engine.training.student.csr import CsrStudent
from splade_engine.training.student.sparse import SparseStudent, batch_inputs, copy_student
from splade_engine.training.student.start import dense_teacher
from splade_engine.training.teachers.query_bank import QueryBank

Teacher = Callable[[Sequence[str], Sequence[str]], Tensor]
"""Scores float32[n, m] of every query with every document."""

WEIGHTS, STATE, STATE_TENSORS, COMPLETE = (
    "model.safetensors",
    "splade_state.json",
    "splade_state.safetensors",
    "complete.json",
)


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
        student: SparseStudent | CsrStudent,
        recipe: Recipe,
        data: TrainingSet,
        collator: Collator,
        args: TrainingArguments,
        *,
        ramp_steps: int,
        teachers: Sequence[Teacher] = (),
        bank: QueryBank | None = None,
    ) -> None:
        self.recipe = recipe
        self.teachers = list(teachers)
        self.bank = bank
        self.ramp_steps = ramp_steps
        self.training_set = data
        self.monitor = Monitor(student.n_terms, recipe.train.collapse_below)
        self.average: SparseStudent | None = None
        if recipe.loss.self_weight:
            if not isinstance(student, SparseStudent):
                raise InvalidInputError("loss.self_weight: a sparse autoencoder has no moving average")
            self.average = copy_student(student)
        self.df_share: Tensor | None = None
        self._df_counts = torch.zeros(student.n_terms, dtype=torch.int64)
        self._df_documents = 0
        if args.use_cpu:
            use_cpu_layers(student)
        super().__init__(model=student, args=args, train_dataset=data, data_collator=collator)
        self.loss_is_scaled_for_ga = False
        if self.average is not None:
            self.average.to(self.args.device)

    # ---- the step -----------------------------------------------------------------------------------

    @property
    def student(self) -> SparseStudent | CsrStudent:
        """The student without the wrappers of several devices."""
        unwrapped: SparseStudent | CsrStudent = self.accelerator.unwrap_model(self.model)
        return unwrapped

    @property
    def lambdas_now(self) -> dict[str, float]:
        """The weight of each penalty in the step that runs."""
        return lambdas(self.recipe.regularizer, self.state.global_step + 1, self.ramp_steps)

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
            self.monitor.add(vectors, parts, self.lambdas_now, self.state.global_step + 1)
            self._count_documents(vectors)
        return (loss, vectors) if return_outputs else loss

    def _total(self, vectors: Vectors, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.autocast(
            vectors.documents.device.type, enabled=False
        ):  # sums of squares in full precision
            parts = loss_parts(vectors, self._teaching(vectors, inputs), self.recipe.loss)
            if self.bank is not None:
                parts["bank"] = self._bank_loss(self.bank, vectors, inputs)
            if self.recipe.loss.embed and vectors.embeddings is not None:
                parts["embed"] = self._embed_loss(vectors.embeddings, inputs["document_texts"])
            student = self.student
            table = None if student.table is None else student.table.detach().clamp(min=0)
            if "targets" in inputs and vectors.logits is not None and table is not None:
                from splade_engine.training.teachers.lexical import term_loss

                surplus = self.recipe.loss.term_surplus
                parts["term"] = term_loss(vectors.logits, inputs["targets"], table, surplus=surplus)
            fines = penalties(vectors, self.recipe.regularizer, idf=table, df_share=self.df_share)
            total = losses.mix(parts, {k: w for k, w in loss_weights(self.recipe.loss).items() if k in parts})
            weights = self.lambdas_now
            for name, value in fines.items():
                total = total + weights[name] * value
            for value in vectors.extra.values():
                total = total + value
        named = {f"penalty_{name}": value.detach() for name, value in fines.items()}
        return total, {k: v.detach() for k, v in (parts | vectors.extra).items()} | named

    def _teaching(self, vectors: Vectors, inputs: dict[str, Any]) -> Teaching:
        config = self.recipe.loss
        if not (config.kl or config.margin_mse or config.self_weight):
            return Teaching()
        n, group = vectors.valid.shape
        tables = []
        for teacher in self.teachers:
            scores = teacher(inputs["query_texts"], inputs["document_texts"]).to(vectors.documents.device)
            grid = scores.new_zeros((n, n * group)).float()
            grid[:, inputs["slots"]] = scores.float()
            tables.append(grid)
        teaching = teacher_scores(tables, inputs["scores"], config, vectors.valid, vectors.same)
        if self.average is None:
            return teaching
        with torch.no_grad():
            slow: Vectors = self.average(**batch_inputs(inputs))
            average = losses.batch_scores(slow.queries, slow.documents)
        return Teaching(own=teaching.own, batch=teaching.batch, average=average)

    def _bank_loss(self, bank: QueryBank, vectors: Vectors, inputs: dict[str, Any]) -> Tensor:
        documents = vectors.documents[vectors.valid]
        texts, dense = bank.near(inputs["document_texts"])
        collator: Any = self.data_collator
        ids = (part.to(documents.device) for part in collator.encoded("query", texts))
        scored = (dense if t is bank.teacher else t(texts, inputs["document_texts"]) for t in self.teachers)
        tables = [table.to(documents.device).float() for table in scored]
        return bank_loss(self.student.query_vectors(*ids), documents, tables, self.recipe.loss)

    def _embed_loss(self, embeddings: Tensor, texts: Sequence[str]) -> Tensor:
        teacher = dense_teacher(self.recipe, self.teachers, "loss.embed")
        wanted = teacher.embed_documents(texts).to(embeddings.device)
        return 1 - (embeddings.float() * wanted).sum(1).mean()

    @torch.no_grad()
    def _count_documents(self, vectors: Vectors) -> None:
        if self.recipe.regularizer.document != "df_flops":
            return
        active = vectors.documents[vectors.valid] > 0
        self._df_counts += active.sum(0).cpu()
        self._df_documents += len(active)

    def after_step(self) -> None:
        """Once per optimiser step, by the run's callback: averages, frequencies, collapse."""
        step = self.state.global_step
        if self.average is not None:
            moving_average(self.average, self.student, self.recipe.loss.self_decay)
        if self._df_documents and step % self.recipe.regularizer.df_refresh == 0:
            self.df_share = (self._df_counts / self._df_documents).float().to(self.args.device)
            self._df_counts.zero_()
            self._df_documents = 0
        self.monitor.check_collapse(step, lambdas(self.recipe.regularizer, step, self.ramp_steps))

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
        """AdamW; the idf table has its own rate and no decay."""
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
                    kind = 2 if name.endswith("table") else 0 if name in decayed else 1
                    groups[kind]["params"].append(parameter)
            cls, kwargs = self.get_optimizer_cls_and_kwargs(self.args, target)
            self.optimizer = cls([g for g in groups if g["params"]], **kwargs)
        return self.optimizer

    # ---- checkpoints --------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Weights (tied ones once) and our own state, without pickled arguments."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        state = self.student.state_dict() if state_dict is None else state_dict
        save_file(_untied(state), folder / WEIGHTS, metadata={"format": "pt"})
        tensors = {f"monitor.{k}": v for k, v in self.monitor.state().items()}
        tensors["df_counts"] = self._df_counts
        if self.df_share is not None:
            tensors["df_share"] = self.df_share.cpu()
        if self.average is not None:
            tensors |= {f"average.{k}": v.cpu() for k, v in _untied(self.average.state_dict()).items()}
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / STATE_TENSORS)
        state_json = {"df_documents": self._df_documents, "data": self.training_set.state()}
        (folder / STATE).write_text(json.dumps(state_json), encoding="utf-8")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        folder = Path(resume_from_checkpoint)
        _load_state(self.student if model is None else model, load_file(folder / WEIGHTS))
        tensors = load_file(folder / STATE_TENSORS)
        self.monitor.load_state({k[8:]: v for k, v in tensors.items() if k.startswith("monitor.")})
        self._df_counts = tensors["df_counts"].clone()
        if "df_share" in tensors:
            self.df_share = tensors["df_share"].to(self.args.device)
        if self.average is not None:
            _load_state(self.average, {k[8:]: v for k, v in tensors.items() if k.startswith("average.")})
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        self._df_documents = int(state["df_documents"])
        self.training_set.load_state(state["data"])


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
        raise TrainingError(
            f"the checkpoint does not fit the model: missing {missing[:3]}, more {unexpected[:3]}"
        )
