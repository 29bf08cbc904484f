"""Every published recipe trains a tiny model: the loss falls, and a higher lambda leaves fewer terms."""

from __future__ import annotations

import dataclasses
import tomllib

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.errors import InvalidInputError
from splade_engine.training import MiningConfig
from splade_engine.training.objective.parts import LossConfig
from splade_engine.training.recipe.recipe import RECIPES, Recipe, load_recipe, recipe_from_table, recipe_names
from splade_engine.training.recipe.values import parse_assignment
from splade_engine.training.run.run import train
from tests.training import made

PUBLISHED = {
    "splade",
    "splade-v2-max",
    "splade-v2-distil",
    "splade-pp-ed",
    "efficient-splade",
    "splade-doc",
    "idf-aware",
    "l0",
    "unicoil",
    "deepimpact",
    "ance",
    "csr",
    "mistral-splade",
    "ensemble",
    "ncl",
    "ensemble-pretrain",
    "pretrain-ict",
}
TRAINED = {*PUBLISHED, "default", "tune"}  # ours: the bundled encoder, and from one encoder to the next
# tiny models need a lambda on their own scale; l0's mask must be below the terms they start with
HIGH = {
    "unicoil": {"regularizer__document_lambda": 2.0, "regularizer__query_lambda": 2.0},
    "l0": {"regularizer__document_lambda": 30.0, "regularizer__document_threshold": 2},
    "default": {"regularizer__document_lambda": 30.0, "regularizer__document_threshold": 2},
}
LOW = {name: {"regularizer__document_threshold": 2} for name in ("l0", "default")}
FREE = {"regularizer__document_terms": 0.0}  # lambda is what this test is about, and not the number of terms
TINY = {
    "ance": {"data__refresh_steps": 25},
    "csr": {"model__csr_k": 8, "model__csr_k_aux": 16},
    "mistral-splade": {"model__lora_dropout": 0.0},
}


def mean(rows, key, part):
    values = [row[key] for row in rows if key in row]
    return float(np.mean(values[:2] if part == "first" else values[-4:]))


def test_all_published_recipes_are_there():
    assert set(recipe_names()) == TRAINED


@pytest.mark.parametrize("path", ["a\x01b", "a\x7f\x1b[31m", 'a"\\b', "a\r\n\t", "ü漢😀", "\u2028\u0085"])
def test_any_path_that_a_file_may_have_comes_back(path):
    recipe = load_recipe("tune").override({"data.sources": [{"path": path}], "name": path})
    assert recipe_from_table(tomllib.loads(recipe.to_toml()), "x") == recipe


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[data.sources]]\nweight = 1", r"data.sources.path: is missing"),
        (f'[model]\npooling = "{"a" * 200_000}"', "model.pooling: 'aaa"),
        (f'[train]\nlr = "{"a" * 200_000}"', "train.lr: expected float, got 'aaa"),
        (f'[loss]\nteachers = "{"a" * 200_000}"', "loss.teachers: expected a list, got 'aaa"),
        (f'[loss]\ncandidates = "{"a" * 200_000}"', "candidates: 'aaa"),
        (f"[train]\n{'a' * 200_000} = 1", "no such field"),
        ("[train]\nlr = nan", "train.lr must be"),
        (f"[train]\nsteps = {'9' * 30}", "train.steps must be at most"),
    ],
)
def test_what_a_recipe_cannot_say_is_one_short_line(tmp_path, text, says):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(InvalidInputError, match=says) as error:
        load_recipe(tmp_path / "x.toml")
    assert "\n" not in str(error.value) and len(str(error.value)) < 1500


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_recipe_trains(name, tmp_path, bert_folder, mistral_folder, rows_file, no_curves):
    base = mistral_folder if name == "mistral-splade" else bert_folder
    tiny = TINY.get(name, {})
    if load_recipe(name).loss.teachers:  # taught by the encoder that it starts from
        other = "bm25" if name == "default" else f"sparse:{bert_folder}"
        tiny = {"loss__teachers": [f"dense:{bert_folder}", other]}
    tiny = tiny | FREE
    off = {"regularizer__document_lambda": 0.0, "regularizer__query_lambda": 0.0}
    low = made.quick_recipe(name, base, rows_file, **(tiny | off | {"train__steps": 80} | LOW.get(name, {})))
    result = train(low, tmp_path / "low")
    assert mean(result.rows, "loss", "last") < mean(result.rows, "loss", "first")
    encoder = SparseEncoder.load(result.model, dtype="float32")
    assert encoder.encode_documents([made.synthetic_rows(1)[0]["positive"]]).nnz > 0
    most = {"csr": 8, "ncl": 100, "deepimpact": 9}  # no lambda: k latents, what relu leaves, words of a text
    if name in most:
        assert mean(result.rows, "document_terms", "last") <= most[name]
        return
    raised = HIGH.get(name, {"regularizer__document_lambda": 30.0, "regularizer__query_lambda": 30.0})
    high = made.quick_recipe(name, base, rows_file, **(tiny | raised))
    pruned = train(high, tmp_path / "high")
    assert mean(pruned.rows, "document_terms", "last") < 0.9 * mean(result.rows, "document_terms", "last")


def test_every_value_names_its_source():
    """A comment on each value that a publication decides: losses, lambdas, schedule, sizes."""
    for path in RECIPES.glob("*.toml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            key = line.partition("=")[0].strip()
            if (
                key in {"document_lambda", "query_lambda", "steps", "batch_size", "lr", "base"}
                and "0.0" not in line
            ):
                text = path.read_text(encoding="utf-8")
                assert "#" in line or "values from" in text.lower(), f"{path.name}: {line}"


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_toml_round_trip(name):
    recipe = load_recipe(name)
    assert recipe_from_table(tomllib.loads(recipe.to_toml()), "x") == recipe


def test_override_and_assignments():
    values = dict(
        parse_assignment(text)
        for text in (
            "train.lr=1e-5",
            "model.base=some/model",
            "loss.kl=1",
            "loss.teachers=['bm25']",
            "data.one_source_per_batch=false",
        )
    )
    recipe = Recipe().override({**values, "data.sources": [{"path": "a.jsonl", "weight": 2}]})
    assert recipe.train.lr == 1e-5 and recipe.model.base == "some/model"
    assert recipe.loss.teachers == ("bm25",) and recipe.data.one_source_per_batch is False
    assert recipe.data.sources[0].path == "a.jsonl" and recipe.data.sources[0].weight == 2.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train.learning_rate": 1}, "train.learning_rate: no such field; there are accumulation"),
        ({"train.lr": "fast"}, "train.lr: expected float, got 'fast'"),
        ({"train.steps": 1.5}, "train.steps: expected int, got 1.5"),
        ({"train.steps": True}, "train.steps: expected int, got True"),
        ({"loss.candidates": "some"}, "loss.candidates: 'some' is not one of all"),
        ({"data.sources": "x"}, "data.sources: expected a list"),
        ({"data.sources": [{"file": "x"}]}, "data.sources.file: no such field"),
        ({"train.batch_size": 0}, "train.batch_size must be at least 1, got 0"),
        ({"regularizer.document_lambda": -1.0}, "document_lambda must be at least 0, got -1.0"),
        (
            {"loss.teachers": ["bm25"], "loss.teacher_weights": [1.0, 2.0]},
            "1 loss.teachers and 2 loss.teacher_weights",
        ),
        ({"nonsense": 1}, "nonsense: no such field"),
    ],
)
def test_bad_values_name_the_field(values, message):
    with pytest.raises(InvalidInputError, match=message):
        Recipe().override(values)


def test_unknown_recipe_and_broken_file(tmp_path):
    with pytest.raises(InvalidInputError, match="recipe spladee: not a file, and not one of ance, csr, "):
        load_recipe("spladee")
    (tmp_path / "x.toml").write_text("train = [")
    with pytest.raises(InvalidInputError, match=r"x.toml: not TOML: "):
        load_recipe(tmp_path / "x.toml")
    with pytest.raises(InvalidInputError, match="--set lr: expected field=value"):
        parse_assignment("lr")


def test_sections_that_python_code_makes_are_checked_as_those_of_a_file() -> None:
    """A section with a value of another type was a TypeError, or taken: teachers of one letter each."""
    recipe = load_recipe("l0")
    refused = 0
    for name in ("model", "data", "loss", "regularizer", "train", "probe"):
        section = getattr(recipe, name)
        for field in dataclasses.fields(section):
            for odd in (b"x", {"a": 1}, object(), float("nan"), 10**400):
                with pytest.raises(InvalidInputError) as told:
                    dataclasses.replace(recipe, **{name: dataclasses.replace(section, **{field.name: odd})})
                assert len(str(told.value).splitlines()) == 1 and len(str(told.value)) < 300
                refused += 1
        with pytest.raises(InvalidInputError, match=f"recipe l0: {name}: expected "):
            dataclasses.replace(recipe, **{name: "x"})
    assert refused > 400
    with pytest.raises(InvalidInputError, match=r"loss\.teachers: expected a list, got 'cross:x'"):
        dataclasses.replace(recipe, loss=LossConfig(teachers="cross:x"))
    for field in dataclasses.fields(MiningConfig):
        for odd in (None, b"x", {"a": 1}, object(), float("nan"), 10**400, -1):
            if (field.name, odd) == ("seed", -1):
                continue
            with pytest.raises(InvalidInputError):
                MiningConfig(**{field.name: odd})


@pytest.mark.parametrize("field", ["model.dropout", "model.lora_dropout"])
def test_a_rate_above_one_is_refused_by_name(field):
    with pytest.raises(InvalidInputError, match=field):
        Recipe().override({field: 1.5})
    Recipe().override({field: 1.0})
