"""`python -m scripts.train_default` on invented collections and a tiny encoder: sources, run, export."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from scripts.train_default import data as default_data
from scripts.train_default import model as default_model
from scripts.train_default.__main__ import main
from splade_engine.encoder import SparseEncoder
from splade_engine.training.recipe.recipe import load_recipe
from splade_engine.training.run.trainer import SparseTrainer
from tests.scripts.train_default import test_data as data_test
from tests.training import made

folder = data_test.folder  # the invented collections


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    words = sorted(
        set(re.findall(r"[a-z]+", data_test.PASSAGE.lower())) | {"lamp", "question", "wiki", "qamr"}
    )
    digits = [str(i) for i in range(10)] + [f"##{i}" for i in range(10)]
    out = tmp_path_factory.mktemp("models") / "base"
    return made.lexical_bert(out, head=False, words=[*words, *digits, "[unused0]"], positions=512)


def test_data_to_compact_folder(tmp_path, folder, base, monkeypatch, capsys, no_curves):
    monkeypatch.setattr(default_data, "DISTRACTORS", 4)
    # tokens of a tiny vocabulary are all common: a threshold on its own scale
    monkeypatch.setattr(default_model, "COMMON", 0.3)
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("the card")
    (out / "config.json").write_text("{}")  # as in the folder of a model that is replaced
    call = [str(folder), str(out), "--work", str(tmp_path / "work"), "--base", str(base), "--steps", "3"]

    def killed(self, *args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SparseTrainer, "training_step", killed)
        main(call)
    data = tmp_path / "work" / "data"
    assert {path.stem for path in data.glob("*.jsonl")} == set(default_model.SHARES)
    written = (data / "idf.json").stat().st_mtime_ns
    assert main([*call[:-1], "4"]) == 2  # another number of steps is another run
    assert "begun with 3 steps, now 4" in capsys.readouterr().err
    assert main([*call, "--apart", str(folder / "train" / "qamr")]) == 2
    assert "data: made with apart = []" in capsys.readouterr().err
    assert main(call) == 0
    assert (data / "idf.json").stat().st_mtime_ns == written

    recipe = load_recipe(tmp_path / "work" / "run" / "recipe.toml")
    assert [Path(s.path).stem for s in recipe.data.sources] == list(default_model.ORDER)
    table = json.loads((data / "idf.json").read_text())
    assert table["[CLS]"] == table["[unused0]"] == 0 and table["the"] == 0
    assert 0.3 <= min(w for w in table.values() if w) < 1.5
    further = load_recipe(tmp_path / "work" / "further" / "recipe.toml")
    assert further.model.base == str(tmp_path / "work" / "run" / "model") and not further.model.align
    assert (further.train.steps, further.loss.term) == (2, 0.02)
    bank = load_recipe(tmp_path / "work" / "bank" / "recipe.toml")
    assert bank.model.base == str(tmp_path / "work" / "further" / "model") and bank.loss.bank == 2
    assert {Path(s.path).stem: s.weight for s in bank.data.sources} == default_model.SHARES
    head = load_recipe(tmp_path / "work" / "head" / "recipe.toml")
    assert head.model.base == str(tmp_path / "work" / "bank" / "model") and head.model.dense_head == 2.5
    assert head.data.sources == bank.data.sources and head.loss.term_start == 1
    trained = load_file(tmp_path / "work" / "head" / "model" / "query_weights.safetensors")["weight"]
    exported = load_file(out / "query_weights.safetensors")["weight"]
    np.testing.assert_array_equal(exported, trained)
    assert 0 < np.count_nonzero(exported) < len(exported)
    assert (out / "README.md").read_text() == "the card"
    section = json.loads((out / "config.json").read_text())["splade_engine"]
    assert section["query_counts"] is True and section["query_top_k"] == 32
    assert section["min_weight"] == 0.35 and section["max_length"] == 512 and section["top_k"] == 320
    encoder = SparseEncoder.load(out)
    assert encoder.inference_free and encoder.encode_documents([data_test.PASSAGE]).nnz > 0

    # the last step alone gives the same folder
    assert main(["--export", str(tmp_path / "work" / "head" / "model"), str(tmp_path / "again")]) == 0
    files = ("model.safetensors", "dense_head.safetensors", "query_weights.safetensors", "tokenizer.json")
    for name in (*files, "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_only_inference_free_encoders_are_exported(tmp_path, bert_folder, capsys):
    assert main(["--export", str(bert_folder), str(tmp_path / "out")]) == 2
    assert "an inference-free one, with a query table" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
