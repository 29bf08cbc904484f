"""Documents that lend their terms: the formula, what a row depends on, and folders that carry them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder, neighbours
from splade_engine.encoder.neighbours import Neighbours, NeighbourSettings, write_neighbours
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.vectors import SparseVectors
from tests.encoder import zoo
from tests.encoder.made import random_texts

N_TERMS = 50


def made(rows: int, seed: int, empty: float = 0.1) -> SparseVectors:
    draw = np.random.default_rng(seed)
    dense = draw.uniform(0.3, 3, (rows, N_TERMS)) * (draw.random((rows, N_TERMS)) < 0.2)
    dense[draw.random(rows) < empty] = 0
    return SparseVectors.from_dicts([{t: row[t] for t in np.flatnonzero(row)} for row in dense], N_TERMS)


def dense(vectors: SparseVectors) -> np.ndarray:
    return vectors.to_scipy().toarray().astype(np.float64)


def lent(vectors: SparseVectors, documents: SparseVectors, settings: NeighbourSettings) -> np.ndarray:
    """The formula at the head of the module, one row after the other."""
    rows, lenders = dense(vectors), dense(documents)
    counts = (lenders > 0).sum(axis=0)
    idf = np.log1p((len(lenders) - counts + 0.5) / (counts + 0.5))
    out = rows.copy()
    for i, row in enumerate(rows):
        cosines = np.zeros(len(lenders))
        for j, lender in enumerate(lenders):
            lengths = np.linalg.norm(row * idf) * np.linalg.norm(lender * idf)
            cosines[j] = (row * idf) @ (lender * idf) / lengths if lengths else 0
        cosines[cosines > 0.999] = 0
        nearest = np.argsort(-cosines, kind="stable")[: settings.count]
        if cosines[nearest].sum() > 0:
            mean = cosines[nearest] @ lenders[nearest] / cosines[nearest].sum() * settings.share
            out[i] = np.maximum(row, np.where(mean < settings.least, 0, mean))
    return out


@pytest.mark.parametrize("seed", range(8))
def test_lends_what_the_formula_says(seed: int) -> None:
    draw = np.random.default_rng(seed)
    settings = NeighbourSettings(
        count=int(draw.integers(1, 40)), share=float(draw.uniform(0, 2)), least=float(draw.uniform(0, 0.5))
    )
    documents, texts = made(30, seed), made(12, seed + 100)
    together = SparseVectors.concat([documents[:9], texts])
    found = Neighbours(documents, settings).lend(together)
    np.testing.assert_allclose(dense(found), lent(together, documents, settings), rtol=1e-5, atol=1e-6)
    assert (dense(found) >= dense(together) - 1e-7).all(), "nothing becomes lighter"


def test_a_row_depends_on_nothing_but_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    documents, texts = made(40, 1), made(25, 2)
    whole = Neighbours(documents, NeighbourSettings(count=5)).lend(texts)
    assert whole == SparseVectors.concat(
        [Neighbours(documents, NeighbourSettings(count=5)).lend(texts[i]) for i in range(len(texts))]
    )
    monkeypatch.setattr(neighbours, "_BLOCK", 100)
    assert whole == Neighbours(documents, NeighbourSettings(count=5)).lend(texts)


def test_a_copy_lends_nothing() -> None:
    one = SparseVectors.from_dicts([{1: 2.0, 3: 1.0}, {7: 1.0}], N_TERMS)
    copies = SparseVectors.concat([one[:1], one[:1], one[1:]])
    assert Neighbours(copies, NeighbourSettings(least=0)).lend(one) == one


def test_nothing_to_lend_and_nobody_to_lend_to() -> None:
    empty, texts = SparseVectors.empty(N_TERMS, 3), made(5, 3)
    assert Neighbours(empty, NeighbourSettings()).lend(texts) == texts
    assert Neighbours(texts, NeighbourSettings()).lend(empty) == empty
    assert Neighbours(texts, NeighbourSettings()).lend(texts[:0]) == texts[:0]
    with pytest.raises(InvalidInputError, match="vectors over 3 terms, but their neighbours over 50"):
        Neighbours(texts, NeighbourSettings()).lend(SparseVectors.empty(3, 1))


@pytest.mark.parametrize(
    "values",
    [{"count": 0}, {"count": 2.0}, {"count": True}, {"share": -1}, {"share": float("nan")}, {"least": "1"}],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(values))):
        NeighbourSettings(**values)  # type: ignore[arg-type]


# ---- in a model folder ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.make("adapted", tmp_path_factory.mktemp("models") / "adapted")


def load(folder: Path) -> SparseEncoder:
    return SparseEncoder.load(folder, device="cpu", dtype="float32")


def test_documents_borrow_and_queries_do_not(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(folder, alone)
    (alone / "neighbours.json").unlink()
    (alone / "neighbours.arrow").unlink()
    texts = random_texts(9, seed=21)
    adapted, base = load(folder), load(alone)
    assert adapted.neighbours is not None and base.neighbours is None
    expected = adapted.neighbours.lend(base.encode_documents(texts))
    assert adapted.encode_documents(texts) == expected
    assert expected.nnz > base.encode_documents(texts).nnz
    assert adapted.encode_documents(texts, top_k=5).row_nnz.max() == 5
    assert adapted.encode_queries(texts) == base.encode_queries(texts)
    assert adapted.fingerprint()["hash"] != base.fingerprint()["hash"]


def test_saving_keeps_them(folder: Path, tmp_path: Path) -> None:
    encoder = load(folder)
    encoder.save(tmp_path / "saved")
    saved = load(tmp_path / "saved")
    texts = random_texts(5, seed=3)
    assert saved.neighbours is not None
    assert saved.encode_documents(texts) == encoder.encode_documents(texts)


def test_as_onnx_they_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="export the encoder that it was adapted from"):
        load(folder).export_onnx(tmp_path / "onnx")


def test_phrases_come_first(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="its neighbours lack phrase terms"):
        load(folder).save_with_phrases(tmp_path / "phrases")
    assert not (tmp_path / "phrases").exists()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("[]", "expected a JSON object, got list"),
        ('{"format": 2}', "not neighbours of format 1"),
        ("{", "not JSON"),
        ('{"format": true, "count": 1, "share": 1, "least": 0}', "not neighbours of format 1"),
        ('{"format": 1, "count": 0, "share": 1, "least": 0}', "count: a whole number from 1 to 1000"),
        ('{"format": 1, "count": 1, "share": NaN, "least": 0}', "share: a number from 0 to 10"),
        ('{"format": 1, "count": 1, "share": 1}', "'least' is missing"),
        ('{"format": 1, "count": 1, "share": 1, "least": 0, "k": 7}', "'k' is not known"),
        ('{"format": 1, "count": 1, "share": 1, "least": 0, "\\u001b[31m": 7}', "'.x1b.31m' is not known"),
        (f'{{"format": 1, "count": 1, "share": 1, "least": 0, "{"a" * 99_999}": 7}}', "^.{,400}is not known"),
    ],
    ids=range(10),
)
def test_settings_that_are_none_are_refused(folder: Path, tmp_path: Path, record: str, message: str) -> None:
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / "neighbours.json").write_text(record)
    with pytest.raises(InvalidInputError, match=message) as error:
        load(tmp_path / "m")
    assert "neighbours.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("instead", ["nothing", "folder", "pipe", "lost link"])
@pytest.mark.parametrize("name", ["neighbours.json", "neighbours.arrow"])
def test_one_file_without_the_other_is_refused(folder: Path, tmp_path: Path, name: str, instead: str) -> None:
    """The encoder without its neighbours would be another one."""
    shutil.copytree(folder, tmp_path / "m")
    path = tmp_path / "m" / name
    path.unlink()
    if instead == "folder":
        path.mkdir()
    elif instead == "pipe":
        os.mkfifo(path)
    elif instead == "lost link":
        path.symlink_to("../gone")
    with pytest.raises(CheckpointError, match=rf"m/{name}: (is missing|a folder|a pipe|a link to a file)"):
        load(tmp_path / "m")


def test_vectors_that_are_missing_damaged_or_of_another_encoder_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "m")
    file = tmp_path / "m" / "neighbours.arrow"
    whole = file.read_bytes()
    file.unlink()
    with pytest.raises(CheckpointError, match=r"neighbours\.arrow: is missing"):
        load(tmp_path / "m")
    middle = len(whole) // 2
    for damaged in (whole[:middle], b"", whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]):
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"neighbours\.arrow"):
            load(tmp_path / "m")
    file.unlink()
    vectors = SparseVectors.empty(load(folder).n_terms, 2)
    write_neighbours(tmp_path / "m", vectors, ["a", "b"], {"hash": "0" * 32}, NeighbourSettings())
    with pytest.raises(CheckpointError, match="vectors of another encoder"):
        load(tmp_path / "m")


def test_the_record_says_how_terms_are_lent(folder: Path) -> None:
    record = json.loads((folder / "neighbours.json").read_text())
    assert record == {"format": 1, "count": 4, "share": 1.25, "least": 0.01}
