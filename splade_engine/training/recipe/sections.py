"""The sections of a `Recipe`: one frozen dataclass for each table of its TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from splade_engine.errors import InvalidInputError

Query = Literal["table", "shared", "separate"]
ModelKind = Literal["mlm", "scalar", "echo", "csr"]
Penalty = Literal["none", "flops", "df_flops", "l1"]
Candidates = Literal["all", "positives", "own", "own_and_positives", "negatives"]
SourceKind = Literal["auto", "jsonl", "beir", "ir_datasets", "ict", "bfs", "wlp"]


@dataclass(frozen=True)
class ModelConfig:
    """What is trained.

    Attributes:
        base: model folder or hub id to start from.
        kind: `mlm` (SPLADE), `scalar` (uniCOIL: one weight per input token), `echo` (causal model that reads
            its text twice), `csr` (sparse autoencoder over a frozen dense encoder).
        query: `table` (inference-free: token presence times idf), `shared` (the document encoder), `separate`
            (a second encoder).
        query_base: where the separate query encoder starts; empty: at `base`.
        idf: `data` counts document frequencies over the training documents, `uniform` is 1 for every token
            (SPLADE-doc's bag of words), `base` the table that the base model has, anything else a file:
            `idf.json` or `*.safetensors`.
        idf_unseen: weight of tokens that no training document holds (1.0 in OpenSearch's published idf.json).
        learn_idf: train the table, with `train.idf_lr`.
        pooling, activation, special_tokens: as in the encoder's `Checkpoint`.
        document_top_k, query_top_k: terms kept per vector; 0 keeps all.
        document_length, query_length: tokens per text.
        dropout: rate of every dropout layer; -1 keeps the base's own. On a CPU 0 is also about 1.5 times as
            fast: random numbers are drawn by one core, and attention has its fast path.
        preflight: look at the base model's outputs before training (see `preflight.py`).
        align: replace the vocabulary head by a closed-form alignment first (for encoders without a masked-LM
        head). lora_rank: train low-rank updates only (arXiv 2106.09685); 0 trains all weights.
        lora_alpha, lora_dropout: its scale (alpha / rank multiplies the update) and dropout.
        dense_head: a second head of the document encoder (`encoder/fast/dense_head.py`), fitted to the dense
            teacher before the first step; factor of its weights: about 5 brings them to the scale of BM25's.
            0: only where the base has one.
        dense_texts: queries and sentences that the head is fitted on.
        csr_*: see `csr.py`; factor: latents per input dimension.
    """

    base: str = ""
    kind: ModelKind = "mlm"
    query: Query = "shared"
    query_base: str = ""
    idf: str = "data"
    idf_unseen: float = 1.0
    learn_idf: bool = False
    pooling: Literal["max", "sum"] = "max"
    activation: Literal["log1p_relu", "log1p_log1p_relu", "relu"] = "log1p_relu"
    special_tokens: Literal["zero", "keep"] = "zero"
    document_top_k: int = 0
    query_top_k: int = 0
    document_length: int = 256
    query_length: int = 64
    dropout: float = -1.0
    preflight: bool = True
    align: bool = False
    lora_rank: int = 0
    lora_alpha: float = 8.0
    lora_dropout: float = 0.1
    dense_head: float = 0.0
    dense_texts: int = 350_000
    csr_factor: int = 4
    csr_k: int = 256
    csr_k_aux: int = 512
    csr_dead_after: int = 30
    csr_beta: float = 0.1
    csr_activation: Literal["relu", "relu_gelu"] = "relu"


@dataclass(frozen=True)
class SourceConfig:
    """One source of examples.

    Attributes:
        path: a JSONL file, a BEIR folder or an ir_datasets id; for ict, bfs and wlp a JSONL collection.
        weight: its share of the mixture, relative to the other sources; 0 means its number of examples.
        kind: `auto` tells by what is at `path`.
        corpus, queries: collections in which a JSONL file's ids are looked up.
        negatives: mined negatives of a BEIR folder (JSONL with query_id and negative_ids).
    """

    path: str
    weight: float = 0.0
    kind: SourceKind = "auto"
    corpus: str | None = None
    queries: str | None = None
    negatives: str | None = None

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise InvalidInputError(
                f"{self.path}: the weight of a source cannot be negative, got {self.weight}"
            )


@dataclass(frozen=True)
class DataConfig:
    """Which examples, in which order.

    Attributes:
        sources: the mixture.
        negatives: hard negatives per query; rows with fewer are padded, the padding takes no part.
        one_source_per_batch: in-batch negatives come from the same source (harder, and no cross-domain
        shortcut). held_out: queries kept out of training for the quick nDCG@10; 0 for none.
        ngame_steps: cluster the coming examples by their current embeddings every so many steps, so that
            batches hold similar queries (NGAME, WSDM 2023); 0 is off.
        refresh_steps: mine new hard negatives with the current model every so many steps (ANCE); 0 is off.
        refresh_depth: negatives are drawn from this many best hits.
        refresh_documents: documents of the pool that is searched.
        check_rows: rows read before training starts, so that a bad one is not found hours later.
    """

    sources: tuple[SourceConfig, ...] = ()
    negatives: int = 0
    one_source_per_batch: bool = True
    held_out: int = 200
    ngame_steps: int = 0
    refresh_steps: int = 0
    refresh_depth: int = 50
    refresh_documents: int = 20_000
    check_rows: int = 100_000


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss parts (0 leaves one out) and their settings; formulas in `losses.py`.

    Attributes:
        contrastive, candidates, temperature: InfoNCE.
        pairwise: pairwise negative log-likelihood over the own negatives.
        margin_mse, margin_pairs: MarginMSE.
        kl, kl_temperature, kl_rescale, kl_candidates: KL to the teachers.
        term, term_surplus: distance of every document weight from a lexical target, see
            `lexical.TermTeacher`; term_surplus weighs terms that have none.
        term_start: share of the weights that the base gives the document in that target; 1: it alone, so that
            other losses do not undo what it has learned.
        bank, bank_queries, bank_scale: KL to the teachers over further queries for the batch's documents, see
            `query_bank.py`: its weight, queries per document, range of the normalised ensemble.
        embed: 1 - cosine of the dense head's embeddings with the dense teacher's.
        self_weight, self_decay: KL to the moving average of the model itself.
        teachers: scored on the fly, see `teachers.py`; empty: the scores in the data.
        teacher_weights: their shares; empty: equal.
        teacher_scale: range of the normalised ensemble; 0 leaves a single teacher's scores as they are.
    """

    contrastive: float = 1.0
    candidates: Candidates = "all"
    temperature: float = 1.0
    pairwise: float = 0.0
    margin_mse: float = 0.0
    margin_pairs: Literal["first", "all"] = "first"
    kl: float = 0.0
    kl_temperature: float = 1.0
    kl_rescale: bool = False
    kl_candidates: Literal["own", "all"] = "own"
    term: float = 0.0
    term_surplus: float = 0.3
    term_start: float = 0.0
    bank: float = 0.0
    bank_queries: int = 6
    bank_scale: float = 15.0
    embed: float = 0.0
    self_weight: float = 0.0
    self_decay: float = 0.999
    teachers: tuple[str, ...] = ()
    teacher_weights: tuple[float, ...] = ()
    teacher_scale: float = 0.0


@dataclass(frozen=True)
class RegularizerConfig:
    """Penalties on the term weights; formulas in `regularizers.py`.

    Attributes:
        document, document_lambda, document_threshold: kind, weight and l0 mask (0: none) of the document
        side. query, query_lambda, query_threshold: the same of the query side; ignored for a table.
        reduction: of FLOPS; published lambdas only hold with their own reduction.
        idf_in_flops: multiply each term's mean by its idf.
        df_half, df_steepness, df_refresh: DF-FLOPS; document frequencies are renewed every df_refresh steps.
        joint_lambda: query-document FLOPS.
        anti_collapse: weight of the term that is infinite at all-zero vectors.
        ramp, ramp_steps, ramp_share: how the lambdas grow; ramp_steps 0 takes ramp_share of all steps.
    """

    document: Penalty = "flops"
    document_lambda: float = 0.0
    document_threshold: int = 0
    query: Penalty = "none"
    query_lambda: float = 0.0
    query_threshold: int = 0
    reduction: Literal["flat", "per_slot"] = "flat"
    idf_in_flops: bool = False
    df_half: float = 0.1
    df_steepness: float = 10.0
    df_refresh: int = 100
    joint_lambda: float = 0.0
    anti_collapse: float = 0.0
    ramp: Literal["quadratic", "linear", "constant"] = "quadratic"
    ramp_steps: int = 0
    ramp_share: float = 0.33


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation.

    Attributes:
        steps: optimiser steps; 0 takes `epochs`.
        epochs: passes over the data where steps is 0.
        batch_size: queries per device and micro-batch: the pool of in-batch negatives.
        accumulation: micro-batches per optimiser step.
        lr, idf_lr, weight_decay, warmup_steps, warmup_share, scheduler, max_grad_norm: AdamW; warmup_steps 0
            takes warmup_share of all steps; max_grad_norm 0 does not clip.
        precision: `auto` is bf16 on a GPU that has it, else float32.
        seed: of weights, order, mixture and dropout.
        device: `auto`, `cpu` or `cuda`.
        log_steps, save_steps: 0 saves at the end only.
        keep: checkpoints kept.
        collapse_below: mean terms per document under which the run stops; 0 never stops.
        workers: processes that read ahead.
    """

    steps: int = 0
    epochs: float = 1.0
    batch_size: int = 32
    accumulation: int = 1
    lr: float = 2e-5
    idf_lr: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 0
    warmup_share: float = 0.06
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    max_grad_norm: float = 1.0
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    seed: int = 42
    device: Literal["auto", "cpu", "cuda"] = "auto"
    log_steps: int = 20
    save_steps: int = 500
    keep: int = 2
    collapse_below: float = 5.0
    workers: int = 0


@dataclass(frozen=True)
class ProbeConfig:
    """The quick nDCG@10 during training.

    Attributes:
        every: steps between two measurements; 0 measures at the end only.
        documents: of the held-out pool: the judged ones and others up to this number.
        data: a BEIR folder with `qrels/test.tsv` to measure on instead of held-out training queries.
        keep_best: also keep the model of the best measurement, in `best/`.
    """

    every: int = 500
    documents: int = 2_000
    data: str = ""
    keep_best: bool = False
