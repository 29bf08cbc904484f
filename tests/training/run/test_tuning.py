"""Fine-tuning: settings and query table stay, the start is measured, Ctrl-C and the clock save."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.folders.reading import is_encoder, read_checkpoint
from splade_engine.errors import InvalidInputError, TrainingError
from splade_engine.files import read_json, write_json
from splade_engine.training.recipe.recipe import load_recipe
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.run.checkpoints import last_checkpoint
from splade_engine.training.run.curves import draw_curves
from splade_engine.training.run.health import check_fall
from splade_engine.training.run.monitor import RunLog
from splade_engine.training.run.run import train
from splade_engine.training.run.watch import Watch
from splade_engine.training.student.build import build_student
from splade_engine.training.student.encode import encode
from splade_engine.training.student.saving import save_student
from tests.training import made

TEXTS = [" ".join(made.topic_words(t)[: 2 + t]) for t in range(6)] + ["bara bara bulu", ""]
OWN = {
    "pooling": "max",
    "activation": "log1p_log1p_relu",
    "special_tokens": "zero",
    "min_weight": 0.4,
    "top_k": 9,
    "query_counts": True,
    "query_top_k": 4,
    "max_length": 48,
}


@pytest.fixture(scope="module")
def encoder_folder(bert_folder, tmp_path_factory):
    """A sparse encoder with a query table and settings that are nobody's default."""
    root = tmp_path_factory.mktemp("encoder")
    config = ModelConfig(
        base=str(bert_folder), query="table", idf="uniform", document_length=32, preflight=False
    )
    start = build_student(config, [], root / "cache")
    with torch.no_grad():
        start.student.table.copy_(0.5 + torch.rand(start.student.n_terms, generator=torch.manual_seed(0)))
    save_student(start.student, root / "model", start.documents, start.queries)
    path = root / "model" / "config.json"
    content = read_json(path)
    content["splade_engine"].update(OWN)
    write_json(path, content)
    return root / "model"


def own(folder, **said):
    """The model section of a run from `folder`; eight sentences of English are one [UNK] to it."""
    return ModelConfig(**({"base": str(folder), "document_length": 32, "preflight": False} | said))


def settings_of(folder):
    settings = read_checkpoint(folder).settings
    return {name: getattr(settings, name) for name in OWN}


def test_what_is_fine_tuned_keeps_its_settings_and_table(encoder_folder, rows_file, tmp_path, no_curves):
    recipe = made.quick_recipe("tune", encoder_folder, rows_file, train__steps=2, model__document_length=8)
    result = train(recipe, tmp_path / "run")
    assert settings_of(result.model) == OWN  # max_length 48 and not the 8 of training
    before, after = (load_file(f / "query_weights.safetensors") for f in (encoder_folder, result.model))
    assert np.array_equal(before["weight"], after["weight"])
    tokens = read_json(result.model / "tokenizer_config.json")
    assert tokens["model_max_length"] == 48


def test_the_start_is_the_encoder_that_is_fine_tuned(encoder_folder, tmp_path):
    config = own(encoder_folder, document_length=48, query_length=48)
    start = build_student(config, [], tmp_path)
    start.student.eval()
    encoder = SparseEncoder.load(encoder_folder, dtype="float32")
    for side, want in (
        ("document", encoder.encode_documents(TEXTS)),
        ("query", encoder.encode_queries(TEXTS)),
    ):
        found = encode(start.student, start.collator(1), TEXTS[:-1], side).toarray()
        np.testing.assert_allclose(found, want.to_scipy().toarray()[:-1], atol=2e-5)
        assert found.any(1).all()


def test_light_terms_are_cut_where_it_is_measured_and_not_where_it_learns(encoder_folder, tmp_path):
    config = own(encoder_folder, document_top_k=0, dropout=0.0)
    start = build_student(config, [], tmp_path)
    ids, mask, pool = start.collator(1).encoded("document", TEXTS[:3])
    trained = start.student.train().document_vectors(ids, mask, pool)
    measured = start.student.eval().document_vectors(ids, mask, pool)
    assert ((trained > 0) & (trained < 0.4)).any()
    assert torch.equal(measured, torch.where(trained >= 0.4, trained, 0.0))


TOLD = {
    "activation": ({"activation": "relu"}, {"activation": "relu"}),
    "pooling": ({"pooling": "sum"}, {"pooling": "sum"}),
    "no limits": (
        {"document_top_k": 0, "query_top_k": 0, "min_weight": 0.0},
        {"top_k": None, "query_top_k": None, "min_weight": 0.0},
    ),
    "presence": ({"query_counts": "presence"}, {"query_counts": False}),
    "length": ({"max_length": 20}, {"max_length": 20}),
}


@pytest.mark.parametrize("name", TOLD)
def test_the_recipe_can_say_otherwise_and_it_is_logged(name, encoder_folder, tmp_path, caplog):
    said, expected = TOLD[name]
    start = build_student(own(encoder_folder, **said), [], tmp_path)
    settings = start.student.documents.settings
    assert {k: getattr(settings, k) for k in OWN} == OWN | expected
    (line,) = [r.getMessage() for r in caplog.records if "changes what it was made with" in r.getMessage()]
    assert all(f"{k} {OWN[k]} to {v}" in line for k, v in expected.items())


def test_a_base_that_is_no_encoder_gets_the_defaults(bert_folder, tmp_path, caplog):
    start = build_student(
        ModelConfig(base=str(bert_folder), document_length=32, preflight=False), [], tmp_path
    )
    settings = start.student.documents.settings
    found = {name: getattr(settings, name) for name in OWN}
    assert found == {
        "pooling": "max",
        "activation": "log1p_relu",
        "special_tokens": "zero",
        "min_weight": 0.0,
        "top_k": None,
        "query_counts": False,
        "query_top_k": None,
        "max_length": 32,
    }
    assert not start.student.inference_free
    assert not any("changes" in r.getMessage() for r in caplog.records)


def test_pairs_are_kept(encoder_folder, rows_file, tmp_path, no_curves):
    encoder = SparseEncoder.load(encoder_folder, device="cpu", dtype="float32")
    encoder.save_with_phrases(tmp_path / "pairs", buckets=64, factor=0.5)
    recipe = made.quick_recipe("tune", tmp_path / "pairs", rows_file, train__steps=2)
    result = train(recipe, tmp_path / "run")
    settings = read_checkpoint(result.model).settings
    assert (settings.phrase_terms, settings.phrase_buckets, settings.phrase_factor) == ("pairs", 64, 0.5)
    tuned = SparseEncoder.load(result.model, device="cpu", dtype="float32")
    assert tuned.n_terms == encoder.n_terms + 64
    assert (tuned.encode_documents(TEXTS[:4]).terms >= encoder.n_terms).any()
    start = build_student(
        own(tmp_path / "pairs", query="separate", query_base=str(encoder_folder)), [], tmp_path
    )
    save_student(start.student, tmp_path / "pair", start.documents, start.queries)
    assert SparseEncoder.load(tmp_path / "pair", device="cpu").n_terms == encoder.n_terms + 64


def test_a_limit_beyond_the_models_positions_is_refused(encoder_folder, tmp_path):
    with pytest.raises(InvalidInputError, match=r"max_length 65: .* takes 64 tokens"):
        build_student(own(encoder_folder, max_length=65), [], tmp_path)


def test_which_folders_are_encoders(bert_folder, encoder_folder, tmp_path):
    assert is_encoder(encoder_folder) and not is_encoder(bert_folder)
    pair = ModelConfig(base=str(bert_folder), query="separate", document_length=32, preflight=False)
    start = build_student(pair, [], tmp_path / "cache")
    save_student(start.student, tmp_path / "pair", start.documents, start.queries)
    assert is_encoder(tmp_path / "pair")
    again = build_student(own(tmp_path / "pair"), [], tmp_path / "cache").student
    assert again.queries is not None  # two models stay two models
    assert again.documents.settings.max_length == 32


def test_the_bundled_encoder_is_read_with_its_settings(tmp_path):
    """What `-m bundled` starts from; the student itself is as large as the encoder."""
    start = build_student(load_recipe("tune").model, [], tmp_path)
    settings = start.student.documents.settings
    assert (settings.min_weight, settings.top_k, settings.query_top_k) == (0.35, 320, 32)
    assert settings.query_counts and settings.max_length == 512 and settings.activation == "log1p_relu"
    bundled = SparseEncoder.load()
    assert np.array_equal(start.student.table.detach().numpy(), bundled.query_table)


# ---- the start is measured -----------------------------------------------------------------------------

PROBED = {"data__held_out": 12, "probe__documents": 40, "train__steps": 4, "train__lr": 0.0}


def test_the_start_is_measured_once(encoder_folder, rows_file, tmp_path, no_curves):
    result = train(made.quick_recipe("tune", encoder_folder, rows_file, **PROBED), tmp_path / "run")
    measured = [row["step"] for row in result.rows if "ndcg@10" in row]
    assert measured == [0, 4]
    assert result.start_ndcg == result.ndcg is not None  # nothing was learned at a rate of 0


def test_a_fall_below_the_start_is_told_or_ends_the_run(caplog):
    recipe = load_recipe("tune").override({"probe.stop_below": 0.03})
    check_fall(0.82, 0.82, recipe, 30)
    assert not caplog.records
    check_fall(0.82, 0.80, recipe, 30)
    assert "step 30: held-out nDCG@10 is 0.8000, before the first step it was 0.8200" in caplog.text
    with pytest.raises(
        TrainingError, match=r"0\.7800.*makes the encoder worse; lower train\.lr \(now 0\.0001"
    ):
        check_fall(0.82, 0.78, recipe, 30)
    check_fall(0.82, 0.1, recipe.override({"probe.stop_below": 0.0}), 30)


def test_a_run_that_makes_it_worse_stops_without_a_model(
    encoder_folder, rows_file, tmp_path, no_curves, monkeypatch
):
    figures = iter((0.9, 0.91, 0.5))

    def measured(self, student, collator):
        return {"ndcg@10": next(figures), "probe_document_terms": 9.0, "probe_query_terms": 2.0}

    monkeypatch.setattr("splade_engine.training.run.probe.Probe.measure", measured)
    recipe = made.quick_recipe("tune", encoder_folder, rows_file, **(PROBED | {"probe__every": 2}))
    with pytest.raises(TrainingError, match=r"step 4: held-out nDCG@10 is 0\.5000, before"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
    assert is_encoder(tmp_path / "run" / "best")  # of step 2


# ---- saving at Ctrl-C and by the clock -----------------------------------------------------------------

INTERRUPTED = """
import os, signal, sys
sent = getattr(signal, sys.argv[5])
if sent is not signal.SIGINT:  # as the command line has it; what the system handles is left to it
    signal.signal(sent, signal.default_int_handler)
import torch
torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
from splade_engine.training.run import trainer
from splade_engine.training import load_recipe, train

original = trainer.SparseTrainer.training_step

def pressed(self, *args, **kwargs):
    loss = original(self, *args, **kwargs)
    if self.state.global_step + 1 == int(sys.argv[3]):
        for _ in range(int(sys.argv[4])):
            os.kill(os.getpid(), sent)
    return loss

trainer.SparseTrainer.training_step = pressed
try:
    train(load_recipe(sys.argv[1]), sys.argv[2])
except KeyboardInterrupt:
    sys.exit(130)
"""


def interrupted(recipe, folder, step, times=1, name="SIGINT"):
    file = folder.with_suffix(".toml")
    file.write_text(recipe.to_toml())
    command = [sys.executable, "-c", INTERRUPTED, str(file), str(folder), str(step), str(times), name]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_finishes_the_step_and_saves_it(name, encoder_folder, rows_file, tmp_path, no_curves):
    """And the end of a batch job, or of a terminal."""
    torch.set_num_threads(1)
    recipe = made.quick_recipe("tune", encoder_folder, rows_file, train__steps=9, train__save_steps=500)
    ended = interrupted(recipe, tmp_path / "cut", 5, name=name)
    assert ended.returncode == 130, ended.stderr
    assert "stopping after this step, with a checkpoint" in ended.stderr
    assert last_checkpoint(tmp_path / "cut").name == "checkpoint-5"
    assert not (tmp_path / "cut" / "model").exists()
    resumed, straight = train(recipe, tmp_path / "cut", resume=True), train(recipe, tmp_path / "straight")
    a, b = (load_file(r.model / "model.safetensors") for r in (resumed, straight))
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_a_second_ctrl_c_does_not_wait(encoder_folder, rows_file, tmp_path):
    recipe = made.quick_recipe("tune", encoder_folder, rows_file, train__steps=9, train__save_steps=500)
    ended = interrupted(recipe, tmp_path / "cut", 5, times=2)
    assert ended.returncode == 130, ended.stderr
    assert last_checkpoint(tmp_path / "cut") is None


def test_resuming_a_run_without_a_checkpoint_says_that_it_begins_again(
    encoder_folder, rows_file, tmp_path, no_curves, caplog
):
    recipe = made.quick_recipe("tune", encoder_folder, rows_file, train__steps=3, train__save_steps=500)
    assert interrupted(recipe, tmp_path / "cut", 2, times=2).returncode == 130
    train(recipe, tmp_path / "cut", resume=True)
    assert "it has no checkpoint, so the run starts with its first step again" in caplog.text


def test_ctrl_c_is_as_before_after_a_run(encoder_folder, rows_file, tmp_path, no_curves):
    before = signal.getsignal(signal.SIGINT)
    train(made.quick_recipe("tune", encoder_folder, rows_file, train__steps=1), tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("minutes", "saved"), [(1.0, [3, 6, 9]), (0.0, [])])
def test_checkpoints_by_the_clock(
    encoder_folder, rows_file, tmp_path, no_curves, monkeypatch, minutes, saved
):
    """Every step takes 25 seconds of a clock that stands still otherwise."""
    now = [1000.0]
    monkeypatch.setattr("splade_engine.training.run.watch.time", ticking := type("clock", (), {})())
    ticking.monotonic, ticking.perf_counter = lambda: now[0], time.perf_counter
    original = Watch.on_step_end

    def later(self, *args, **kwargs):
        now[0] += 25
        original(self, *args, **kwargs)

    monkeypatch.setattr(Watch, "on_step_end", later)
    seen = []
    marked = Watch.on_save

    def noted(self, args, state, control, **kwargs):
        marked(self, args, state, control, **kwargs)
        seen.append(state.global_step)

    monkeypatch.setattr(Watch, "on_save", noted)
    how = {"train__steps": 10, "train__save_steps": 0, "train__save_minutes": minutes}
    train(made.quick_recipe("tune", encoder_folder, rows_file, **how), tmp_path / "run")
    assert [step for step in seen if step < 10] == saved
    if saved:
        assert last_checkpoint(tmp_path / "run").name.startswith("checkpoint-")


# ---- curves, and the log ---------------------------------------------------------------------------------


def test_a_single_point_is_drawn(tmp_path):
    from matplotlib.image import imread

    rows = [{"step": 30, "ndcg@10": 0.8}]
    draw_curves(rows, tmp_path / "one.png", "run")
    draw_curves([], tmp_path / "none.png", "run")
    one, none = (imread(tmp_path / f"{name}.png") for name in ("one", "none"))
    blue = np.array([0x1F, 0x77, 0xB4]) / 255  # the first colour of matplotlib

    def points(image):
        return int((np.abs(image[:, :, :3] - blue).max(2) < 0.02).sum())

    assert points(none) == 0 and points(one) >= 15


def test_the_log_holds_the_start(encoder_folder, rows_file, tmp_path, no_curves):
    train(made.quick_recipe("tune", encoder_folder, rows_file, **PROBED), tmp_path / "run")
    first = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    assert first["step"] == 0 and 0 < first["ndcg@10"] <= 1 and first["probe_document_terms"] <= 9
    assert RunLog(tmp_path / "run" / "log.jsonl").rows()[0] == first
