"""The sections of a `Recipe` beside the objective's: one frozen dataclass for each table of its TOML file.

The comment above a field is its documentation: `splade-engine train --show` and docs/recipe.md print it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from splade_engine.training.fields import bounded

Query = Literal["auto", "table", "shared", "separate"]
ModelKind = Literal["mlm", "scalar", "deepimpact", "echo", "csr"]
SourceKind = Literal["auto", "jsonl", "beir", "ir_datasets", "ict", "bfs", "wlp"]


@dataclass(frozen=True)
class ModelConfig:
    """What is trained."""

    # Model folder or hub id to start from.
    base: str = ""
    # `mlm` is SPLADE, `scalar` is uniCOIL (one weight per input token), and `deepimpact` gives one weight per
    # word, by two layers on the word's first piece. `echo` is a causal model that reads its text twice, and
    # `csr` is a sparse autoencoder over a frozen dense encoder.
    kind: ModelKind = "mlm"
    # How queries are encoded. `table` needs no model (token presence times idf), `shared` uses the document
    # encoder, and `separate` trains a second encoder. `auto` does as the base does.
    query: Query = "auto"
    # Where the separate query encoder starts. Empty: at `base`.
    query_base: str = ""
    # Where the query table comes from. `data` counts document frequencies over the training documents.
    # `uniform` is 1 for every token (SPLADE-doc's bag of words). `base` is the table of the base model.
    # `auto` is `base` if the base has a table, else `data`. Anything else is a file, `idf.json` or
    # `*.safetensors`.
    idf: str = "auto"
    # Weight of tokens that no training document holds (1.0 in OpenSearch's published idf.json).
    idf_unseen: float = 1.0
    # Train the table, with `train.idf_lr`.
    learn_idf: bool = False
    # How the terms of a text's tokens become one vector. `auto` does as the base does, or else takes `max`.
    pooling: Literal["auto", "max", "sum"] = "auto"
    # What turns a pooled logit into a term weight. `auto` takes what the base has, or else `log1p_relu`.
    # `relu_gelu` is relu with gelu's gradient, so that terms below zero can come to life (arXiv 2403.12459).
    # `sparsemax` is log1p_relu lowered by one threshold per text, so that its weights sum to at most
    # `sparsemax_mass` (arXiv 1602.02068).
    activation: Literal["auto", "log1p_relu", "log1p_log1p_relu", "relu", "relu_gelu", "sparsemax"] = "auto"
    # What the weights of a text sum to at most, with the activation `sparsemax`. 0: as in the base, or else
    # 30.
    sparsemax_mass: float = bounded(0.0, low=0, high=1e5)
    # Whether special tokens such as [CLS] may have a weight. `auto` does as the base does, or else takes
    # `zero`.
    special_tokens: Literal["auto", "zero", "keep"] = "auto"
    # Terms kept per document. 0 keeps all, and -1 as many as the base does.
    document_top_k: int = bounded(-1, low=-1)
    # Terms kept per query, wherever queries come from. 0 keeps all, and -1 as many as the base does. If the
    # base does not say, -1 keeps as many as of a document.
    query_top_k: int = bounded(-1, low=-1)
    # Document terms that are lighter than this are not stored. -1 takes the base's own limit. Training sees
    # all weights, so that a term can grow. What is measured and saved leaves the light ones out.
    min_weight: float = bounded(-1.0, low=-1, high=99)
    # What a token weighs that stands in a query twice, where queries come from a table. `presence`: as much
    # as once. `counts`: twice as much. `auto`: as in the base.
    query_counts: Literal["auto", "presence", "counts"] = "auto"
    # Terms of several tokens. `pairs` are neighbouring tokens beside the single ones, and the finished
    # encoder makes them of these. `words` of several pieces replace their pieces; they need `deepimpact`,
    # which is trained on them. `auto` does as the base does, or else takes `none`.
    phrase_terms: Literal["auto", "none", "pairs", "words"] = "auto"
    # Train with the pairs too, so that the loss sees them. Their factor is then learned with `train.idf_lr`
    # (after Sparc, arXiv 1911.02896).
    learn_phrases: bool = False
    # Tokens per document while training.
    document_length: int = bounded(256, low=3)
    # Tokens per query while training.
    query_length: int = bounded(64, low=3)
    # Tokens per text that the finished encoder reads. 0 takes the base's own limit if it is a sparse encoder
    # already, or else `document_length`.
    max_length: int = bounded(0, low=0)
    # Rate of every dropout layer; -1 keeps the base's own. On a CPU, 0 is also about 1.5 times as fast,
    # because random numbers are drawn by one core and because attention has its fast path only then.
    dropout: float = bounded(-1.0, low=-1, high=1)
    # Look at the base model's outputs before training (`student/preflight.py`).
    preflight: bool = True
    # Replace the vocabulary head first by an alignment in closed form, for encoders without a masked-LM head.
    align: bool = False
    # Train only low-rank updates of this rank (arXiv 2106.09685). 0 trains all weights.
    lora_rank: int = bounded(0, low=0)
    # Scale of the low-rank updates, which are multiplied by alpha / rank.
    lora_alpha: float = 8.0
    # Dropout of the low-rank updates.
    lora_dropout: float = bounded(0.1, low=0, high=1)
    # The factor of the weights of a second head of the document encoder, which is fitted to the dense teacher
    # before the first step. About 5 brings its weights to the scale of BM25's. 0: a second head only if the
    # base has one.
    dense_head: float = bounded(0.0, low=0)
    # Queries and sentences that the second head is fitted on.
    dense_texts: int = bounded(350_000, low=1)
    # CSR: latents per input dimension (`student/csr.py`).
    csr_factor: int = bounded(4, low=1)
    # CSR: latents kept per text. 0 keeps all that are above zero (non-negative contrastive learning).
    csr_k: int = bounded(256, low=0)
    # CSR: how many dead latents take part in the term that brings them back. 0: there is no such term.
    csr_k_aux: int = bounded(512, low=0)
    # CSR: batches without firing after which a latent is dead.
    csr_dead_after: int = bounded(30, low=0)
    # CSR: where the latents start. `random`, or `data`: in the span of the embeddings of training documents.
    # That leaves fewer latents unused and scored lower (Cranfield, k = 32, 150 steps: 1,364 unused instead of
    # 1,462, and nDCG@10 .152 instead of .185).
    csr_init: Literal["random", "data"] = "random"
    # CSR: weight of the reconstruction. 0 leaves the contrastive loss alone (non-negative contrastive
    # learning).
    csr_reconstruction: float = bounded(1.0, low=0)
    # CSR: weight of the dead-latent term.
    csr_beta: float = bounded(0.1, low=0)
    # CSR: `relu`, or `relu_gelu` for gelu's gradient (arXiv 2403.12459).
    csr_activation: Literal["relu", "relu_gelu"] = "relu"


@dataclass(frozen=True)
class SourceConfig:
    """One source of examples."""

    # A JSONL file, a BEIR folder or an ir_datasets id. For ict, bfs and wlp, a JSONL collection, or a folder
    # of Markdown, HTML and other files; wlp follows the links of such files.
    path: str
    # Its share of the mixture, relative to the other sources. 0: its number of examples.
    weight: float = bounded(0.0, low=0)
    # What kind of source it is. `auto` finds out by what is at `path`.
    kind: SourceKind = "auto"
    # Collection in which a JSONL file's document ids are looked up.
    corpus: str | None = None
    # Queries in which a JSONL file's query ids are looked up.
    queries: str | None = None
    # Mined negatives of a BEIR folder: JSONL with query_id and negative_ids.
    negatives: str | None = None
    # For wlp, the field of a JSONL collection with the list of ids of the pages that a page is linked with.
    links: str = "links"


@dataclass(frozen=True)
class DataConfig:
    """Which examples, in which order."""

    # The mixture.
    sources: tuple[SourceConfig, ...] = ()
    # Hard negatives per query. Rows with fewer are padded, and the padding takes no part in the loss.
    negatives: int = bounded(0, low=0)
    # In-batch negatives come from the same source. They are harder then, and the source gives no hint at the
    # answer.
    one_source_per_batch: bool = True
    # A document of the batch is no negative of a query if it shares at least this much of its tokens with the
    # query's positive (Jaccard). 1: only if its text is the same.
    near_duplicates: float = bounded(0.9, low=0.5, high=1)
    # Queries kept out of training for the quick nDCG@10; 0 for none.
    held_out: int = bounded(200, low=0)
    # Cluster the coming examples by their current embeddings every so many steps, so that batches hold
    # similar queries (NGAME, WSDM 2023). 0 never does.
    ngame_steps: int = bounded(0, low=0)
    # Mine new hard negatives with the current model every so many steps (ANCE, arXiv 2007.00808). 0 never
    # does.
    refresh_steps: int = bounded(0, low=0)
    # Mine them in a process of its own while training goes on, as published. They are then mined with the
    # weights of refresh_steps steps ago, and the data's own negatives serve up to the first renewal.
    refresh_beside: bool = False
    # New negatives are drawn from this many best hits.
    refresh_depth: int = bounded(50, low=1)
    # Documents of the pool that is searched for new negatives.
    refresh_documents: int = bounded(20_000, low=1)
    # Rows read before training starts, so that a bad one is not found hours later.
    check_rows: int = bounded(100_000, low=0)


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation: AdamW."""

    # Optimiser steps. 0 takes `epochs`.
    steps: int = bounded(0, low=0)
    # Passes over the data, if steps is 0.
    epochs: float = bounded(1.0, low=0)
    # Queries per device and micro-batch. They are the pool of in-batch negatives.
    batch_size: int = bounded(32, low=1)
    # Micro-batches per optimiser step.
    accumulation: int = bounded(1, low=1)
    # Learning rate.
    lr: float = bounded(2e-5, low=0)
    # Learning rate of the query table, and of the factor of pairs, if they are learned.
    idf_lr: float = bounded(1e-3, low=0)
    # Weight decay of everything but biases, norms and the query table.
    weight_decay: float = bounded(0.01, low=0)
    # Steps over which the learning rate rises. 0 takes warmup_share of all steps.
    warmup_steps: int = bounded(0, low=0)
    # Share of all steps over which the learning rate rises, if warmup_steps is 0.
    warmup_share: float = bounded(0.06, low=0)
    # How the learning rate falls after that.
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    # Gradients are scaled down to this norm; 0 does not clip.
    max_grad_norm: float = bounded(1.0, low=0)
    # Precision of the computation. `auto` is bf16 on a GPU that has it, else float32.
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    # Seed of the weights, the order, the mixture and the dropout.
    seed: int = bounded(42, low=0)
    # Where to train; `auto` takes a GPU if there is one.
    device: Literal["auto", "cpu", "cuda"] = "auto"
    # Steps between two lines of the log.
    log_steps: int = bounded(20, low=1)
    # Steps between two checkpoints. 0: only the clock decides.
    save_steps: int = bounded(500, low=0)
    # Minutes after which a checkpoint is written whatever the step; Ctrl-C writes one too. 0: only steps
    # decide. If both are 0, none is ever written.
    save_minutes: float = bounded(5.0, low=0)
    # Checkpoints kept.
    keep: int = bounded(2, low=0)
    # Mean terms per document below which the run stops. 0 never stops it.
    collapse_below: float = bounded(5.0, low=0)
    # Processes that read ahead.
    workers: int = bounded(0, low=0)

    def warmup(self, steps: int) -> int:
        """Over how many steps, of a run of `steps`, the learning rate rises."""
        return self.warmup_steps or round(self.warmup_share * steps)


@dataclass(frozen=True)
class ProbeConfig:
    """The quick nDCG@10 during training."""

    # Steps between two measurements. 0 measures only before the first step and at the end.
    every: int = bounded(500, low=0)
    # Documents of the held-out pool: the judged ones, and others up to this number.
    documents: int = bounded(2_000, low=0)
    # A BEIR folder with `qrels/test.tsv` to measure on instead of held-out training queries.
    data: str = ""
    # Also keep the model of the best measurement, in `best/`. If no step was better than the start, there is
    # none.
    keep_best: bool = False
    # Stop the run when the held-out nDCG@10 has fallen by this much since the start. 0 only warns of a fall.
    stop_below: float = bounded(0.0, low=0, high=1)
