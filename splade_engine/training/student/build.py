"""From a recipe's model section to a student ready to train, with its tokenizers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from splade_engine.encoder.backbone import Backbone, load_backbone
from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.fast.dense_head import load_dense_head
from splade_engine.encoder.folders import hub
from splade_engine.encoder.folders.files import lowercases
from splade_engine.encoder.folders.reading import is_encoder, read_checkpoint
from splade_engine.encoder.phrases import PhraseTerms, WordTerms
from splade_engine.encoder.query_table import read_table
from splade_engine.encoder.settings import PHRASE_SETTINGS
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.files import digest_of_json
from splade_engine.training.data.collate import Collator
from splade_engine.training.data.idf import bm25_idf, document_frequencies
from splade_engine.training.data.opening import interleaved
from splade_engine.training.data.sources import Source
from splade_engine.training.digests import digests_of_models
from splade_engine.training.kept import keep, kept
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.student import preflight
from splade_engine.training.student.csr import build_csr
from splade_engine.training.student.lora import add_lora
from splade_engine.training.student.pairs import Pairs
from splade_engine.training.student.settings import encoder_settings, query_kind, table_source
from splade_engine.training.student.sparse import SparseStudent
from splade_engine.training.student.student import Student
from splade_engine.training.student.tower import Tower

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """A student ready to train."""

    # On the CPU, in float32.
    student: Student
    # The tokenizer of documents.
    documents: TextTokenizer
    # The tokenizer of queries.
    queries: TextTokenizer
    # What is put before every query, and before every document.
    prompts: tuple[str, str] = ("", "")
    # The terms of whole words, where the student has them.
    words: WordTerms | None = None

    def collator(self, group: int, *, texts: bool = False, near_duplicates: float = 1.0) -> Collator:
        """The collator that fits the student."""
        return Collator(
            self.queries,
            self.documents,
            group=group,
            query_special_tokens=not self.student.inference_free,
            echo=self.student.settings.kind == "echo",
            words=self.student.settings.kind == "deepimpact",
            whole=self.words,
            texts=texts,
            near_duplicates=near_duplicates,
            prompts=self.prompts,
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
        return Start(*build_csr(folder, name, config, interleaved(sources)))
    checkpoint = _read(config.base, config, config.document_length, sources, cache)
    backbone, tokenizer = _load(checkpoint, config, config.document_length, sources)
    special = tokenizer.special_ids.tolist()
    known = is_encoder(checkpoint.folder)
    settings = encoder_settings(config, checkpoint, config.document_length, encoder=known)
    documents = Tower(backbone, config, settings, special)
    if checkpoint.dense_head is not None:
        documents.dense_head = load_dense_head(checkpoint.dense_head)
        documents.dense_head.project.requires_grad_(True)
    queries = None
    table = None
    query_length = config.query_length
    kind = query_kind(config, checkpoint)
    if kind == "shared":
        query_length = preflight.length_of_queries(checkpoint.positions, checkpoint.name, query_length)
    query_tokenizer = TextTokenizer(
        checkpoint.model_folder, query_length, lowercase=checkpoint.settings.lowercase
    )
    if kind == "table":
        table = torch.from_numpy(_table(config, checkpoint, query_tokenizer, backbone.n_terms, sources))
    elif kind == "separate":
        base = checkpoint
        if config.query_base:
            base = _read(config.query_base, config, config.query_length, sources, cache)
        queries, query_tokenizer = _query_tower(base, config, backbone.n_terms, special, sources)
        phrases = {name: getattr(settings, name) for name in PHRASE_SETTINGS}  # those of the documents
        queries.settings = replace(queries.settings, **phrases)
    if config.lora_rank:
        for tower in (documents, queries):
            if tower is not None:
                model = tower.backbone.model
                add_lora(model, model.base_model, config.lora_rank, config.lora_alpha, config.lora_dropout)
    pairs = _pairs(documents, tokenizer, checkpoint.name)
    student = SparseStudent(documents, queries, table, config.learn_idf, pairs)
    prompts = (settings.query_prompt, settings.document_prompt)
    return Start(student, tokenizer, query_tokenizer, prompts, documents.words)


def _pairs(documents: Tower, tokenizer: TextTokenizer, name: str) -> Pairs | None:
    """The pairs that are trained, where the recipe wants that."""
    settings = documents.settings
    if not documents.config.learn_phrases:
        return None
    if settings.phrase_terms != "pairs":
        raise InvalidInputError(
            f"model.learn_phrases needs model.phrase_terms = pairs; that of {name} is {settings.phrase_terms}"
        )
    return Pairs(PhraseTerms(settings, tokenizer, documents.backbone.n_terms))


def _query_tower(
    base: Checkpoint, config: ModelConfig, n_terms: int, special: Sequence[int], sources: Sequence[Source]
) -> tuple[Tower, TextTokenizer]:
    """A query encoder of its own, from the query model of a base that has two."""
    if isinstance(base.query, Checkpoint):
        base = base.query
    length, known = config.query_length, is_encoder(base.folder)
    backbone, tokenizer = _load(base, config, length, sources)
    if backbone.n_terms != n_terms:
        raise CheckpointError(
            f"{base.name}: a query encoder over {backbone.n_terms} terms for documents over {n_terms}"
        )
    settings = encoder_settings(config, base, length, encoder=known, queries=True)
    return Tower(backbone, config, settings, special), tokenizer


def _read(base: str, config: ModelConfig, length: int, sources: Sequence[Source], cache: Path) -> Checkpoint:
    """The checkpoint to start from, or its aligned copy."""
    folder, name = hub.resolve(base)
    lowercase = lowercases(folder)
    if config.align:
        from splade_engine.training.student.alignment import aligned_checkpoint

        preflight.check_length(folder, name, length)
        base_digest = digest_of_json(list(digests_of_models([base]).values()))
        aligned = cache / f"aligned-{base_digest[:16]}"
        made_from = [base_digest, *(source.digests() for source in sources)]
        if not kept(aligned, made_from):
            aligned_checkpoint(folder, interleaved(sources), aligned)
            keep(aligned, made_from)
        folder = aligned
    elif (
        config.kind == "mlm"
        and (folder / "config.json").is_file()
        and not (folder / "modules.json").is_file()
    ):
        preflight.check_head(folder)
    checkpoint = read_checkpoint(folder, name)
    if config.align:  # the copy is a plain folder, which does not say so
        checkpoint = replace(checkpoint, settings=replace(checkpoint.settings, lowercase=lowercase))
    return checkpoint


def _load(
    checkpoint: Checkpoint, config: ModelConfig, length: int, sources: Sequence[Source]
) -> tuple[Backbone, TextTokenizer]:
    folder, name = checkpoint.model_folder, checkpoint.name
    if checkpoint.positions is not None and length > checkpoint.positions:
        raise InvalidInputError(f"{name} takes {checkpoint.positions} tokens, the recipe asks for {length}")
    backbone = load_backbone(checkpoint, "cpu", torch.float32)
    if config.dropout >= 0:
        for module in backbone.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = config.dropout
    tokenizer = TextTokenizer(checkpoint.model_folder, length, lowercase=checkpoint.settings.lowercase)
    if tokenizer.size > backbone.n_terms:
        raise CheckpointError(f"{folder}: {tokenizer.size} tokens for a decoder of {backbone.n_terms}")
    if config.preflight and config.kind == "mlm":
        texts = _some_documents(sources) or preflight.SENTENCES
        found = preflight.check_outlook(backbone, tokenizer, name, texts)
        logger.info("%s: %.0f terms a text, cosine %.3f at the start", name, found.terms, found.similarity)
    return backbone, tokenizer


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
    idf = table_source(config, checkpoint)
    if idf == "uniform":
        return np.ones(n_terms, np.float32)
    if idf == "base":
        if not isinstance(checkpoint.query, QueryTable):
            raise CheckpointError(f"{config.base}: model.idf = base, but the base model has no query table")
        if checkpoint.query.weights is None:
            return np.ones(n_terms, np.float32)
        return read_table(checkpoint.query.weights, tokenizer, n_terms, checkpoint.query.missing)
    if idf != "data":
        path = Path(idf)
        if not path.is_file():
            raise CheckpointError(
                f"model.idf {path}: no such file (auto, data, uniform and base are the other choices)"
            )
        return read_table(path, tokenizer, n_terms, config.idf_unseen)
    if not sources:
        raise InvalidInputError("model.idf = data needs training data to count")
    counts, total = document_frequencies(tokenizer, interleaved(sources), n_terms)
    if isinstance(checkpoint.query, QueryTable):
        logger.warning(
            "%s: its query table is replaced by one that is counted on %d documents (model.idf = data; "
            "`base` keeps it)",
            checkpoint.name,
            total,
        )
    logger.info("idf counted on %d documents", total)
    return bm25_idf(counts, total, config.idf_unseen)
