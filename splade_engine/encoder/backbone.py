"""`Backbone`: a transformer seen as the three steps that learned sparse retrieval needs.

    hidden    = backbone.hidden(input_ids, attention_mask)      (B, L, H)   contextual token states
    states    = backbone.transform(hidden)                      (..., H)    the head before the vocabulary
    logits    = states @ backbone.decoder_weight.T + backbone.decoder_bias

The last product is left to the caller on purpose: its result is batch x tokens x vocabulary, 31 MB for one
document of 256 tokens in float32 at V = 30,522, and nobody needs it whole. Inference pools it chunk by chunk,
training keeps the argmax only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from splade_engine.encoder.folders.config import ACTIVATIONS, CONFIG, read_config
from splade_engine.encoder.folders.weights import bias_of_head, check_finite, is_of_a_layer, tell_of_unused
from splade_engine.encoder.quiet import quiet_transformers
from splade_engine.encoder.refusing import refusing
from splade_engine.errors import CheckpointError

if TYPE_CHECKING:
    from splade_engine.encoder.checkpoint import Checkpoint
    from splade_engine.encoder.place import Place

Head = tuple[Callable[[Tensor], Tensor], nn.Linear]


class Backbone(nn.Module):
    """A masked or causal language model split into body, head transform and vocabulary decoder.

    Attributes:
        model: the transformers model; its parameters are this module's parameters, so that optimisers,
            `state_dict` and `save_pretrained` see the usual names.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model
        body = getattr(model, "base_model", model)
        transform, decoder = _split_head(model)
        # plain attributes, not submodules: their parameters are registered once, under `model`
        object.__setattr__(self, "_body", body)
        object.__setattr__(self, "_transform", transform)
        object.__setattr__(self, "_decoder", decoder)

    def hidden(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Contextual states float[B, L, H] of int64[B, L] token ids, right-padded where the mask is 0."""
        body: Any = self.__dict__["_body"]
        states: Tensor = body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states

    def transform(self, hidden: Tensor) -> Tensor:
        """The head between the body and the vocabulary: float[..., H] to float[..., H]."""
        transform: Callable[[Tensor], Tensor] = self.__dict__["_transform"]
        return transform(hidden)

    @property
    def decoder_weight(self) -> Tensor:
        """float[V, H]: one row per vocabulary entry (usually tied to the input embeddings)."""
        decoder: nn.Linear = self.__dict__["_decoder"]
        return decoder.weight

    @property
    def decoder_bias(self) -> Tensor:
        """float[V]; zeros for a head without bias."""
        decoder: nn.Linear = self.__dict__["_decoder"]
        if decoder.bias is None:
            return decoder.weight.new_zeros(decoder.weight.shape[0])
        return decoder.bias

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return int(self.decoder_weight.shape[0])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """States before the vocabulary, float[B, L, H]: `transform(hidden(...))`."""
        return self.transform(self.hidden(input_ids, attention_mask))


def _split_head(model: Any) -> Head:
    """The head transform and the decoder of a transformers language model.

    Raises:
        CheckpointError: if the architecture's head is none of the known shapes.
    """
    predictions = getattr(getattr(model, "cls", None), "predictions", None)
    if predictions is not None and hasattr(predictions, "transform"):  # BERT, DeBERTa (legacy head)
        return predictions.transform, predictions.decoder
    if hasattr(model, "vocab_projector"):  # DistilBERT

        def distil(states: Tensor) -> Tensor:
            out: Tensor = model.vocab_layer_norm(model.activation(model.vocab_transform(states)))
            return out

        return distil, model.vocab_projector
    if hasattr(model, "generator_lm_head"):  # ELECTRA
        return model.generator_predictions, model.generator_lm_head
    if hasattr(model, "predictions") and hasattr(model.predictions, "decoder"):  # ALBERT
        p = model.predictions

        def albert(states: Tensor) -> Tensor:
            out: Tensor = p.LayerNorm(p.activation(p.dense(states)))
            return out

        return albert, p.decoder
    lm_head: Any = getattr(model, "lm_head", None)
    if hasattr(lm_head, "layer_norm"):  # RoBERTa, XLM-R, CamemBERT, MPNet

        def roberta(states: Tensor) -> Tensor:
            out: Tensor = lm_head.layer_norm(nn.functional.gelu(lm_head.dense(states)))
            return out

        return roberta, lm_head.decoder
    if isinstance(lm_head, nn.Linear):  # causal language models: no transform
        return _identity, lm_head
    if hasattr(model, "head") and isinstance(getattr(model, "decoder", None), nn.Linear):  # ModernBERT
        return model.head, model.decoder
    raise CheckpointError(
        f"{type(model).__name__}: no vocabulary head of a known shape (BERT, DistilBERT, ...)"
    )


def _identity(states: Tensor) -> Tensor:
    return states


def load_backbone(checkpoint: Checkpoint, device: torch.device | str, dtype: torch.dtype) -> Backbone:
    """The language model of a checkpoint as a `Backbone` in evaluation mode.

    Weights come from safetensors only, code from transformers only (`trust_remote_code` is never given).

    Raises:
        CheckpointError: if the folder's model cannot be built or a weight is missing.
    """
    if checkpoint.quantized:
        model = _bundled_model(checkpoint, dtype)
    else:
        model = load_pretrained(checkpoint.model_folder, checkpoint.kind.auto_model, dtype)
    with refusing(checkpoint.model_folder, "cannot build the model"):
        backbone = Backbone(model).to(device=device, dtype=dtype).eval()
        _check_head(backbone, checkpoint.model_folder)
    return backbone


@torch.inference_mode()
def _check_head(backbone: Backbone, folder: Path) -> None:
    """Refuse a head that is not the product that we take it for (MobileBERT's is not, nor are scaled logits).

    Raises:
        CheckpointError: if the model's own logits of five tokens are not those of the three steps.
    """
    weight = backbone.decoder_weight
    ids = torch.arange(5, device=weight.device).unsqueeze(0) % len(weight)
    mask = torch.ones_like(ids)
    theirs = backbone.model(input_ids=ids, attention_mask=mask).logits.float()
    try:
        ours = backbone(ids, mask) @ weight.T + backbone.decoder_bias
        bound = (1e-3 if weight.dtype == torch.float32 else 0.1) * theirs.abs().amax()
        same = bool((ours.float() - theirs).abs().amax() <= bound)
    except RuntimeError:  # shapes that do not go together
        same = False
    if not same:
        raise CheckpointError(
            f"{folder}: {type(backbone.model).__name__}: no vocabulary head of a known shape (BERT, "
            "DistilBERT, ...)"
        )


def _bundled_model(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """A BertForMaskedLM from the compact format: every tensor widened once to `dtype`."""
    from transformers import BertConfig, BertForMaskedLM

    from splade_engine.encoder.folders.compact import read_state

    state = read_state(checkpoint.model_folder, dtype, checkpoint.base)
    with refusing(checkpoint.model_folder, "cannot build the model"):
        config = BertConfig(**hf_config(checkpoint))
        with torch.device("meta"):
            model: Any = BertForMaskedLM(config)
        embeddings = state["bert.embeddings.word_embeddings.weight"]
    state.setdefault("cls.predictions.decoder.weight", embeddings)
    bias = state.setdefault("cls.predictions.bias", embeddings.new_zeros(len(embeddings)))
    state.setdefault("cls.predictions.decoder.bias", bias)
    with refusing(checkpoint.model_folder, "cannot build the model"):
        missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    if missing or unexpected:
        raise CheckpointError(
            f"{checkpoint.model_folder}: weights missing {missing[:3]}, unexpected {unexpected[:3]}"
        )
    model.tie_weights()
    positions = torch.arange(config.max_position_embeddings).unsqueeze(0)
    model.bert.embeddings.position_ids = positions  # buffers are not in the file
    model.bert.embeddings.token_type_ids = torch.zeros_like(positions)
    return model


def load_body(folder: Path, state: Mapping[str, Tensor], place: Place) -> Any:
    """The transformers model of a folder without a head, in evaluation mode.

    Its weights are the tensors of `state` that stand under its prefix (`bert.`).

    Raises:
        CheckpointError: if it cannot be built, or a weight other than the pooler's is missing.
    """
    from transformers import AutoConfig, AutoModel

    settings = _config(folder)
    settings.pop("splade_engine", None)
    auto: Any = AutoModel
    with refusing(folder, "cannot build the model"):
        body: Any = auto.from_config(AutoConfig.for_model(**settings), trust_remote_code=False)
    prefix = body.base_model_prefix + "."
    inner = {k.split(prefix, 1)[1]: v for k, v in state.items() if f".{prefix}" in f".{k}"}
    with refusing(folder, "cannot build the model"):
        missing = [k for k in body.load_state_dict(inner, strict=False).missing_keys if "pooler" not in k]
    if missing:
        raise CheckpointError(f"{folder}: weights missing from the file: {missing[:3]}")
    return body.to(device=place.device, dtype=place.dtype).eval()


def hf_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The transformers part of the model folder's config.json."""
    config = read_config(checkpoint.model_folder)
    config.pop("splade_engine", None)
    return config


def _config(folder: Path) -> dict[str, Any]:
    """The config of a model that transformers builds; it has to know the architecture and the activation.

    Raises:
        CheckpointError: it does not.
    """
    from transformers import CONFIG_MAPPING
    from transformers.activations import ACT2FN

    config = read_config(folder)
    if (kind := config.get("model_type")) is not None and kind not in CONFIG_MAPPING:
        raise CheckpointError(f"{folder / CONFIG}: model_type is {kind!r:.80}, which transformers lacks")
    for name in ACTIVATIONS:
        if (value := config.get(name)) is not None and value not in ACT2FN:
            known = ", ".join(sorted(n for n in ACT2FN if len(n) < 12))
            raise CheckpointError(f"{folder / CONFIG}: {name} is {value!r:.80}, not one of {known}")
    return config


def _lend_bias(model: Any, missing: Collection[str]) -> set[str]:
    """Give a decoder that is not tied the bias of its head.

    Release 4 of transformers wrote one for both. Release 5 has two there, and would begin with zeros.

    Args:
        model: of transformers, with a head.
        missing: names of weights that its file lacks.

    Returns:
        The names of the weights that are not missing any more.
    """
    tensors = model.state_dict()
    lent = set()
    for name in missing:
        head = bias_of_head(name)
        if head is not None and head in tensors and head not in missing:
            with torch.no_grad():
                tensors[name].copy_(tensors[head])
            lent.add(name)
    return lent


def load_pretrained(folder: Path, auto: str, dtype: torch.dtype) -> Any:
    """A transformers model from safetensors, without its progress bars and reports.

    Args:
        folder: holds config.json and model*.safetensors.
        auto: name of a transformers auto class.
        dtype: of its parameters.

    Raises:
        CheckpointError: if it cannot be built, or a weight other than the pooler's is missing.
    """
    import transformers

    loader: Any = getattr(transformers, auto)
    _config(folder)
    with refusing(folder, "cannot build the model"), quiet_transformers():
        # unused pooler weights are expected, and missing ones are refused below
        model, info = loader.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    lent = _lend_bias(model, info["missing_keys"])
    missing = sorted(k for k in info["missing_keys"] if not k.startswith("pooler.") and k not in lent)
    if missing:
        raise CheckpointError(f"{folder}: weights missing from the file: {missing[:3]}")
    if left := sorted(filter(is_of_a_layer, info["unexpected_keys"])):
        raise CheckpointError(f"{folder}: {type(model).__name__} has no place for {left[0]:.120}")
    if auto != "AutoModel":  # a body alone is often read from the file of a model with a head
        tell_of_unused(info["unexpected_keys"], folder)
    check_finite(model.state_dict(), folder)
    return model
