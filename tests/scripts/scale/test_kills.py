"""What the comparison after the kills finds, and the encoder that is used for it. Ray is not needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.scale.costs import Cost, pays_from
from scripts.scale.kills import Job, compared, prepare
from scripts.scale.words import WordEncoder
from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError
from splade_engine.index import SparseIndex

TEXTS = ["the moon and the sea", "bread and flour", "a ship in the wind", "night"]


@pytest.fixture
def one(tmp_path: Path) -> SparseIndex:
    return SearchEngine.build(tmp_path / "one", TEXTS, WordEncoder()).index


def found(one: SparseIndex, order: list[int]) -> tuple[list[str], list[int]]:
    return [str(row) for row in order], [one.ordinal(str(row)) for row in order]


@pytest.mark.parametrize(
    ("order", "lost", "doubled"),
    [([0, 1, 2, 3], 0, 0), ([3, 1, 0, 2], 0, 0), ([0, 1, 3], 1, 0), ([0, 1, 2, 3, 1, 1], 0, 2), ([], 4, 0)],
)
def test_what_is_missing_and_what_is_there_twice(
    one: SparseIndex, order: list[int], lost: int, doubled: int
) -> None:
    ids, ordinals = found(one, order)
    outcome = compared(ids, one.vectors(ordinals), [TEXTS[row] for row in order], one)
    assert (outcome.compared, outcome.lost, outcome.doubled, outcome.wrong) == (len(order), lost, doubled, 0)
    assert outcome.clean == (lost == doubled == 0)


def test_what_differs(one: SparseIndex) -> None:
    ids, ordinals = found(one, [0, 1, 2, 3])
    swapped = one.vectors([ordinals[1], ordinals[0], *ordinals[2:]])
    assert compared(ids, swapped, TEXTS, one).wrong == 2
    assert compared(ids, one.vectors(ordinals), [*TEXTS[:3], "day"], one).wrong == 1
    encoded = WordEncoder().encode_documents([TEXTS[int(id)] for id in one.ids()])
    assert compared(ids, encoded[ordinals], TEXTS, one, encoded).wrong == 0
    assert compared(ids, encoded[ordinals[::-1]], TEXTS, one, encoded).wrong == 4
    assert compared([*ids[:3], "other"], one.vectors(ordinals), None, one).wrong == 1


def test_the_documents_are_the_first_of_the_file_and_stay(tmp_path: Path) -> None:
    file = tmp_path / "passages.jsonl"
    file.write_text(
        "".join(json.dumps({"_id": f"p{n}", "text": text}) + "\n" for n, text in enumerate(TEXTS))
    )
    prepare(file, Job(tmp_path / "work", 3))
    assert SparseIndex.open(tmp_path / "work" / "one").ids() == ["p0", "p1", "p2"]
    prepare(file, Job(tmp_path / "work", 3))
    with pytest.raises(InvalidInputError, match="holds 3 documents, not 4"):
        prepare(file, Job(tmp_path / "work", 4))


def test_the_encoder_counts_words() -> None:
    encoder = WordEncoder()
    (terms, weights), (again, _) = encoder.encode_documents(["Sea sea moon", "moon SEA"])
    assert set(terms) == set(again) and len(terms) == 2
    np.testing.assert_allclose(sorted(weights), np.log1p([1, 2]), rtol=1e-6)
    assert encoder.fingerprint() == WordEncoder(10).fingerprint()


def test_where_the_lines_meet() -> None:
    rows = [Cost("encode", n, n * 0.002, 3 + n * 0.001) for n in (10_000, 100_000, 600_000)]
    assert pays_from(rows, 0.0) == pytest.approx(3_000)
    assert pays_from(rows, 7.0) == pytest.approx(10_000)
    slower = [Cost("build", n, n * 0.001, n * 0.002) for n in (10, 100)]
    assert pays_from(slower, 1.0) == float("inf")
