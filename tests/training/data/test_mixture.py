"""The order of examples: a pure function of their number, by weights, without held-out rows, refreshed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training.data.examples import Example
from splade_engine.training.data.mixture import TrainingSet, shuffled


class Numbers:
    """A source whose examples say where they come from."""

    def __init__(self, name: str, n: int, negatives: int = 0) -> None:
        self.name, self.n, self.negatives = name, n, negatives

    def __len__(self) -> int:
        return self.n

    def example(self, i: int, rng: np.random.Generator) -> Example:
        texts = tuple(f"n{j}" for j in range(self.negatives))
        scores = tuple(float(j) for j in range(-1, self.negatives)) if texts else None
        return Example(f"{self.name}{i}", ("p",), texts, scores)

    def documents(self) -> Iterator[str]:
        return iter(())


def made(sources, weights, **options):
    defaults = {"n_batches": 50, "batch_size": 8, "negatives": 0, "seed": 7}
    return TrainingSet(sources, weights, **(defaults | options))


@pytest.mark.parametrize("n", [1, 2, 3, 10, 64, 1000])
def test_shuffled_is_a_permutation_that_depends_on_the_seed(n):
    order = [shuffled(i, n, 1) for i in range(n)]
    assert sorted(order) == list(range(n))
    if n >= 64:
        assert order != [shuffled(i, n, 2) for i in range(n)]
        assert np.abs(np.corrcoef(order, range(n))[0, 1]) < 0.4


def test_every_row_once_an_epoch_in_a_new_order():
    data = made([Numbers("a", 40)], [0], n_batches=10)
    first, second = ([data[i].query for i in r] for r in (range(40), range(40, 80)))
    assert sorted(first) == sorted(second) == sorted(f"a{i}" for i in range(40))
    assert first != second


def test_order_is_a_function_of_the_seed():
    one, two, other = (made([Numbers("a", 40, 5)], [0], negatives=2, seed=s) for s in (7, 7, 8))
    backwards = [two[i] for i in reversed(range(len(two)))]
    assert [one[i] for i in range(len(one))] == backwards[::-1]
    assert [one[i] for i in range(40)] != [other[i] for i in range(40)]


def test_weights_decide_the_mixture_and_batches_are_pure():
    sources = [Numbers("a", 10), Numbers("b", 1000)]
    data = made(sources, [3, 1], n_batches=400)
    counts = Counter(data[i].query[0] for i in range(len(data)))
    assert 0.68 < counts["a"] / len(data) < 0.82
    for batch in range(0, len(data), 8):
        assert len({data[i].query[0] for i in range(batch, batch + 8)}) == 1
    by_size = made(sources, [0, 0], n_batches=100)
    assert Counter(by_size[i].query[0] for i in range(800))["b"] > 700


def test_mixed_batches_hold_both_sources():
    data = made([Numbers("a", 50), Numbers("b", 50)], [1, 1], one_source_per_batch=False)
    kinds = [{data[i].query[0] for i in range(b, b + 8)} for b in range(0, 400, 8)]
    assert sum(kind == {"a", "b"} for kind in kinds) > 40
    assert len({data[i].query for i in range(400)}) == 100  # every row of both is reached


def test_held_out_rows_never_appear():
    data = made([Numbers("a", 40)], [0], held_out=10)
    held = {f"a{i}" for i in data.held_out_rows()}
    assert len(held) == 10
    assert {data[i].query for i in range(len(data))} == {f"a{i}" for i in range(40)} - held
    with pytest.raises(DatasetError, match="a: 5 rows, 5 of them held out: none left"):
        made([Numbers("a", 5)], [0], held_out=5)


def test_negatives_are_drawn_with_their_scores():
    data = made([Numbers("a", 40, 6)], [0], negatives=3)
    seen = set()
    for i in range(100):
        example = data[i]
        assert len(example.negatives) == 3 and example.scores[0] == -1.0
        assert [f"n{int(s)}" for s in example.scores[1:]] == list(example.negatives)
        seen.update(example.negatives)
    assert len(seen) == 6


def test_move_and_refresh_survive_a_restart():
    data = made([Numbers("a", 400, 2)], [0], negatives=1)
    plain = [data[i] for i in range(32)]
    order = np.random.default_rng(0).permutation(16)
    data.move(8, order)
    data.refresh({9: ("fresh",)})
    moved = [data[i].query for i in range(32)]
    assert moved == [plain[i].query for i in (*range(8), *(8 + order), *range(24, 32))]
    assert data[8 + int(np.flatnonzero(order == 1)[0])].negatives == ("fresh",)
    other = made([Numbers("a", 400, 2)], [0], negatives=1)
    other.load_state(json.loads(json.dumps(data.state())))
    assert [other[i] for i in range(32)] == [data[i] for i in range(32)]
    data.move(24, np.arange(8)[::-1], keep_from=16)  # places before 16 are over
    assert [data[i].query for i in range(16, 32)] == moved[16:24] + moved[24:][::-1]
    with pytest.raises(InvalidInputError, match="not a permutation"):
        data.move(0, np.array([0, 0]))
