"""From a recipe to what a run needs: the student, its tokenizers, the data."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from splade_engine.encoder.backbone import Backbone, load_backbone
from splade_engine.encoder.checkpoint import Checkpoint, QueryTable, read_checkpoint
from splade_engine.encoder.encoder import BATCH_TOKENS
from splade_engine.encoder.fast.dense_head import load_dense_head
from splade_engine.encoder.folders import hub
from splade_engine.encoder.side import NeuralSide
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.training.data.collate import Collator, TermTargets
from splade_engine.training.data.idf import bm25_idf, document_frequencies, read_table
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.data.sources import Source, open_source
from splade_engine.training.recipe.recipe import Recipe
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.student import preflight
from splade_engine.training.student.csr import CsrStudent, build_csr
from splade_engine.training.student.lora import add_lora
from splade_engine.training.student.sparse import SparseStudent, Tower

if TYPE_CHECKING:
    from splade_engine.training.teachers.dense import DenseTeacher, Teacher
    from splade_engine.training.teachers.query_bank import QueryBank

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """A student ready to train.

    Attributes:
        student: on the CPU, in float32.
        documents, queries: the tokenizers.
    """

    student: SparseStudent | CsrStudent
    documents: TextTokenizer
    queries: TextTokenizer

    def collator(self, group: int, *, texts: bool = False) -> Collator:
        """The collator that fits the student."""
        return Collator(
            self.queries,
            self.documents,
            group=group,
            query_special_tokens=not self.student.inference_free,
            echo=self.student.settings.kind == "echo",
            texts=texts,
        )


def build_student(config: ModelConfig, sources: Sequence[Source], cache: Path) -> Start:
    """Load the base model, look at it, and put the query side together.

    Args:
        config: the recipe's model section.
        sources: training data, whose documents an idf table is counted on.
        cache: folder for an aligned copy of the base.

    Raises:
        CheckpointError: if the base cannot be loaded or cannot be trained.
    """
    if not config.base:
        raise InvalidInputError(
            "model.base is empty: name a model folder or a hub id to start from (--model)"
        )
    if config.kind == "csr":
        folder, name = hub.resolve(config.base)
        return Start(*build_csr(folder, name, config))
    checkpoint, backbone, tokenizer = _load(config.base, config, config.document_length, sources, cache)
    special = tokenizer.special_ids.tolist()
    documents = Tower(backbone, config, special, config.document_top_k)
    if checkpoint.dense_head is not None:
        documents.dense_head = load_dense_head(checkpoint.dense_head)
        documents.dense_head.project.requires_grad_(True)
    queries = None
    table = None
    query_tokenizer = TextTokenizer(
        checkpoint.model_folder, config.query_length, lowercase=checkpoint.lowercase
    )
    if config.query == "table":
        table = torch.from_numpy(_table(config, checkpoint, query_tokenizer, backbone.n_terms, sources))
    elif config.query == "separate":
        base = config.query_base or config.base
        _, query_backbone, query_tokenizer = _load(base, config, config.query_length, sources, cache)
        if query_backbone.n_terms != backbone.n_terms:
            raise CheckpointError(
                f"{base}: a query encoder over {query_backbone.n_terms} terms for documents over "
                f"{backbone.n_terms}"
            )
        queries = Tower(query_backbone, config, special, config.query_top_k)
    if config.lora_rank:
        for tower in (documents, queries):
            if tower is not None:
                model = tower.backbone.model
                add_lora(model, model.base_model, config.lora_rank, config.lora_alpha, config.lora_dropout)
    student = SparseStudent(documents, queries, table, config.learn_idf)
    return Start(student, tokenizer, query_tokenizer)


def _load(
    base: str, config: ModelConfig, length: int, sources: Sequence[Source], cache: Path
) -> tuple[Checkpoint, Backbone, TextTokenizer]:
    folder, name = hub.resolve(base)
    if config.align:
        from splade_engine.training.student.alignment import aligned_checkpoint

        aligned = cache / f"aligned-{folder.name}"
        if not aligned.is_dir():
            aligned_checkpoint(folder, interleaved(sources), aligned)
        folder = aligned
    elif config.kind == "mlm" and not (folder / "modules.json").is_file():
        preflight.check_head(folder)
    checkpoint = read_checkpoint(folder, name)
    if checkpoint.positions is not None and length > checkpoint.positions:
        raise InvalidInputError(f"{name} takes {checkpoint.positions} tokens, the recipe asks for {length}")
    backbone = load_backbone(checkpoint, "cpu", torch.float32)
    if config.dropout >= 0:
        for module in backbone.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = config.dropout
    tokenizer = TextTokenizer(checkpoint.model_folder, length, lowercase=checkpoint.lowercase)
    if tokenizer.size > backbone.n_terms:
        raise CheckpointError(f"{folder}: {tokenizer.size} tokens for a decoder of {backbone.n_terms}")
    if config.preflight and config.kind == "mlm":
        texts = _some_documents(sources) or preflight.SENTENCES
        found = preflight.check_outlook(backbone, tokenizer, name, texts)
        logger.info("%s: %.0f terms a text, cosine %.3f at the start", name, found.terms, found.similarity)
    return checkpoint, backbone, tokenizer


def _some_documents(sources: Sequence[Source]) -> list[str]:
    """Eight texts from all over the training data: in its language, whatever that is."""
    rng = np.random.default_rng(0)
    texts: dict[str, None] = {}
    for source in sources:
        for i in np.linspace(0, len(source) - 1, 8).astype(int):
            example = source.example(int(i), rng)
            if example is not None:
                texts.setdefault(example.positives[0])
    chosen = list(texts)
    return chosen[:: max(1, len(chosen) // 8)][:8] if len(chosen) > 1 else []


def _table(
    config: ModelConfig,
    checkpoint: Checkpoint,
    tokenizer: TextTokenizer,
    n_terms: int,
    sources: Sequence[Source],
) -> NDArray[np.float32]:
    if config.idf == "uniform":
        return np.ones(n_terms, np.float32)
    if config.idf == "base":
        if not isinstance(checkpoint.query, QueryTable):
            raise CheckpointError(f"{config.base}: model.idf = base, but the base model has no query table")
        if checkpoint.query.weights is None:
            return np.ones(n_terms, np.float32)
        return read_table(checkpoint.query.weights, tokenizer, n_terms, checkpoint.query.missing)
    if config.idf != "data":
        return read_table(Path(config.idf), tokenizer, n_terms, config.idf_unseen)
    if not sources:
        raise InvalidInputError("model.idf = data needs training data to count")
    counts, total = document_frequencies(tokenizer, interleaved(sources), n_terms)
    logger.info("idf counted on %d documents", total)
    return bm25_idf(counts, total, config.idf_unseen)


def interleaved(sources: Sequence[Source]) -> Iterator[str]:
    """Documents of all sources in turn, so that a limit cuts none of them off."""
    running = [source.documents() for source in sources]
    while running:
        for documents in list(running):
            text = next(documents, None)
            if text is None:
                running.remove(documents)
            else:
                yield text


def open_sources(recipe: Recipe, cache: Path) -> list[Source]:
    """The recipe's sources, their first rows checked.

    Raises:
        DatasetError: naming file and row of the first bad one.
    """
    sources = [open_source(config, cache) for config in recipe.data.sources]
    rng = np.random.default_rng(0)
    left = recipe.data.check_rows
    for source in sources:
        for i in range(min(len(source), left)):
            source.example(i, rng)
        left -= min(len(source), left)
    return sources


def build_training_set(recipe: Recipe, sources: Sequence[Source], world: int = 1) -> TrainingSet:
    """The examples of the whole run on all `world` devices."""
    train, data = recipe.train, recipe.data
    held_out = min(data.held_out, len(sources[0]) // 5) if sources and not recipe.probe.data else 0
    return TrainingSet(
        sources,
        [s.weight for s in data.sources],
        n_batches=optimiser_steps(recipe, sources, world) * train.accumulation * world,
        batch_size=train.batch_size,
        negatives=data.negatives,
        seed=train.seed,
        one_source_per_batch=data.one_source_per_batch,
        held_out=held_out,
    )


def optimiser_steps(recipe: Recipe, sources: Sequence[Source], world: int = 1) -> int:
    """`train.steps`, or as many as `train.epochs` passes take."""
    if recipe.train.steps:
        return recipe.train.steps
    rows = sum(len(source) for source in sources)
    per_step = recipe.train.batch_size * recipe.train.accumulation * world
    return max(1, math.ceil(recipe.train.epochs * rows / per_step))


def world_size() -> int:
    """Processes of this run, as torchrun sets them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def choose_device(name: str) -> str:
    """`cpu` or `cuda`.

    Raises:
        InvalidInputError: if cuda is asked for and absent.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError("train.device = cuda: this torch sees no CUDA device")
    return name


def term_targets(recipe: Recipe, start: Start) -> TermTargets:
    """The targets of `loss.term`: BM25's weights, the starting encoder's, or a mixture (`loss.term_start`).

    Raises:
        InvalidInputError: if queries do not come from a table, which weighs the terms.
        CheckpointError: if the starting encoder is asked for and the base is none.
    """
    from splade_engine.training.teachers.lexical import TermTeacher

    table = start.student.table
    if table is None:
        raise InvalidInputError("loss.term weighs terms by the query table: it needs model.query = table")
    share = np.float32(recipe.loss.term_start)
    if share:
        encode = _starting_encoder(recipe, start.student.n_terms)
        if share == 1:
            return lambda ids, texts: encode(texts)
    vocabulary = start.documents.vocabulary(start.student.n_terms)
    idf = table.detach().clamp(min=0).numpy()
    lexical = TermTeacher(vocabulary, idf, start.documents.special_ids)
    if not share:
        return lambda ids, texts: lexical(ids)
    return lambda ids, texts: (1 - share) * lexical(ids) + share * encode(texts)


def _starting_encoder(recipe: Recipe, n_terms: int) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Texts to float32[M, V] by the base as it is, in the encoder's own engine: no padding, no gradients."""
    config = recipe.model
    checkpoint = read_checkpoint(*hub.resolve(config.base))
    device = choose_device(recipe.train.device)
    side = NeuralSide(checkpoint, n_terms, config.document_length, "", device, "auto")

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = side.encode(texts, batch_tokens=BATCH_TOKENS, top_k=None, progress=False).vectors
        dense: NDArray[np.float32] = rows.to_scipy().toarray()
        return dense

    return encode


def load_teachers(recipe: Recipe, sources: Sequence[Source]) -> list[Teacher]:
    """The recipe's teachers."""
    if not recipe.loss.teachers:
        return []
    from splade_engine.training.teachers.dense import load_teacher

    device = choose_device(recipe.train.device)
    return [
        load_teacher(name, device=device, documents=interleaved(sources)) for name in recipe.loss.teachers
    ]


def query_bank(recipe: Recipe, data: TrainingSet, teachers: Sequence[Teacher]) -> QueryBank | None:
    """The bank of `loss.bank`: the queries of every source but held-out ones; None where it is not asked for.

    Raises:
        InvalidInputError: if no teacher is dense, or queries are encoded and not looked up.
    """
    if not recipe.loss.bank:
        return None
    from splade_engine.training.teachers.query_bank import QueryBank

    dense = dense_teacher(recipe, teachers, "loss.bank")
    return QueryBank(_queries(data), dense, recipe.loss.bank_queries)


def dense_teacher(recipe: Recipe, teachers: Sequence[Teacher], what: str) -> DenseTeacher:
    """The first dense one; `what` needs it, and queries from a table.

    Raises:
        InvalidInputError: if either is missing.
    """
    from splade_engine.training.teachers.dense import DenseTeacher

    dense = next((teacher for teacher in teachers if isinstance(teacher, DenseTeacher)), None)
    if dense is None or recipe.model.query != "table":
        missing = "model.query = table" if dense else "a dense teacher in loss.teachers"
        raise InvalidInputError(f"recipe {recipe.name}: {what} needs {missing}")
    return dense


def _queries(data: TrainingSet) -> Iterator[str]:
    rng = np.random.default_rng(0)
    away = set(data.held_out_rows())
    for k, source in enumerate(data.sources):
        for i in range(len(source)):
            example = None if k == 0 and i in away else source.example(i, rng)
            if example is not None:
                yield example.query
