"""A vocabulary head for an encoder that has none, in closed form.

A sentence encoder (all-MiniLM and its like) has lost its masked-LM head, so nothing maps a token's last
hidden state to terms. But its last states still say which token they stand on and what it means here. Ridge
regression finds the linear map from a state h_i to the direction of its own token's input embedding e_t
(centred, unit length), every token type weighing 1/sqrt(its count) so that "the" does not decide:

    W = argmin sum_i c_i |W h_i + b - e_(t_i)|^2 + ridge |W|^2,   c_i = count(t_i)^-1/2

The map is written into the head of a `BertForMaskedLM` whose decoder is tied to the input embeddings. That
head is dense -> GELU -> LayerNorm; a shift of the dense bias by `shift` keeps GELU in its linear range, and
LayerNorm, which subtracts the mean over dimensions, takes the shift out again. What remains is the threshold:
over all positions the logit of term t has a mean m_t and a spread s_t, known in closed form from the mean and
covariance of the head's outputs, and the decoder's bias becomes -(m_t + spread * s_t): a term is active where
it stands `spread` standard deviations above what it gets anywhere.

Without any training this already retrieves (nDCG@10 .47 on the 1,400 abstracts of cranfield, exact search).
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from splade_engine.encoder.folders.config import read_config
from splade_engine.encoder.folders.files import lowercases, positions_of
from splade_engine.encoder.folders.tokenizer_class import CONFIG
from splade_engine.encoder.folders.told_tokens import OLDER_FILES
from splade_engine.encoder.quiet import quiet_transformers
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError, DatasetError, InvalidInputError, reason_of
from splade_engine.files import atomic_folder
from splade_engine.training.data.collate import pad
from splade_engine.training.student.cpu_layers import use_cpu_layers

logger = logging.getLogger(__name__)

_BATCH = 16
_FILES = ("tokenizer.json", CONFIG, *OLDER_FILES, "vocab.txt")


@dataclass(frozen=True)
class AlignmentConfig:
    """Settings of the closed form.

    Attributes:
        ridge: added to the diagonal of the (weighted) Gram matrix of the states.
        shift: of GELU's input, whose standard deviation is 0.5; GELU(3 + x) differs from 3 + x by at most
            0.05 for x in [-1, 1].
        gain: of the LayerNorm: scales all logits. 0.6 gives a token's own logit a mean of about 4 above m_t.
        spread: the threshold in standard deviations; higher means fewer terms (5: about 600 a document of 200
            tokens, of which training drops most).
        texts: read at most.
        max_length: tokens per text; fewer where the model has fewer positions.
    """

    ridge: float = 10.0
    shift: float = 3.0
    gain: float = 0.6
    spread: float = 5.0
    texts: int = 2_000
    max_length: int = 192

    def __post_init__(self) -> None:
        if min(self.ridge, self.gain) <= 0 or self.shift < 0 or self.texts < 1 or self.max_length < 4:
            raise InvalidInputError(f"alignment: a setting is out of range: {self}")


def fit_head(states: Tensor, tokens: Tensor, embeddings: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """The ridge regression: weight float32[H, H] and bias float32[H] with `states @ weight.T + bias ~ e_t`.

    Args:
        states: float[N, H], last hidden states of N positions.
        tokens: int64[N], the token that stands there.
        embeddings: float[V, H], the input embeddings.
        ridge: see `AlignmentConfig`.

    Raises:
        DatasetError: if there are no positions.
    """
    if not len(tokens):
        raise DatasetError("alignment: the texts hold no tokens")
    targets = embeddings - embeddings.mean(0)
    targets = targets / targets.norm(dim=1, keepdim=True).clamp(min=1e-12)
    counts = torch.bincount(tokens, minlength=len(embeddings)).to(states.dtype)
    share = counts[tokens].rsqrt()
    share = (share / share.mean()).double().unsqueeze(1)
    inputs = torch.cat((states, states.new_ones((len(states), 1))), 1).double()
    weighted = inputs * share
    gram = weighted.T @ inputs
    gram.diagonal().add_(ridge)
    solution = torch.linalg.solve(gram, weighted.T @ targets[tokens].double()).float()
    return solution[:-1].T.contiguous(), solution[-1]


@torch.no_grad()
def write_head(model: Any, states: Tensor, tokens: Tensor, config: AlignmentConfig | None = None) -> None:
    """Fit the map; put it, scaled and with its thresholds, into a `BertForMaskedLM`'s head, in place."""
    config = config or AlignmentConfig()
    embeddings = model.get_input_embeddings().weight.detach().float()
    weight, bias = fit_head(states, tokens, embeddings, config.ridge)
    scale = 0.5 / (states @ weight.T + bias).std()
    head = model.cls.predictions.transform
    head.dense.weight.copy_(scale * weight)
    head.dense.bias.copy_(scale * bias + config.shift)
    head.LayerNorm.weight.fill_(config.gain)
    head.LayerNorm.bias.zero_()
    outputs = head(states)
    mean, spread = logit_statistics(outputs, embeddings)
    model.cls.predictions.bias.copy_(-(mean + config.spread * spread))


def logit_statistics(outputs: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every term's logit, from two moments of the head's outputs.

    Args:
        outputs: float[N, H] of the head's transform.
        embeddings: float[V, H], the decoder.

    Returns:
        float[V] mean `E mu` and float[V] standard deviation `sqrt(diag(E C E^T))`.
    """
    covariance = torch.cov(outputs.T)
    spread = ((embeddings @ covariance) * embeddings).sum(1).clamp(min=0).sqrt()
    return embeddings @ outputs.mean(0), spread


@torch.inference_mode()
def token_states(encoder: nn.Module, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Last hidden states float32[N, H] and tokens int64[N] of all positions but special ones."""
    lists, _ = tokenizer.encode(texts)
    lists = sorted((ids for ids in lists if len(ids)), key=len)
    special = torch.from_numpy(tokenizer.special_ids).long()
    states, tokens = [], []
    for first in range(0, len(lists), _BATCH):
        ids, mask = pad(lists[first : first + _BATCH])
        hidden = encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
        keep = mask.bool() & ~torch.isin(ids, special)
        states.append(hidden[keep])
        tokens.append(ids[keep])
    if not states:
        raise DatasetError("alignment: no text to fit the head on")
    return torch.cat(states).clone(), torch.cat(tokens).clone()


def aligned_model(folder: Path, texts: Iterable[str], config: AlignmentConfig | None = None) -> Any:
    """The encoder in `folder` as a `BertForMaskedLM` with an aligned head, in evaluation mode.

    Args:
        folder: a BERT encoder with a tokenizer.
        texts: what to fit on; the first `config.texts` are read.
        config: see `AlignmentConfig`.

    Raises:
        CheckpointError: if the folder holds no BERT encoder.
        DatasetError: if there is nothing to fit on.
    """
    from transformers import AutoConfig, BertForMaskedLM

    from splade_engine.encoder.backbone import load_pretrained

    config = config or AlignmentConfig()
    try:
        model_config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: no model to align: {reason_of(error)}") from error
    if model_config.model_type != "bert":
        raise CheckpointError(f"{folder}: alignment knows BERT encoders, not {model_config.model_type!r}")
    encoder = load_pretrained(folder, "AutoModel", torch.float32)
    model: Any = BertForMaskedLM(model_config)
    state = {k: v for k, v in encoder.state_dict().items() if not k.startswith("pooler.")}
    model.bert.load_state_dict(state)
    model.tie_weights()
    model.eval()
    use_cpu_layers(model)
    positions = positions_of(read_config(folder))
    length = config.max_length if positions is None else min(config.max_length, positions)
    tokenizer = TextTokenizer(folder, length, lowercase=lowercases(folder))
    states, tokens = token_states(model.bert, tokenizer, list(islice(texts, config.texts)))
    write_head(model, states, tokens, config)
    logger.info("aligned a vocabulary head on %d positions", len(tokens))
    return model


def aligned_checkpoint(
    folder: str | Path,
    texts: Iterable[str],
    output: str | Path | None = None,
    config: AlignmentConfig | None = None,
) -> Path:
    """Write the aligned model as a plain masked-LM folder and return it.

    Args:
        folder: a BERT encoder without a masked-LM head.
        texts: what to fit on, of the kind that will be encoded.
        output: the folder to make; None: a temporary one.
        config: see `AlignmentConfig`.
    """
    source = Path(folder)
    model = aligned_model(source, texts, config)
    target = Path(tempfile.mkdtemp(prefix="splade-engine-aligned-")) if output is None else Path(output)
    with quiet_transformers(), atomic_folder(target) as out:
        model.save_pretrained(out)
        for name in _FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, out / name)
    return target
