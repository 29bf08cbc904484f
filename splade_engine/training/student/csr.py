"""CSR, an encoder kind of its own: sparse latents of frozen dense embeddings (Wen et al., arXiv 2503.01776).

    z   = relu(topk_k(W (x - b_pre) + b_latent))                    k latents of a dense vector x
    x^  = z W + b_pre                                               the decoder is the encoder, transposed
    L   = MSE(x, x^_k) + MSE(x, x^_4k) / 8 + beta * L_dead + gamma * InfoNCE(z)

The dead-latent term lets latents that fired for no text in the last `dead_after` batches explain what the k
chosen ones leave over, so that they come back to life. Values and details as in sentence-transformers'
SparseAutoEncoder and CSRLoss. Dimensions are latents, not words: nothing to read, but any dense encoder
becomes searchable by an inverted index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splade_engine.encoder.backbone import load_pretrained
from splade_engine.encoder.folders.config import read_config
from splade_engine.encoder.folders.export import Side, write_root
from splade_engine.encoder.folders.files import lowercases, positions_of
from splade_engine.encoder.folders.modules import dense_modules
from splade_engine.encoder.folders.tokenizer import save_tokenizer
from splade_engine.encoder.kinds import Csr
from splade_engine.encoder.kinds.csr import write_autoencoder, write_pooling
from splade_engine.encoder.settings import DenseMode, DensePooling, EncoderSettings
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError
from splade_engine.training.data.collate import pad
from splade_engine.training.objective.vectors import Vectors
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.student.activations import activate, keep_top_k
from splade_engine.training.student.head import mean_pool
from splade_engine.training.student.preflight import check_length, length_of_queries
from splade_engine.training.student.student import Student

ACTIVE = 1e-5  # a latent above this counts as fired
LOSSES = ("reconstruction", "dead_latents")  # the autoencoder's own, in `Vectors.extra`


class SparseAutoencoder(nn.Module):
    """The k-sparse autoencoder with tied weights.

    Args:
        width: dimension D of the dense embeddings.
        latents: their number V.
        k: latents kept per text.
        k_aux: dead latents that take part in the dead-latent term; 0 for none.
        dead_after: batches without firing after which a latent is dead.
        activation: `relu`, or `relu_gelu` for gelu's gradient (non-negative contrastive learning, arXiv
            2403.12459).
    """

    def __init__(
        self, width: int, latents: int, k: int, k_aux: int, dead_after: int, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.k, self.k_aux, self.dead_after = k, min(k_aux, latents), dead_after
        self.activation = activation
        self.encoder = nn.Linear(width, latents, bias=False)
        self.pre_bias = nn.Parameter(torch.zeros(width))
        self.latent_bias = nn.Parameter(torch.zeros(latents))
        self.register_buffer("since_fired", torch.zeros(latents, dtype=torch.int64))

    def pre_activations(self, x: Tensor) -> Tensor:
        """float[N, D] to float[N, V]."""
        return F.linear(x - self.pre_bias, self.encoder.weight, self.latent_bias)

    def codes(self, pre: Tensor, k: int) -> Tensor:
        """The k largest pre-activations, relu, the rest zero: float[N, V]."""
        return activate(keep_top_k(pre, min(k, pre.shape[1])), self.activation)

    def decode(self, codes: Tensor) -> Tensor:
        """float[N, V] to float[N, D]."""
        return F.linear(codes, self.encoder.weight.T) + self.pre_bias

    @torch.no_grad()
    def count(self, codes: Tensor) -> None:
        """Note which latents fired in this batch."""
        since = self.get_buffer("since_fired")
        since += 1
        since[(codes > ACTIVE).any(0)] = 1

    def losses(self, x: Tensor, pre: Tensor, codes: Tensor) -> dict[str, Tensor]:
        """`reconstruction` and `dead` of one batch, unweighted."""
        at_k, at_4k = self.decode(codes), self.decode(self.codes(pre, 4 * self.k))
        parts = {"reconstruction": F.mse_loss(at_k, x) + F.mse_loss(at_4k, x) / 8}
        if self.k_aux:
            dead = self.get_buffer("since_fired") > self.dead_after
            revived = self.decode(self.codes(pre * dead, self.k_aux))
            parts["dead"] = normalised_mse(revived, x - (at_k - self.pre_bias).detach())
        return parts


@torch.no_grad()
def start_in_subspace(autoencoder: SparseAutoencoder, embeddings: Tensor, seed: int) -> None:
    """Start the latents where the data is: in place.

    `pre_bias` becomes the mean of the embeddings, and every latent's row a random combination of centred
    ones, so that it lies in their span and has their covariance (subspace initialisation). A latent that
    starts at random in all D dimensions is among the k largest of hardly any text where the embeddings fill
    fewer dimensions, and stays dead. Rows have length sqrt(2 D / V): half of V tied latents of that length
    add up to the text that they came from.

    Args:
        autoencoder: with D dimensions and V latents.
        embeddings: float[n, D] of a sample of texts.
        seed: of the combinations.
    """
    mean = embeddings.mean(0)
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(len(autoencoder.latent_bias), len(embeddings), generator=generator)
    rows = F.normalize(mix.to(embeddings.device) @ (embeddings - mean), dim=1)
    latents, width = autoencoder.encoder.weight.shape
    autoencoder.encoder.weight.copy_(rows * (2 * width / latents) ** 0.5)
    autoencoder.pre_bias.copy_(mean)


def normalised_mse(reconstruction: Tensor, target: Tensor) -> Tensor:
    """MSE over that of predicting the batch mean: `mean((r - t)^2) / mean((mean t - t)^2)`.

    It is the plain MSE where all targets are equal. Both arguments are float[N, D].
    """
    spread = F.mse_loss(target.mean(0).expand_as(target), target)
    equal = (spread == 0) | (target == target[:1]).all()
    return F.mse_loss(reconstruction, target) / torch.where(equal, spread.new_ones(()), spread)


class CsrStudent(Student):
    """A frozen dense encoder and the autoencoder that is trained over it.

    Args:
        body: a transformers encoder.
        pooling: `mean` or `cls`.
        normalize: embeddings of unit length.
        autoencoder: what learns.
        config: the recipe's model section.
    """

    def __init__(
        self,
        body: Any,
        pooling: DenseMode,
        normalize: bool,
        autoencoder: SparseAutoencoder,
        config: ModelConfig,
    ) -> None:
        super().__init__()
        self.body = body.requires_grad_(False)
        self.pooling, self.normalize = pooling, normalize
        self.autoencoder = autoencoder
        self._settings = config

    @property
    def n_terms(self) -> int:
        """Number of latents."""
        return len(self.autoencoder.latent_bias)

    @property
    def settings(self) -> ModelConfig:
        """The recipe's model section."""
        return self._settings

    @torch.no_grad()
    def embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Dense embeddings float[N, D]; the encoder stays in evaluation mode while the rest trains."""
        self.body.eval()
        hidden = self.body(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
        x = hidden[:, 0] if self.pooling == "cls" else mean_pool(hidden, mask)
        return F.normalize(x, dim=1) if self.normalize else x

    def query_vectors(self, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """float[N, V]."""
        del pool
        a = self.autoencoder
        return a.codes(a.pre_activations(self.embed(ids, mask)), a.k)

    def document_vectors(self, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """float[M, V]."""
        return self.query_vectors(ids, mask, pool)

    def forward(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        query_pool: Tensor,
        document_ids: Tensor,
        document_mask: Tensor,
        document_pool: Tensor,
        slots: Tensor,
        same: Tensor,
        group: int,
        targets: Tensor | None = None,
    ) -> Vectors:
        """The codes of a batch as `Collator` makes it, and the autoencoder's own losses in `extra`."""
        del query_pool, document_pool, targets
        a, n = self.autoencoder, len(query_ids)
        sides = (self.embed(query_ids, query_mask), self.embed(document_ids, document_mask))
        all_codes = []
        extra = {name: sides[0].new_zeros(()) for name in LOSSES}
        for x in sides:
            pre = a.pre_activations(x)
            codes = a.codes(pre, a.k)
            if self.training:
                a.count(codes)
            parts = a.losses(x, pre, codes)
            share = self.settings.csr_reconstruction / len(sides)
            extra["reconstruction"] = extra["reconstruction"] + share * parts["reconstruction"]
            if "dead" in parts:
                extra["dead_latents"] = extra["dead_latents"] + self.settings.csr_beta * parts["dead"] / len(
                    sides
                )
            all_codes.append(codes)
        grid = all_codes[1].new_zeros((n * group, self.n_terms)).index_copy(0, slots, all_codes[1])
        valid = torch.zeros(n * group, dtype=torch.bool, device=grid.device)
        valid[slots] = True
        return Vectors(
            queries=all_codes[0],
            documents=grid.view(n, group, -1),
            valid=valid.view(n, group),
            same=same,
            learned_queries=True,
            extra=extra,
        )

    def write(self, folder: Path, documents: TextTokenizer, queries: TextTokenizer) -> None:
        """See `Student`: the modules Transformer, Pooling, [Normalize], SparseAutoEncoder."""
        del queries  # both sides are one
        a = self.autoencoder
        pooling = DensePooling(self.pooling, self.normalize)
        settings = EncoderSettings(
            max_length=documents.max_length, activation="relu", lowercase=documents.lowercase
        )

        def transformer(out: Path) -> None:
            self.body.save_pretrained(out)
            save_tokenizer(documents, out)

        def modules(folders: dict[str, Path]) -> None:
            write_pooling(folders["Pooling"], pooling, len(a.pre_bias))
            write_autoencoder(
                folders["SparseAutoEncoder"],
                weight=a.encoder.weight,
                pre_bias=a.pre_bias,
                latent_bias=a.latent_bias,
                since_fired=a.get_buffer("since_fired"),
                settings={"k": a.k, "k_aux": a.k_aux, "dead_threshold": a.dead_after},
            )

        side = Side(Csr(folder, pooling), settings, transformer, modules)
        write_root(folder, side.write(folder, ["", "1_", "2_", "3_"]), settings)


SAMPLE = 1024  # texts that the latents start from
_AT_A_TIME = 32


def build_csr(
    folder: Path, name: str, config: ModelConfig, texts: Iterable[str] = ()
) -> tuple[CsrStudent, TextTokenizer, TextTokenizer]:
    """A student over the dense encoder in `folder`, with its document and query tokenizers.

    Args:
        folder: of the dense encoder.
        name: of it, for messages.
        config: the recipe's model section.
        texts: training documents, of which the first `SAMPLE` say where the latents start.

    Raises:
        CheckpointError: if there is no encoder, or it pools in a way that is not mean or [CLS].
    """
    found = dense_modules(folder)
    if found is None or found[1].mode not in ("mean", "cls"):
        how = "modules of another kind" if found is None else found[1].mode
        raise CheckpointError(f"{name}: csr pools by mean or cls, this encoder by {how}")
    body_folder, pooling = found
    check_length(body_folder, name, config.document_length)
    body: Any = load_pretrained(body_folder, "AutoModel", torch.float32)
    width = int(body.config.hidden_size)
    latents = config.csr_factor * width
    if config.csr_k > latents:
        raise CheckpointError(f"{name}: model.csr_k = {config.csr_k} of {latents} latents")
    autoencoder = SparseAutoencoder(
        width,
        latents,
        config.csr_k or latents,
        config.csr_k_aux,
        config.csr_dead_after,
        config.csr_activation,
    )
    student = CsrStudent(body, pooling.mode, pooling.normalize, autoencoder, config)
    lowercase = lowercases(body_folder)
    documents = TextTokenizer(body_folder, config.document_length, lowercase=lowercase)
    positions = positions_of(read_config(body_folder))
    query_length = length_of_queries(positions, name, config.query_length)
    queries = TextTokenizer(body_folder, query_length, lowercase=lowercase)
    sample = list(islice(texts, SAMPLE)) if config.csr_init == "data" else []
    if len(sample) > 1:
        start_in_subspace(autoencoder, _embedded(student, documents, sample), 0)
    return student, documents, queries


def _embedded(student: CsrStudent, tokenizer: TextTokenizer, texts: Sequence[str]) -> Tensor:
    """float[n, D] of texts."""
    ids, _ = tokenizer.encode(texts)
    parts = [pad(ids[first : first + _AT_A_TIME]) for first in range(0, len(ids), _AT_A_TIME)]
    return torch.cat([student.embed(*part) for part in parts])
