"""Negatives renewed by the model as it is: here, in a process beside, and what cannot be had of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from splade_engine.errors import TrainingError
from splade_engine.training.data.opening import build_training_set, open_sources
from splade_engine.training.mining.beside import FOUND, HUNT, Beside
from splade_engine.training.mining.hunt import Hunt
from splade_engine.training.mining.refresh import NegativeRefresh
from splade_engine.training.student.build import build_student
from tests.training import made


@pytest.fixture
def run(tmp_path, bert_folder):
    """A run of 8 steps whose first query has two answers, in two rows."""
    rows = made.synthetic_rows(48)
    rows.append(rows[0] | {"positive": made.synthetic_rows(60)[48]["positive"]})
    path = made.write_jsonl(tmp_path / "rows.jsonl", rows)
    settings = {
        "data__refresh_steps": 4,
        "data__refresh_depth": 5,
        "train__steps": 8,
        "data__refresh_documents": 90,
    }
    recipe = made.quick_recipe("splade-v2-max", bert_folder, path, **settings)
    sources = open_sources(recipe, tmp_path / "cache")
    start = build_student(recipe.model, sources, tmp_path / "cache")
    return SimpleNamespace(
        args=SimpleNamespace(world_size=1),
        recipe=recipe,
        training_set=build_training_set(recipe, sources),
        collator=start.collator(2),
        student=start.student,
    )


def negatives_of(run, first, last):
    examples = [run.training_set[i] for i in range(first * 12, last * 12)]
    return [(e.query, e.positives, e.negatives) for e in examples]


def test_negatives_are_hits_of_the_model_and_no_answers(run, tmp_path):
    before = negatives_of(run, 0, 4)
    NegativeRefresh(run, tmp_path)(0)
    after = negatives_of(run, 0, 4)
    assert [a[:2] for a in before] == [b[:2] for b in after]
    changed = sum(a[2] != b[2] for a, b in zip(before, after, strict=True))
    assert changed > len(after) / 2  # the rows' own are of other topics, hits are of the query's
    topic = {word: t for t in range(made.TOPICS) for word in made.topic_words(t)}
    near = [
        sum(topic[word] == topic[query.split()[0]] for word in text.split()) for query, _, (text,) in after
    ]
    far = [
        sum(topic[word] == topic[query.split()[0]] for word in text.split()) for query, _, (text,) in before
    ]
    assert sum(near) > 2 * sum(far)
    answers: dict[str, set[str]] = {}
    for query, (positive,), _ in negatives_of(run, 0, 8):
        answers.setdefault(query, set()).add(positive)
    twice = [query for query, texts in answers.items() if len(texts) > 1]
    assert twice and all(text not in answers[query] for query, _, (text,) in after)


def test_a_process_beside_finds_the_same(run, tmp_path):
    here = NegativeRefresh(run, tmp_path / "here")
    hunt = here._hunt(range(12), 0)
    want = here._hunted_here(hunt)
    beside = Beside(tmp_path / "beside")
    beside.start(0, hunt, run.student, run.collator.documents, run.collator.queries)
    assert beside.negatives(0) == want
    assert beside.negatives(0) == want  # a run that is resumed asks again
    folder = tmp_path / "beside" / "step-0"
    assert not (folder / "model").exists()
    # what was found is taken neither damaged nor from another run or step
    with pytest.raises(TrainingError, match=r"step-0: gone or damaged, and with it the negatives of step 0"):
        Beside(tmp_path / "beside", "another run").negatives(0)
    shutil.copytree(folder, tmp_path / "beside" / "step-4")
    with pytest.raises(TrainingError, match=r"step-4: gone or damaged"):
        beside.negatives(4)
    (folder / FOUND).write_text((folder / FOUND).read_text() + " ")
    with pytest.raises(TrainingError, match=r"step-0: gone or damaged"):
        beside.negatives(0)


def test_negatives_beside_come_one_renewal_later(run, tmp_path):
    run.recipe = run.recipe.override({"data.refresh_beside": True})
    before = negatives_of(run, 0, 8)
    refresh = NegativeRefresh(run, tmp_path)
    refresh(0)
    assert negatives_of(run, 0, 8) == before
    refresh(4)
    after = negatives_of(run, 0, 8)
    assert after[: 6 * 12] == before[: 6 * 12]  # and two batches that may have been read ahead
    assert after[6 * 12 :] != before[6 * 12 :]
    refresh(8)  # the run is over: nothing is begun
    refresh.close()
    assert not (tmp_path / "cache" / "refresh" / "step-4").exists()


def test_hits_that_answer_are_passed_over():
    hunt = Hunt([7, 9], ["a", "b"], [[0, 3], []], list("pqrstu"), length=9, depth=2, negatives=2, seed=[1])
    assert hunt.hits == 4
    import numpy as np

    found = hunt.drawn(np.array([[3, 1, 0, 5], [2, -1, -1, -1]]))
    assert found == {7: ("q", "u"), 9: ("r",)}


def test_a_hunt_that_fails_or_is_gone_is_told(run, tmp_path):
    beside = Beside(tmp_path)
    with pytest.raises(TrainingError, match=r"step-4: gone or damaged, and with it the negatives of step 4"):
        beside.negatives(4)
    hunt = NegativeRefresh(run, tmp_path / "here")._hunt(range(2), 0)
    beside.start(0, replace(hunt, pool=[]), run.student, run.collator.documents, run.collator.queries)
    with pytest.raises(TrainingError, match=r"renewing the negatives of step 0 failed \(.+\)"):
        beside.negatives(0)
    beside.start(4, hunt, run.student, run.collator.documents, run.collator.queries)
    beside.close()
    assert (tmp_path / "step-4" / HUNT).is_file()
    again = Beside(tmp_path)  # after a kill: begun again from what was written down
    assert set(again.negatives(4)) == set(hunt.numbers)
