"""A number of terms in place of a lambda."""

from __future__ import annotations

import math

import pytest
import torch

from splade_engine.training.objective.objective import Objective
from splade_engine.training.objective.parts import LossConfig
from splade_engine.training.objective.penalties import RegularizerConfig
from splade_engine.training.objective.penalties.target import FIRST, FURTHEST, PULL, RATE, START, TermTarget
from splade_engine.training.objective.vectors import Vectors


def rows(terms):
    return torch.tensor([terms] * 4)


def run(target, terms, lag, steps):
    """`terms`: lambda -> mean terms a text, reached some steps later."""
    now = terms(0.0)
    seen = []
    for step in range(1, steps + 1):
        now += (terms(target.weight) - now) / lag
        target.observe(rows(round(now)))
        target.after_step(step)
        seen.append(now)
    return seen


@pytest.mark.parametrize("price", [1e-3, 1.0, 40.0])
@pytest.mark.parametrize("lag", [3, 10, 30])
def test_it_holds_the_terms_whatever_a_term_costs(price, lag):
    target = TermTarget("document", 150, 0.1, ramp_steps=100)
    seen = run(target, lambda w: 900 / (1 + w / (0.1 * price)), lag, 400)
    assert seen[-100:] == pytest.approx([150] * 100, rel=0.02)
    assert target.weight == pytest.approx(0.5 * price, rel=0.05)
    assert min(seen) > 110  # it does not overshoot, even from a price that is ten times too high


def test_below_the_target_the_price_falls_and_nothing_breaks():
    target = TermTarget("document", 150, 0.1, ramp_steps=0)
    run(target, lambda w: 40, 1, 300)
    assert target.weight == pytest.approx(0.1 * FIRST / FURTHEST / math.exp(PULL))
    target.observe(rows(0))
    target.after_step(301)
    assert 0 < target.weight < 1e-6


def test_the_way_to_the_target_is_geometric():
    target = TermTarget("document", 100, 0.1, ramp_steps=10)
    target.observe(rows(400))
    target.after_step(1)
    assert target.wanted(0) == pytest.approx(400) and target.wanted(5) == pytest.approx(200)
    assert target.wanted(10) == target.wanted(99) == pytest.approx(100)
    # 400 where 348 are wanted: log 1.149 is .139
    off = math.log(400 / target.wanted(1))
    assert off == pytest.approx(0.1386, abs=1e-4)
    before = target.weight
    assert before == pytest.approx(0.1 * FIRST * math.exp((RATE + PULL) * off))
    target.after_step(2)  # a step without a text changes nothing
    assert target.weight == before
    low = TermTarget("document", 100, 0.1, ramp_steps=10)
    low.observe(rows(20))
    low.after_step(1)
    assert low.wanted(1) == pytest.approx(100)


def vectors(active):
    documents = torch.zeros(2, 2, 50)
    documents[..., :active] = 1.0
    documents[1, 1] = 0
    valid = torch.tensor([[True, True], [True, False]])
    return Vectors(documents[:, 0], documents, valid, torch.zeros(2, 4, dtype=torch.bool), True)


def test_objective_uses_and_resumes_it():
    config = RegularizerConfig(
        document_lambda=0.5, document_terms=10, query="flops", query_terms=40, document_threshold=10
    )
    objective = Objective(LossConfig(), config, ramp_steps=0)
    assert objective.lambdas(1) == pytest.approx({"document": 0.5 * FIRST, "query": START * FIRST})
    for step in range(1, 6):
        objective.observe(vectors(20))
        objective.after_step(step)
    found = objective.lambdas(5)
    # twice too many documents' terms, half the queries'; missing documents do not count
    assert found["document"] == pytest.approx(0.5 * FIRST * 2 ** (5 * RATE + PULL))
    assert found["query"] == pytest.approx(START * FIRST / 2 ** (5 * RATE + PULL))
    other = Objective(LossConfig(), config, ramp_steps=0)
    other.load_state(objective.state(), "cpu")
    for each in (objective, other):
        each.observe(vectors(30))
        each.after_step(6)
    assert objective.lambdas(6) == other.lambdas(6) != found
