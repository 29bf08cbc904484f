"""Runs as a whole: resuming bit for bit after a kill, collapse, memory, logs, penalties and averages."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from splade_engine.encoder import SparseEncoder
from splade_engine.errors import InvalidInputError, MissingExtraError, TrainingError
from splade_engine.training import machine
from splade_engine.training.objective.vectors import Vectors
from splade_engine.training.run import run, trainer
from splade_engine.training.run.monitor import Monitor, RunLog, progress_line
from splade_engine.training.run.run import last_checkpoint, train
from splade_engine.training.run.watch import Watch
from tests.training import made

# everything that has a state of its own: dropout, accumulation, moving average, document frequencies,
# learned idf table, new orders and new negatives
EVERYTHING = {
    "train__steps": 24,
    "train__accumulation": 2,
    "train__batch_size": 4,
    "train__save_steps": 5,
    "train__log_steps": 4,
    "model__learn_idf": True,
    "loss__self_weight": 0.3,
    "loss__self_decay": 0.9,
    "loss__contrastive": 1.0,
    "regularizer__document": "df_flops",
    "regularizer__df_refresh": 3,
    "regularizer__document_lambda": 0.1,
    "data__ngame_steps": 7,
    "data__refresh_steps": 9,
    "data__held_out": 12,
    "probe__every": 8,
    "probe__documents": 60,
}

KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from splade_engine.training.run import run
from splade_engine.training.recipe.recipe import load_recipe

original = run.Watch.on_step_end

def deadly(self, args, state, control, **kwargs):
    original(self, args, state, control, **kwargs)
    if state.global_step == 13:
        os.kill(os.getpid(), signal.SIGKILL)

run.Watch.on_step_end = deadly
run.train(load_recipe(sys.argv[1]), sys.argv[2])
"""


def weights(folder):
    return {path.name: load_file(path) for path in sorted(folder.glob("*.safetensors"))}


def logged(folder):
    """The log without the clock."""
    rows = RunLog(folder / "log.jsonl").rows()
    return [{k: v for k, v in row.items() if k != "seconds_per_step"} for row in rows]


@pytest.mark.parametrize("beside", [False, True])
def test_resume_after_kill_is_bit_exact(beside, tmp_path, bert_folder, rows_file, no_curves):
    torch.set_num_threads(1)
    settings = EVERYTHING | {"data__refresh_beside": beside}
    recipe = made.quick_recipe("idf-aware", bert_folder, rows_file, **settings)
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "recipe.toml"), str(tmp_path / "killed")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert last_checkpoint(tmp_path / "killed").name == "checkpoint-10"
    assert any(row["step"] > 10 for row in logged(tmp_path / "killed"))  # the log is ahead of the checkpoint
    # a checkpoint that was being written when the machine went down is passed over
    broken = tmp_path / "killed" / "checkpoints" / "checkpoint-12"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"half")
    resumed = train(recipe, tmp_path / "killed", resume=True)
    straight = train(recipe, tmp_path / "straight")
    a, b = weights(resumed.model), weights(straight.model)
    assert a.keys() == b.keys() == {"model.safetensors", "query_weights.safetensors"}
    for name in a:
        for key in a[name]:
            assert np.array_equal(a[name][key], b[name][key]), (name, key)
    last = [row for row in logged(tmp_path / "straight") if row["step"] > 12]
    assert [row for row in logged(tmp_path / "killed") if row["step"] > 12] == last
    assert [row["step"] for row in resumed.rows] == [row["step"] for row in straight.rows]


def test_resume_refuses_what_is_no_run(tmp_path, bert_folder, rows_file, no_curves):
    recipe = made.quick_recipe("splade-v2-max", bert_folder, rows_file, train__steps=2)
    with pytest.raises(InvalidInputError, match=r"no recipe.toml, so no run to resume"):
        train(recipe, tmp_path / "nothing", resume=True)
    train(recipe, tmp_path / "done")
    with pytest.raises(InvalidInputError, match="this run is finished, its model is in"):
        train(recipe, tmp_path / "done", resume=True)
    with pytest.raises(InvalidInputError, match="not empty; --resume continues a run"):
        train(recipe, tmp_path / "done")


def test_a_run_killed_while_it_sets_up_is_begun_anew(tmp_path, bert_folder, rows_file, no_curves):
    recipe = made.quick_recipe("splade-v2-max", bert_folder, rows_file, train__steps=2)
    leftover = tmp_path / "run" / "cache" / "aligned-base"
    leftover.mkdir(parents=True)
    assert train(recipe, tmp_path / "run").steps == 2
    (tmp_path / "other" / "notes").mkdir(parents=True)
    with pytest.raises(InvalidInputError, match="not empty"):
        train(recipe, tmp_path / "other")


def test_what_happens_before_the_first_step_is_announced(tmp_path, bert_folder, rows_file, no_curves, capsys):
    over = {
        "loss__teachers": ["bm25"],
        "loss__kl_candidates": "all",
        "data__ngame_steps": 2,
        "train__steps": 2,
    }
    recipe = made.quick_recipe("idf-aware", bert_folder, rows_file, **over)
    train(recipe, tmp_path / "run", progress=True)
    said = capsys.readouterr().err
    places = [
        said.index(text)
        for text in (
            "reading 1 source\n",
            "240 examples; base model",
            "teachers: bm25",
            "a first look",
        )
    ]
    assert places == sorted(places)


def test_a_function_is_told_of_every_step_and_may_stop_the_run(tmp_path, bert_folder, rows_file, no_curves):
    class Enough(Exception):
        pass

    calls = []

    def until_two(done, total):
        calls.append((done, total))
        if done == 2:
            raise Enough

    over = {"train__steps": 4, "train__save_steps": 1}
    recipe = made.quick_recipe("splade-v2-max", bert_folder, rows_file, **over)
    with pytest.raises(Enough):
        train(recipe, tmp_path / "run", progress=until_two)
    assert calls == [(0, 4), (1, 4), (2, 4)]
    calls.clear()
    result = train(recipe, tmp_path / "run", resume=True, progress=lambda *numbers: calls.append(numbers))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]  # from the last checkpoint on
    assert result.steps == 4


def test_resume_without_checkpoint_starts_again(tmp_path, bert_folder, rows_file, no_curves):
    recipe = made.quick_recipe("splade-v2-max", bert_folder, rows_file, train__steps=3)
    folder = tmp_path / "early"
    folder.mkdir()
    (folder / "recipe.toml").write_text(recipe.to_toml())
    assert train(recipe, folder, resume=True).steps == 3


def test_collapse_stops_the_run_with_advice(tmp_path, bert_folder, rows_file, no_curves):
    recipe = made.quick_recipe(
        "splade-v2-max",
        bert_folder,
        rows_file,
        train__steps=200,
        train__lr=3e-2,
        train__collapse_below=5.0,
        regularizer__document_lambda=1000.0,
        regularizer__ramp="constant",
    )
    with pytest.raises(
        TrainingError, match=r"collapsed, \d\.\d terms a document .* lower regularizer.document_lambda"
    ):
        train(recipe, tmp_path / "run")


def test_out_of_memory_names_a_batch_size_that_fits(tmp_path, bert_folder, rows_file, no_curves, monkeypatch):
    original = trainer.SparseTrainer._total

    def limited(self, vectors, inputs):
        if len(vectors.queries) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return original(self, vectors, inputs)

    monkeypatch.setattr(trainer.SparseTrainer, "_total", limited)
    recipe = made.quick_recipe("splade-v2-max", bert_folder, rows_file)
    message = "out of memory at 12 queries with 24 documents of .* train.batch_size = 3 fits .tried.; with "
    with pytest.raises(TrainingError, match=message + "train.accumulation = 4 a step"):
        train(recipe, tmp_path / "run")


def test_out_of_memory_at_one_query(tmp_path, bert_folder, rows_file, no_curves, monkeypatch):
    def never(self, vectors, inputs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(trainer.SparseTrainer, "_total", never)
    recipe = made.quick_recipe("splade-v2-max", bert_folder, rows_file)
    with pytest.raises(
        TrainingError, match=r"not even one query fits; shorten model.document_length .now 32."
    ):
        train(recipe, tmp_path / "run")


def test_other_errors_stay_what_they_are(tmp_path, bert_folder, rows_file, no_curves, monkeypatch):
    def broken(self, vectors, inputs):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(trainer.SparseTrainer, "_total", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(made.quick_recipe("splade-v2-max", bert_folder, rows_file), tmp_path / "run")


def test_log_curves_and_best_model(tmp_path, bert_folder, rows_file):
    recipe = made.quick_recipe(
        "splade-v2-max", bert_folder, rows_file, data__held_out=12, probe__every=10, probe__keep_best=True
    )
    result = train(recipe, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows == result.rows
    losses = [row for row in rows if "loss" in row]
    wanted = {"contrastive", "penalty_document", "lambda_document", "document_terms", "query_terms", "flops"}
    assert wanted | {"dead_terms", "learning_rate", "seconds_per_step"} <= set(losses[-1])
    assert [row["step"] for row in rows if "ndcg@10" in row] == [0, 10, 20, 30]
    assert result.ndcg == [row["ndcg@10"] for row in rows if "ndcg@10" in row][-1]
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert SparseEncoder.load(tmp_path / "run" / "best", dtype="float32").n_terms == len(made.VOCABULARY)
    line = progress_line(losses[-1], 30)
    assert line.startswith("step 30/30  loss ") and "lambda document" in line and "terms " in line


def test_no_matplotlib_is_only_a_warning(tmp_path, bert_folder, rows_file, monkeypatch, caplog):
    def missing(*args):
        raise MissingExtraError("the curves need matplotlib")

    monkeypatch.setattr("splade_engine.training.run.curves.draw_curves", missing)
    result = train(
        made.quick_recipe("splade-v2-max", bert_folder, rows_file, train__steps=2), tmp_path / "run"
    )
    assert result.model.is_dir() and "no curves.png: the curves need matplotlib" in caplog.text


def test_learned_idf_moves_with_its_own_rate(tmp_path, bert_folder, rows_file, no_curves):
    fixed, learned = (
        train(
            made.quick_recipe(
                "idf-aware", bert_folder, rows_file, model__learn_idf=learn, train__lr=1e-6, train__idf_lr=0.1
            ),
            tmp_path / str(learn),
        )
        for learn in (False, True)
    )
    a, b = (load_file(r.model / "query_weights.safetensors")["weight"] for r in (fixed, learned))
    assert np.abs(a - b).max() > 0.1
    c, d = (load_file(r.model / "model.safetensors") for r in (fixed, learned))
    assert max(np.abs(c[k] - d[k]).max() for k in c) < 1e-3


def test_term_targets_teach_words(tmp_path, bert_folder, rows_file, no_curves):
    over = {
        "model__idf_unseen": 3.0,
        "loss__kl": 0.0,
        "loss__contrastive": 0.1,
        "regularizer__document_lambda": 0.0,
    }
    recipe = made.quick_recipe("idf-aware", bert_folder, rows_file, loss__term=1.0, train__steps=40, **over)
    result = train(recipe, tmp_path / "run")
    terms = [row["term"] for row in result.rows if "term" in row]
    assert terms[-1] < 0.8 * terms[0]
    with pytest.raises(InvalidInputError, match=r"it needs model.query = table"):
        train(
            made.quick_recipe("splade-v2-max", bert_folder, rows_file, loss__term=1.0),
            tmp_path / "shared",
        )


def test_pairs_are_trained(tmp_path, bert_folder, no_curves):
    """Only the order of two words tells a positive from its negative: their pair's factor rises."""
    words = made.WORDS
    rows = [
        {"query": f"{a} {b}", "positive": f"{c} {a} {b}", "negatives": [f"{c} {b} {a}"]}
        for a, b, c in zip(words[:40], words[40:80], words[80:], strict=True)
    ]
    data = made.write_jsonl(tmp_path / "rows.jsonl", rows)
    over = {"model__phrase_terms": "pairs", "model__learn_phrases": True, "loss__candidates": "own"}
    over |= {"loss__term": 0.01, "train__idf_lr": 0.05, "train__lr": 1e-3, "train__steps": 20}
    over |= {"data__near_duplicates": 1.0}
    result = train(made.quick_recipe("splade-doc", bert_folder, data, **over), tmp_path / "run")
    losses = [row["contrastive"] for row in result.rows if "contrastive" in row]
    assert losses[-1] < 0.8 * losses[0]
    encoder = SparseEncoder.load(result.model, device="cpu")
    assert encoder.checkpoint.settings.phrase_factor > 1
    queries = encoder.encode_queries([row["query"] for row in rows]).to_scipy()
    right = encoder.encode_documents([row["positive"] for row in rows]).to_scipy()
    wrong = encoder.encode_documents([row["negatives"][0] for row in rows]).to_scipy()
    assert (queries.multiply(right).sum(1) > queries.multiply(wrong).sum(1)).mean() > 0.9


def test_losses_get_what_they_need_or_say_so(tmp_path, bert_folder, no_curves):
    rows = [{"query": r["query"], "positive": r["positive"]} for r in made.synthetic_rows(40)]
    pairs = made.write_jsonl(tmp_path / "pairs.jsonl", rows)
    with pytest.raises(
        InvalidInputError, match="none of the first 64 rows has negatives; `splade-engine mine`"
    ):
        train(made.quick_recipe("l0", bert_folder, pairs), tmp_path / "a")
    for row in rows:
        row["negatives"] = ["bara"]
    listed = made.write_jsonl(tmp_path / "listed.jsonl", rows)
    with pytest.raises(InvalidInputError, match="need teacher scores: none of the first 64 rows has scores"):
        train(made.quick_recipe("l0", bert_folder, listed), tmp_path / "b")
    with pytest.raises(InvalidInputError, match=r"but data.negatives is 0"):
        train(made.quick_recipe("l0", bert_folder, listed, data__negatives=0), tmp_path / "c")
    assert not (tmp_path / "a").exists()
    # a practitioner's pairs train with in-batch negatives alone
    over = {"loss__kl": 0.0, "loss__contrastive": 1.0, "loss__candidates": "all", "train__steps": 3}
    assert train(made.quick_recipe("l0", bert_folder, pairs, **over), tmp_path / "d").steps == 3


def test_bm25_teacher_scores_on_the_fly(tmp_path, bert_folder, no_curves):
    rows = [{"query": r["query"], "positive": r["positive"]} for r in made.synthetic_rows(60)]
    pairs = made.write_jsonl(tmp_path / "pairs.jsonl", rows)
    recipe = made.quick_recipe(
        "idf-aware", bert_folder, pairs, loss__teachers=["bm25"], loss__kl_candidates="all", train__steps=40
    )
    rows = train(recipe, tmp_path / "run").rows
    assert np.mean([row["kl"] for row in rows[-2:]]) < np.mean([row["kl"] for row in rows[:2]])


def test_monitor_counts_dead_terms_and_flops():
    monitor = Monitor(4, 0.0)
    documents = torch.tensor([[[1.0, 0, 2, 0]], [[1.0, 0, 0, 0]]])
    queries = torch.tensor([[1.0, 0, 0, 0], [0, 0, 3.0, 0]])
    vectors = Vectors(queries, documents, torch.ones(2, 1, dtype=torch.bool), torch.zeros(2, 2), True)
    for step in (1, 150):
        monitor.add(vectors, {"kl": torch.tensor(float(step))}, {"document": 0.5}, step)
    row = monitor.summary(200)
    assert row["kl"] == 75.5 and row["lambda_document"] == 0.5
    assert row["document_terms"] == 1.5 and row["query_terms"] == 1.0
    assert row["flops"] == pytest.approx(0.5 * 1 + 0.5 * 0.5)
    assert row["dead_terms"] == 2
    assert monitor.summary(201) == {}


def test_log_survives_a_cut_line(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    for step in (1, 2, 3):
        log.append({"step": step})
    with log.path.open("a") as file:
        file.write('{"step": 4, "lo')
    assert [row["step"] for row in log.rows()] == [1, 2, 3]
    log.cut(2)
    assert [row["step"] for row in log.rows()] == [1, 2]


@pytest.mark.parametrize("norm", [float("nan"), float("inf")])
def test_the_log_holds_numbers_alone(tmp_path, norm):
    """A float16 step that overflows is passed over; NaN, which is not itself, made the log seem changed."""
    trainer = SimpleNamespace(
        args=SimpleNamespace(max_steps=9),
        monitor=SimpleNamespace(summary=lambda step: {}),
        is_world_process_zero=lambda: True,
    )
    watch = Watch(trainer, None, RunLog(tmp_path / "log.jsonl"), None, tmp_path, False)
    for step, found in ((1, norm), (2, 0.5)):
        logs = {"loss": 1.0, "learning_rate": 0.1, "grad_norm": found}
        watch.on_log(SimpleNamespace(world_size=1), SimpleNamespace(global_step=step), None, logs)
    assert [row.get("grad_norm") for row in watch.log.rows()] == [None, 0.5]
    assert "NaN" not in watch.log.path.read_text() and "Infinity" not in watch.log.path.read_text()


def test_device_and_precision_that_are_not_there(tmp_path, bert_folder, rows_file, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match=r"train.device = cuda: this torch sees no CUDA device"):
        machine.choose_device("cuda")
    recipe = made.quick_recipe(
        "splade-v2-max", bert_folder, rows_file, train__precision="fp16", train__device="cpu"
    )
    with pytest.raises(InvalidInputError, match="fp16 needs a GPU"):
        run.training_arguments(recipe, tmp_path, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' C libraries have nothing to trim")
def test_freed_memory_is_given_back():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    blocks = [bytearray(100_000) for _ in range(3000)]  # below the size that is mapped on its own
    full = resident()
    del blocks[:-1]  # the last one pins the end of the heap
    machine.trim_heap()
    assert resident() < full - 200_000_000


def test_one_and_the_same_example_is_said(tmp_path, bert_folder, no_curves, caplog):
    same = made.write_jsonl(tmp_path / "same.jsonl", [{"query": "bara", "positive": "bolu domi"}] * 5)
    over = {"data__negatives": 0, "loss__candidates": "all", "train__steps": 1, "model__preflight": False}
    train(made.quick_recipe("splade-v2-max", bert_folder, same, **over), tmp_path / "run")
    assert "all of the first 12 examples are the same: there is nothing to tell apart" in caplog.text
