"""Recipes whose parts cannot act together are refused."""

from __future__ import annotations

import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.training.recipe import load_recipe, recipe_names

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


@pytest.mark.parametrize("name", recipe_names())
def test_published_recipes_go_together(name):
    load_recipe(name)
