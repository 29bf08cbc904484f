"""Fields that ask for something, and the recipes in which they can get it.

A field that nothing reads is worse than one that is refused: the run is not the one that was asked for, and
says nothing. What only tunes something that is switched off (`data.refresh_depth` without
`data.refresh_steps`) is left alone, so that one field switches it off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from splade_engine.plain_text import one_line, shortened

if TYPE_CHECKING:
    from splade_engine.training.recipe.recipe import Recipe


@dataclass(frozen=True)
class Asking:
    """A field, and where it acts."""

    # SECTION.FIELD
    field: str
    # Its values that ask for nothing.
    nothing: tuple[Any, ...]
    # Whether a recipe does something with it.
    acts: Callable[[Recipe], bool]
    # What it needs, for the message.
    needs: str


def _queries(*kinds: str) -> Callable[[Recipe], bool]:
    # `auto` is looked at again when the base has said what it is
    return lambda recipe: recipe.model.query in ("auto", *kinds)


def _kinds(*kinds: str) -> Callable[[Recipe], bool]:
    return lambda recipe: recipe.model.kind in kinds


def _distils(recipe: Recipe) -> bool:
    loss = recipe.loss
    return any((loss.kl, loss.margin_mse, loss.sparsemax, loss.bank, loss.embed, recipe.model.dense_head))


def _relu_of_tokens(recipe: Recipe) -> bool:
    model = recipe.model
    return model.kind in ("mlm", "echo") or (model.kind != "csr" and model.activation == "relu")


_VOCABULARY = ("mlm", "echo")
_TOKENS = ("mlm", "echo", "scalar", "deepimpact")
_NO_CSR = "an encoder whose terms are tokens, not model.kind = csr"
_CODES = "model.kind = csr"

ASKING: tuple[Asking, ...] = (
    Asking("model.query_base", ("",), _queries("separate"), "model.query = separate"),
    Asking("model.idf", ("auto",), _queries("table"), "model.query = table"),
    Asking("model.query_counts", ("auto",), _queries("table"), "model.query = table"),
    Asking("model.pooling", ("auto",), _kinds(*_VOCABULARY), "model.kind = mlm or echo"),
    Asking(
        "model.activation",
        ("auto",),
        _relu_of_tokens,
        "model.kind = mlm or echo; weights of single tokens are relu, those of csr model.csr_activation",
    ),
    Asking("model.special_tokens", ("auto",), _kinds(*_TOKENS), _NO_CSR),
    Asking("model.document_top_k", (-1, 0), _kinds(*_TOKENS), f"{_NO_CSR}, which keeps model.csr_k"),
    Asking("model.query_top_k", (-1, 0), _kinds(*_TOKENS), f"{_NO_CSR}, which keeps model.csr_k"),
    Asking("model.min_weight", (-1, 0), _kinds(*_TOKENS), _NO_CSR),
    Asking("model.max_length", (0,), _kinds(*_TOKENS), f"{_NO_CSR}, which reads model.document_length"),
    Asking("model.dropout", (-1, 0), _kinds(*_TOKENS), f"{_NO_CSR}, whose dense encoder is frozen"),
    Asking("model.lora_rank", (0,), _kinds(*_TOKENS), f"{_NO_CSR}, whose dense encoder is frozen"),
    Asking("model.align", (False,), _kinds("mlm"), "model.kind = mlm, which has a vocabulary head"),
    Asking("model.csr_factor", (4,), _kinds("csr"), _CODES),
    Asking("model.csr_k", (256,), _kinds("csr"), _CODES),
    Asking("model.csr_k_aux", (512,), _kinds("csr"), _CODES),
    Asking("model.csr_dead_after", (30,), _kinds("csr"), _CODES),
    Asking("model.csr_init", ("random",), _kinds("csr"), _CODES),
    Asking("model.csr_reconstruction", (1,), _kinds("csr"), _CODES),
    Asking("model.csr_beta", (0.1,), _kinds("csr"), _CODES),
    Asking("model.csr_activation", ("relu",), _kinds("csr"), _CODES),
    Asking("loss.term", (0,), _kinds(*_TOKENS), _NO_CSR),
    Asking(
        "loss.teachers",
        ((),),
        _distils,
        "a loss that asks them: loss.kl, margin_mse, sparsemax, bank or embed, or model.dense_head",
    ),
    Asking(
        "train.warmup_steps",
        (0,),
        lambda recipe: recipe.train.scheduler != "constant",
        "train.scheduler = linear, cosine or constant_with_warmup",
    ),
    Asking(
        "regularizer.query",
        ("none",),
        _queries("shared", "separate"),
        "queries that are encoded; with model.query = table their terms are those of their words",
    ),
    Asking(
        "regularizer.document_threshold",
        (0,),
        lambda recipe: recipe.regularizer.document != "l1",
        "regularizer.document = flops or df_flops",
    ),
    Asking(
        "regularizer.query_threshold",
        (0,),
        lambda recipe: recipe.regularizer.query != "l1",
        "regularizer.query = flops or df_flops",
    ),
)


def idle(recipe: Recipe) -> Iterator[str]:
    """What each field says that can do nothing in this recipe."""
    for each in ASKING:
        section, _, name = each.field.partition(".")
        value = getattr(getattr(recipe, section), name)
        if value not in each.nothing and not each.acts(recipe):
            yield f"{each.field} = {_shown(value)} would do nothing: it needs {each.needs}"
    if recipe.regularizer.query == "df_flops" and recipe.regularizer.document != "df_flops":
        yield (
            "regularizer.query = df_flops would be plain FLOPS: frequencies are counted where "
            "regularizer.document = df_flops"
        )


def _shown(value: Any) -> str:
    """A value as a recipe has it, which may be any text of a user's file."""
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else shortened(one_line(str(value)), 80)
