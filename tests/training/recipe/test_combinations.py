"""Recipes whose parts cannot act together are refused."""

from __future__ import annotations

import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.training.recipe import acting, load_recipe, recipe_names
from splade_engine.training.recipe.combinations import check_reached

IDF = {"regularizer.idf_in_flops": True}


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("splade", IDF, "idf_in_flops divides .* but model.query = shared has none"),
        ("splade-doc", IDF, "idf_in_flops .* model.idf = uniform is 1 for every term"),
        ("l0", IDF | {"regularizer.document": "l1"}, "regularizer.document = l1 is no FLOPS"),
        (
            "splade",
            {"model.learn_idf": True},
            "model.learn_idf needs model.query = table; queries are shared",
        ),
        ("l0", {"data.refresh_beside": True}, "refresh_beside needs data.refresh_steps"),
        ("ncl", {"data.refresh_steps": 5}, "refresh_steps renews negatives, and data.negatives = 0 wants"),
        ("deepimpact", {"model.query": "shared"}, "needs model.query = table .*, not shared and uniform"),
        ("deepimpact", {"model.idf": "\x1b[31mred"}, r"not table and \\x1b\[31mred$"),
        ("deepimpact", {"model.learn_idf": True}, "learn_idf means nothing with model.kind = deepimpact"),
        ("deepimpact", {"loss.term": 1.0}, "loss.term gives documents terms.* weighs the words"),
        ("unicoil", {"model.phrase_terms": "words"}, "words needs model.kind = deepimpact, not scalar"),
        ("csr", {"model.phrase_terms": "pairs"}, "pairs needs terms that are tokens, not those of csr"),
        ("csr", {"model.learn_phrases": True}, "pairs needs terms that are tokens, not those of csr"),
        ("deepimpact", {"model.learn_phrases": True}, "learn_phrases needs .* = pairs, not words"),
        ("idf-aware", IDF | {"model.learn_phrases": True}, "the pairs of model.learn_phrases have none"),
        ("unicoil", {"model.activation": "sparsemax"}, "needs a vocabulary; model.kind = scalar has none"),
        ("splade", {"model.activation": "sparsemax"}, "of a whole text, so it needs model.pooling = max"),
        ("l0", {"model.sparsemax_mass": 20.0}, "means nothing with model.activation = log1p_log1p_relu"),
        ("idf-aware", {"loss.teacher_factor": 2.0}, "loss.teacher_factor = 2 means nothing with .* = 30"),
        ("default", {"loss.teacher_weights": [1.0]}, "2 loss.teachers and 1 loss.teacher_weights"),
        ("splade", {"loss.contrastive": 0.0}, "every loss has the weight 0"),
        ("ncl", {"loss.contrastive": 0.0}, "every loss has the weight 0"),
        ("splade", {"regularizer.threshold_scope": "tail"}, "tail needs a document_threshold or query_"),
        ("splade", {"regularizer.document": "none", "regularizer.document_terms": 9}, "document is none"),
        ("l0", {"regularizer.query_terms": 9, "regularizer.query": "flops"}, "queries come from a table"),
        (
            "csr",
            {"regularizer.document": "flops", "regularizer.document_terms": 9},
            "model.csr_k = 256 terms",
        ),
        (
            "l0",
            {"regularizer.document_terms": 100},
            "100 cannot be reached: .*document_threshold = 150 leaves",
        ),
    ],
)
def test_refused(name, values, says):
    with pytest.raises(InvalidInputError, match=f"recipe {name}: .*{says}"):
        load_recipe(name).override(values)


IDLE = {
    "model.query_base": ("splade", {"model.query_base": "there"}, "needs model.query = separate"),
    "model.idf": ("splade", {"model.idf": "data"}, "needs model.query = table"),
    "model.query_counts": ("splade", {"model.query_counts": "counts"}, "needs model.query = table"),
    "model.pooling": ("unicoil", {"model.pooling": "sum"}, "needs model.kind = mlm or echo"),
    "model.activation": ("unicoil", {"model.activation": "log1p_relu"}, "single tokens are relu"),
    "model.special_tokens": ("csr", {"model.special_tokens": "keep"}, "not model.kind = csr"),
    "model.document_top_k": ("csr", {"model.document_top_k": 8}, "which keeps model.csr_k"),
    "model.query_top_k": ("csr", {"model.query_top_k": 8}, "which keeps model.csr_k"),
    "model.min_weight": ("csr", {"model.min_weight": 0.25}, "not model.kind = csr"),
    "model.max_length": ("csr", {"model.max_length": 64}, "which reads model.document_length"),
    "model.dropout": ("csr", {"model.dropout": 0.1}, "whose dense encoder is frozen"),
    "model.lora_rank": ("csr", {"model.lora_rank": 4}, "whose dense encoder is frozen"),
    "model.align": ("unicoil", {"model.align": True}, "needs model.kind = mlm"),
    "model.csr_factor": ("splade", {"model.csr_factor": 2}, "needs model.kind = csr"),
    "model.csr_k": ("splade", {"model.csr_k": 32}, "needs model.kind = csr"),
    "model.csr_k_aux": ("splade", {"model.csr_k_aux": 0}, "needs model.kind = csr"),
    "model.csr_dead_after": ("splade", {"model.csr_dead_after": 9}, "needs model.kind = csr"),
    "model.csr_init": ("splade", {"model.csr_init": "data"}, "needs model.kind = csr"),
    "model.csr_reconstruction": ("splade", {"model.csr_reconstruction": 0.0}, "needs model.kind = csr"),
    "model.csr_beta": ("splade", {"model.csr_beta": 0.0}, "needs model.kind = csr"),
    "model.csr_activation": ("splade", {"model.csr_activation": "relu_gelu"}, "needs model.kind = csr"),
    "loss.term": ("csr", {"loss.term": 0.1}, "not model.kind = csr"),
    "loss.teachers": ("splade", {"loss.teachers": ["bm25"]}, "needs a loss that asks them"),
    "train.warmup_steps": (
        "splade",
        {"train.warmup_steps": 9, "train.scheduler": "constant"},
        "needs train.scheduler = linear",
    ),
    "regularizer.query": ("l0", {"regularizer.query": "flops"}, "needs queries that are encoded"),
    "regularizer.document_threshold": (
        "l0",
        {"regularizer.document": "l1"},
        "needs regularizer.document = flops",
    ),
    "regularizer.query_threshold": (
        "splade",
        {"regularizer.query": "l1", "regularizer.query_threshold": 9},
        "needs regularizer.query = flops",
    ),
}


@pytest.mark.parametrize("field", [each.field for each in acting.ASKING])
def test_a_field_that_would_do_nothing_is_refused(field):
    """Each row of the table, in a recipe where it cannot act."""
    name, values, says = IDLE[field]
    with pytest.raises(InvalidInputError, match=rf"recipe {name}: {field} = .*{says}"):
        load_recipe(name).override(values)


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "x" * 500])
def test_a_name_of_a_model_makes_one_short_line(name):
    with pytest.raises(InvalidInputError, match=r"model.query_base = .* would do nothing") as caught:
        load_recipe("ensemble-pretrain").override({"model.query_base": name})
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


def test_frequencies_are_counted_for_documents():
    with pytest.raises(InvalidInputError, match="query = df_flops would be plain FLOPS"):
        load_recipe("splade").override({"regularizer.query": "df_flops"})
    both = {"regularizer.query": "df_flops", "regularizer.document": "df_flops"}
    assert load_recipe("splade").override(both).regularizer.query == "df_flops"


def test_what_tunes_a_part_that_is_off_is_left_alone():
    """One field switches a part off; those that tune it may stay."""
    for name, values in (
        ("ance", {"data.refresh_steps": 0, "data.refresh_beside": False}),
        ("mistral-splade", {"model.lora_rank": 0}),
        ("l0", {"regularizer.document": "none", "regularizer.document_terms": 0}),
        ("splade", {"regularizer.query": "none"}),
        ("tune", {"data.held_out": 0}),
    ):
        load_recipe(name).override(values)


@pytest.mark.parametrize("name", recipe_names())
def test_published_recipes_go_together(name):
    load_recipe(name)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"train.lr": 0.0}, True),
        ({"train.lr": 0.0, "model.learn_idf": True}, False),
        ({"train.lr": 0.0, "train.idf_lr": 0.0, "model.learn_idf": True}, True),
    ],
)
def test_a_rate_of_zero_is_told(values, told, caplog):
    """A table may be learnt alone."""
    check_reached(load_recipe("l0").override(values), 50)
    assert ("recipe l0: train.lr = 0 changes no weight, so nothing is learnt" in caplog.text) is told


@pytest.mark.parametrize(
    ("values", "steps", "says"),
    [
        ({"train.warmup_steps": 51}, 50, "recipe splade: the learning rate rises for 51 steps"),
        ({"train.warmup_share": 1.5}, 50, "recipe splade: the learning rate rises for 75 steps"),
        ({"regularizer.ramp_steps": 60}, 50, "recipe splade: the weight of a penalty rises for 60 steps"),
        ({"train.warmup_steps": 50, "regularizer.ramp_steps": 50}, 50, ""),
        ({"train.warmup_share": 1.5, "train.scheduler": "constant"}, 50, ""),
    ],
)
def test_what_rises_beyond_the_last_step_is_told(values, steps, says, caplog):
    check_reached(load_recipe("splade").override(values), steps)
    assert says in caplog.text and bool(says) is bool(caplog.text)
