"""Teachers on another scale than the student are refused before the first step."""

from __future__ import annotations

import pytest
import torch

from splade_engine.errors import InvalidInputError
from splade_engine.training.run.run import train
from tests.training import made


@pytest.fixture(scope="module")
def cosines(tmp_path_factory, rows):
    """Rows scored as by a dense model: the documents of a query .1 apart."""
    scored = [{**row, "scores": [0.62, 0.52, 0.55]} for row in rows]
    return made.write_jsonl(tmp_path_factory.mktemp("cosines") / "rows.jsonl", scored)


@pytest.mark.parametrize("name", ["l0", "splade-pp-ed", "splade-v2-distil", "efficient-splade"])
def test_cosines_of_a_file(name, tmp_path, bert_folder, cosines, no_curves):
    recipe = made.quick_recipe(name, bert_folder, cosines, train__steps=2, loss__teacher_scale=0.0)
    loss = "kl" if recipe.loss.kl else "margin_mse"
    message = (
        rf"recipe {name}: the scores of a query's documents lie 0\.\d+ apart by the teachers and \d.* by the "
        rf"student \(means over \d+ queries\): loss.{loss} .*loss.teacher_scale = 30 .*teacher_factor = \d"
    )
    with pytest.raises(InvalidInputError, match=message) as refused:
        train(recipe, tmp_path / "run")
    assert not list((tmp_path / "run").glob("log.jsonl"))  # before the first step
    # what the message names works, and so does the number that it gives
    factor = float(str(refused.value).rpartition("teacher_factor = ")[2].split()[0])
    for number, setting in enumerate(({"loss.teacher_scale": 30.0}, {"loss.teacher_factor": factor})):
        train(recipe.override(setting), tmp_path / f"run{number}")


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        (
            "ance",
            {"data__refresh_steps": 2},
            "negatives that are found beside training come after that step, and .* 2$",
        ),
        ("splade", {"regularizer__document": "df_flops"}, "df_refresh = 100: document frequencies are first"),
        ("splade", {"loss__embed": 1.0}, "loss.embed is of a dense head: it needs model.dense_head"),
    ],
)
def test_what_would_never_happen(name, values, says, tmp_path, bert_folder, rows_file, no_curves):
    recipe = made.quick_recipe(name, bert_folder, rows_file, train__steps=2, **values)
    with pytest.raises(InvalidInputError, match=rf"recipe {name}: .*{says}"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "log.jsonl").exists()


@pytest.mark.parametrize("candidates", ["own", "all"])
def test_cosines_on_the_fly(candidates, tmp_path, bert_folder, rows_file, no_curves, monkeypatch):
    monkeypatch.setattr(
        "splade_engine.training.teachers.dense.DenseTeacher.__call__",
        lambda self, queries, documents: 0.1 * torch.rand(len(queries), len(documents)),
    )
    recipe = made.quick_recipe("l0", bert_folder, rows_file, train__steps=2, loss__kl_candidates=candidates)
    recipe = recipe.override({"loss.teachers": [f"dense:{bert_folder}"], "loss.teacher_scale": 0.0})
    with pytest.raises(InvalidInputError, match=r"loss.teacher_scale = 30"):
        train(recipe, tmp_path / "run")
    train(recipe.override({"loss.teacher_scale": 30.0}), tmp_path / "run2")


def test_teachers_of_the_whole_batch_are_asked_for_before_the_first_step(tmp_path, bert_folder, rows_file):
    recipe = made.quick_recipe("l0", bert_folder, rows_file, loss__kl_candidates="all")
    with pytest.raises(InvalidInputError, match=r"loss.kl with loss.kl_candidates = all need loss.teachers"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_is_less_sure_than_the_student_shrinks_it_and_l0_does_not_let_it(
    tmp_path, bert_folder, rows, no_curves
):
    """Scores whose margins are narrower than the student's: KL over two documents asks for these margins."""
    unsure = [{**row, "scores": [3.0, *([1.9] * len(row["negatives"]))]} for row in rows]
    data = made.write_jsonl(tmp_path / "unsure.jsonl", unsure)
    recipe = made.quick_recipe("l0", bert_folder, data, train__steps=60, train__lr=3e-3)
    terms = {}
    for name, scale in (("published", 0.0), ("default", recipe.loss.teacher_scale)):
        log = train(recipe.override({"loss.teacher_scale": scale}), tmp_path / name).rows
        seen = [row["document_terms"] for row in log if "document_terms" in row]
        terms[name] = seen[-1] / seen[0]
        assert max(seen) < recipe.regularizer.document_threshold  # nothing was penalised
    assert recipe.regularizer.document_terms == 150
    assert terms["published"] < 0.9 < 0.97 < terms["default"]
