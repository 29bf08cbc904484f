"""The sizes of the bundled encoder: `tiny` runs four of its six layers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from splade_engine import SearchEngine, SparseEncoder
from splade_engine.encoder.folders.hub import MODELS
from splade_engine.errors import CheckpointError, EncoderMismatchError

TEXTS = [
    "The gravity of the moon pulls the sea towards it, twice a day.",
    "Yeast turns sugar into gas, and the dough rises.",
    "A weakened virus teaches the immune system to make antibodies.",
]


@pytest.fixture(scope="module")
def tiny() -> SparseEncoder:
    return SparseEncoder.load("tiny", dtype="float32")


def test_vectors_are_close_and_queries_the_same(tiny: SparseEncoder) -> None:
    whole = SparseEncoder.load(dtype="float32")
    found, wanted = (e.encode_documents(TEXTS).to_scipy().toarray() for e in (tiny, whole))
    cosine = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert (cosine > 0.9).all() and (cosine < 0.9999).all()
    asked = ["lunar pull on the ocean", "immunity"]
    np.testing.assert_array_equal(
        tiny.encode_queries(asked).to_scipy().toarray(), whole.encode_queries(asked).to_scipy().toarray()
    )
    assert tiny.vocabulary == whole.vocabulary
    assert tiny.checkpoint.settings == whole.checkpoint.settings
    assert tiny.fingerprint() != whole.fingerprint()


def test_four_layers() -> None:
    layers = [
        json.loads((MODELS / size / "config.json").read_text())["num_hidden_layers"]
        for size in ("default", "tiny")
    ]
    assert layers == [6, 4]


def test_an_index_remembers_the_size_and_not_where_it_lies(tiny: SparseEncoder, tmp_path: Path) -> None:
    assert tiny.source == "tiny"
    SearchEngine.build(tmp_path / "index", TEXTS, encoder=tiny)
    assert str(MODELS) not in (tmp_path / "index" / "manifest.json").read_text()
    engine = SearchEngine.open(tmp_path / "index")
    assert engine.encoder.name == "splade-engine-tiny"
    assert engine.search("lunar pull on the ocean")[0].text == TEXTS[0]
    with pytest.raises(EncoderMismatchError, match="splade-engine-tiny"):
        SearchEngine.open(tmp_path / "index", encoder="bundled")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"base": "../default"}, "only default"),
        ({"base": "tiny"}, "only default"),
        ({"base": 5}, "only default"),
        ({"base": ["default"]}, "only default"),
        ({"quantized": False}, "of a compact folder"),
        ({"dense_head": "../tiny/model.safetensors"}, "dense_head|leaves|outside"),
    ],
)
def test_a_base_is_the_bundled_encoder_or_none(changed: dict[str, object], why: str, tmp_path: Path) -> None:
    shutil.copytree(MODELS / "tiny", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["splade_engine"] |= changed
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=why):
        SparseEncoder.load(tmp_path / "model")


def test_a_copy_gives_the_same_vectors(tiny: SparseEncoder, tmp_path: Path) -> None:
    tiny.save(tmp_path / "saved")
    shutil.copytree(MODELS / "tiny", tmp_path / "copied")
    wanted = tiny.encode_documents(TEXTS).to_scipy()
    for name in ("saved", "copied"):
        again = SparseEncoder.load(tmp_path / name, dtype="float32")
        assert abs(again.encode_documents(TEXTS).to_scipy() - wanted).max() < 1e-5
