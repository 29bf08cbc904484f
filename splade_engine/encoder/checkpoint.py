"""`Checkpoint`: what a model folder holds and how its vectors are made. Torch-free.

Kinds that are told apart (papers behind them in brackets):

- `mlm`     a masked language model pooled over its tokens: SPLADE, SPLADE++, Efficient-SPLADE [2107.05720,
            2109.10086], OpenSearch doc-v1/v2/v3 beside an `idf.json` [2411.04403, 2504.14839]
- `csr`     a dense embedding through a k-sparse autoencoder [2503.01776]
- `echo`    a causal language model that reads its input twice and pools the second copy [2408.11119]
- `scalar`  one weight per input token, no expansion: uniCOIL [2106.14807], DeepImpact [2104.12016]

A folder says what it is by, in this order: a `splade_engine` section in config.json (our own formats),
`modules.json` (sentence-transformers, see `modules.py`), the architecture in config.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from splade_engine.encoder.folders.files import (
    DEFAULT_MAX_LENGTH,
    existing,
    max_length_of,
    positions_of,
    read_json,
    require_weights,
    tensor_names,
)
from splade_engine.errors import CheckpointError

Kind = Literal["mlm", "csr", "echo", "scalar"]
Pooling = Literal["max", "sum"]
Activation = Literal["log1p_relu", "log1p_log1p_relu", "relu"]
SpecialTokens = Literal["keep", "zero"]
LongTexts = Literal["cut", "windows"]

# Echo embeddings [2402.15449] repeat the input; Mistral-SPLADE pools over the second copy [2408.11119]
DEFAULT_ECHO = "{text}\n{text}"
_ECHO_TEMPLATE = 16  # tokens kept free for what stands around the two copies


DENSE_HEAD = "dense_head.safetensors"
"""The file of a second head in folders of ours."""


@dataclass(frozen=True)
class QueryTable:
    """The inference-free query side: a tokenizer and one weight per vocabulary entry.

    Attributes:
        folder: where the tokenizer is.
        weights: `*.safetensors` with one float tensor of shape (V,), a JSON file {token: weight}, or None:
            every token counts 1.
        missing: weight of tokens that a JSON table does not name (1.0 in OpenSearch's code, 0.0 in
            sentence-transformers).
        counts: a token that stands in a query n times weighs n times as much; else presence counts.
        top_k: tokens kept of a query, the heaviest; None keeps all.
    """

    folder: Path
    weights: Path | None
    missing: float = 0.0
    counts: bool = False
    top_k: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.counts, bool):
            raise CheckpointError(f"{self.folder}: query_counts is {self.counts!r}, not true or false")
        if self.top_k is not None and (not isinstance(self.top_k, int) or self.top_k < 1):
            raise CheckpointError(f"{self.folder}: query_top_k must be at least 1, got {self.top_k!r}")


@dataclass(frozen=True)
class DensePooling:
    """How a `csr` checkpoint makes one dense vector of its token states."""

    mode: Literal["mean", "cls", "max", "lasttoken", "mean_sqrt_len_tokens"] = "mean"
    normalize: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """A model folder that `SparseEncoder` can run.

    Attributes:
        folder: the root that was given.
        name: the hub id or the folder's name.
        kind: see the module docstring.
        model_folder: where config.json, weights and tokenizer of the document side are.
        max_length: tokens per text, special tokens included.
        positions: the longest input that the model can take, None where it has no limit.
        pooling: over token positions.
        activation: `log1p_relu` is log(1 + relu(x)), `log1p_log1p_relu` is log(1 + log(1 + relu(x))).
        special_tokens: `zero` removes [CLS], [SEP] and their like from the output vectors.
        top_k: terms kept per vector; None keeps all.
        min_weight: terms that weigh less are dropped from documents (and from queries that are encoded like
            documents): many, and worth next to nothing.
        long_texts: `cut` at max_length, or encoded in `windows` of max_length tokens, of which each term's
            largest weight counts.
        document_prompt, query_prompt: put before every text.
        lowercase: lowercase texts before the tokenizer sees them.
        query: a `QueryTable` (inference-free), another checkpoint, or None (queries like documents).
        quantized: weights in the compact format of `quantized.py`.
        autoencoder: folder of the sparse autoencoder (`csr`).
        dense: pooling before the autoencoder (`csr`).
        dense_head: file of the document side's second head, see `dense_head.py`.
        echo: input template with two `{text}` (`echo`).
        head_prefix: `tok_proj` (uniCOIL) or `impact_score_encoder` (DeepImpact) (`scalar`).
    """

    folder: Path
    name: str
    kind: Kind
    model_folder: Path
    max_length: int
    positions: int | None = None
    pooling: Pooling = "max"
    activation: Activation = "log1p_relu"
    special_tokens: SpecialTokens = "keep"
    top_k: int | None = None
    min_weight: float = 0.0
    long_texts: LongTexts = "cut"
    document_prompt: str = ""
    query_prompt: str = ""
    lowercase: bool = False
    query: QueryTable | Checkpoint | None = None
    quantized: bool = False
    autoencoder: Path | None = None
    dense: DensePooling | None = None
    dense_head: Path | None = None
    echo: str = DEFAULT_ECHO
    head_prefix: str = ""

    def __post_init__(self) -> None:
        for field, value, allowed in (
            ("kind", self.kind, get_args(Kind)),
            ("pooling", self.pooling, get_args(Pooling)),
            ("activation", self.activation, get_args(Activation)),
            ("special_tokens", self.special_tokens, get_args(SpecialTokens)),
            ("long_texts", self.long_texts, get_args(LongTexts)),
        ):
            if value not in allowed:
                raise CheckpointError(f"{self.folder}: {field} {value!r} is not one of {', '.join(allowed)}")
        if self.max_length < 3:
            raise CheckpointError(f"{self.folder}: max_length {self.max_length} leaves no room for a token")
        if self.top_k is not None and self.top_k < 1:
            raise CheckpointError(f"{self.folder}: top_k must be at least 1, got {self.top_k}")
        if not isinstance(self.min_weight, int | float) or not 0 <= self.min_weight < 100:
            raise CheckpointError(f"{self.folder}: min_weight must be at least 0, got {self.min_weight!r}")
        if self.long_texts == "windows" and (self.kind != "mlm" or self.pooling != "max"):
            raise CheckpointError(f"{self.folder}: long_texts = windows needs a masked LM pooled by max")
        if self.dense_head is not None and self.kind != "mlm":
            raise CheckpointError(f"{self.folder}: a dense head beside a masked-LM head only")
        if self.kind == "echo" and self.echo.count("{text}") != 2:
            raise CheckpointError(f"{self.folder}: the echo template needs {{text}} twice, got {self.echo!r}")

    def files(self) -> list[Path]:
        """Every file that decides what vectors come out, sorted; what the fingerprint hashes."""
        wanted: set[Path] = set()
        for folder in {self.model_folder, *([self.autoencoder] if self.autoencoder else [])}:
            wanted |= {p for p in folder.iterdir() if p.is_file() and _decides(p)}
        if isinstance(self.query, QueryTable):
            wanted |= {p for p in self.query.folder.iterdir() if p.is_file() and _decides(p)}
            wanted |= {self.query.weights} if self.query.weights else set()
        elif self.query is not None:
            wanted |= set(self.query.files())
        return sorted(wanted)


def _decides(path: Path) -> bool:
    return path.suffix == ".safetensors" or path.name in {
        "config.json",
        "tokenizer.json",
        "vocab.txt",
        "sentencepiece.bpe.model",
        "tokenizer.model",
        "spiece.model",
    }


def read_checkpoint(folder: Path, name: str | None = None) -> Checkpoint:
    """Recognise the checkpoint in `folder`.

    Raises:
        CheckpointError: if it is none of the known kinds, or a file that it needs is missing or broken.
    """
    from splade_engine.encoder.folders.sentence_transformers import read_modules  # it needs the helpers below

    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    name = name or folder.resolve().name
    if (folder / "modules.json").is_file():
        return read_modules(folder, name)
    if pair := _pair(folder):
        document, query = (read_checkpoint(p, name) for p in pair)
        return replace(document, folder=folder, query=query)
    config = read_json(folder / "config.json")
    if "splade_engine" in config:
        return _own(folder, name, config)
    checkpoint = _transformers(folder, name, config)
    if folder.resolve().name.endswith("-doc"):  # Efficient-SPLADE: two repositories side by side
        sibling = folder.resolve().with_name(folder.resolve().name.removesuffix("-doc") + "-query")
        if (sibling / "config.json").is_file():
            return replace(checkpoint, query=read_checkpoint(sibling))
    return checkpoint


def _pair(folder: Path) -> tuple[Path, Path] | None:
    """The two halves of a folder that holds one model for documents and one for queries."""
    if (folder / "config.json").exists():
        return None
    for document in ("document", "doc"):
        if (folder / document).is_dir() and (folder / "query").is_dir():
            return folder / document, folder / "query"
    return None


def _own(folder: Path, name: str, config: dict[str, Any]) -> Checkpoint:
    """A folder whose config.json says in a `splade_engine` section how its vectors are made."""
    section = dict(config["splade_engine"])
    version = section.pop("format", 1)
    if version != 1:
        raise CheckpointError(
            f"{folder / 'config.json'}: splade_engine format {version}, this release reads 1"
        )
    name = section.pop("name", name)
    query = section.pop("query_weights", None)
    options = {"counts": section.pop("query_counts", False), "top_k": section.pop("query_top_k", None)}
    section.pop("scheme", None)
    dense = section.pop("dense", None)
    head = section.pop("dense_head", None)
    known = {f for f in Checkpoint.__dataclass_fields__ if f not in {"folder", "model_folder", "query"}}
    if unknown := sorted(set(section) - known):
        raise CheckpointError(f"{folder / 'config.json'}: unknown splade_engine setting {unknown[0]!r}")
    section.setdefault("max_length", max_length_of(folder, config))
    section.setdefault("kind", "mlm")
    section.setdefault("positions", positions_of(config))
    require_weights(folder)
    return Checkpoint(
        folder=folder,
        name=name,
        model_folder=folder,
        query=QueryTable(folder, existing(folder / query), **options) if query else None,
        dense=DensePooling(**dense) if dense else None,
        dense_head=existing(folder / head) if head else None,
        **section,
    )


def _transformers(folder: Path, name: str, config: dict[str, Any]) -> Checkpoint:
    """A plain transformers folder: masked LM (with or without a query table), causal LM or scalar head."""
    require_weights(folder)
    base = Checkpoint(folder, name, "mlm", folder, max_length_of(folder, config), positions_of(config))
    architectures = config.get("architectures") or []
    head = _scalar_head(folder)
    if head:
        base = replace(base, kind="scalar", head_prefix=head, activation="relu", special_tokens="zero")
        if head.endswith(
            "tok_proj"
        ):  # uniCOIL: a repeated token counts once in a document, adds up in a query
            return replace(base, query=replace(base, pooling="sum"))
        return replace(base, query=QueryTable(folder, None))
    if any(a.endswith(("ForCausalLM", "LMHeadModel")) for a in architectures):
        half = None if base.positions is None else max((base.positions - _ECHO_TEMPLATE) // 2, 3)
        limit = min(base.max_length, DEFAULT_MAX_LENGTH, half or DEFAULT_MAX_LENGTH)
        return replace(base, kind="echo", positions=half, max_length=limit)
    if not any(a.endswith("ForMaskedLM") for a in architectures):
        raise CheckpointError(
            f"{folder / 'config.json'}: architectures {architectures} is neither a masked nor a causal "
            "language model, and there is no scalar head (tok_proj) in the weights"
        )
    table = _opensearch_table(folder)
    if table is None:
        return base
    # OpenSearch zeroes special tokens on both sides; v3 was trained with the second log1p [2504.14839]
    third = _is_opensearch_v3(folder, name, config)
    return replace(
        base,
        special_tokens="zero",
        activation="log1p_log1p_relu" if third else "log1p_relu",
        query=QueryTable(folder, table, missing=1.0),
    )


def _opensearch_table(folder: Path) -> Path | None:
    for file in ("idf.json", "query_token_weights.txt"):
        if (folder / file).is_file():
            return folder / file
    return None


def _is_opensearch_v3(folder: Path, name: str, config: Mapping[str, Any]) -> bool:
    """doc-v3 says so in its name only: the hub id, the folder, or the title of its model card."""
    title = ""
    readme = folder / "README.md"
    if readme.is_file():
        match = re.search(r"^# (.+)$", readme.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        title = match.group(1) if match else ""
    names = (name, str(config.get("_name_or_path", "")), title)
    return any(re.search(r"doc-v3\b", n) for n in names)


def _scalar_head(folder: Path) -> str:
    """Prefix of the scalar head among the tensor names, or an empty string."""
    for key in tensor_names(folder):
        for prefix in ("tok_proj", "impact_score_encoder"):
            if re.search(rf"(^|\.){prefix}\.(0\.)?weight$", key):
                return key[: key.index(prefix) + len(prefix)]
    return ""
