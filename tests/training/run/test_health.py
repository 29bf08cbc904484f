"""Runs that cannot go on: NaN, no memory, a full disk. Each is one line, and nothing broken is left."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from splade_engine.errors import InvalidInputError, StorageError, TrainingError
from splade_engine.training.objective.vectors import Vectors
from splade_engine.training.recipe import Recipe
from splade_engine.training.run import run
from splade_engine.training.run.checkpoints import last_checkpoint
from splade_engine.training.run.health import check_learnt, check_loss, check_weights, told
from splade_engine.training.run.run import train
from splade_engine.training.run.trainer import SparseTrainer
from splade_engine.training.run.watch import Watch
from tests.training import made

SMALL = {"train__steps": 8, "train__save_steps": 2, "train__log_steps": 2, "train__batch_size": 4}


@pytest.fixture
def recipe(bert_folder, rows_file, no_curves):
    torch.set_num_threads(1)
    return made.quick_recipe("splade-v2-max", bert_folder, rows_file, **SMALL)


# ---- nothing to learn from ---------------------------------------------------------------------------------


def test_a_loss_of_0_at_every_step_is_told(bert_folder, no_curves, tmp_path, caplog):
    """One pair, however often: no document of a batch is another's negative."""
    rows = made.write_jsonl(tmp_path / "one.jsonl", [{"query": "bara", "positive": "bara kira"}] * 9)
    recipe = made.quick_recipe("splade-v2-max", bert_folder, rows, **SMALL, model__preflight=False)
    train(recipe, tmp_path / "run")
    assert [m for m in caplog.messages if m.startswith("the loss was 0 at every step, so nothing was learnt")]


def test_losses_that_are_not_all_0_are_no_reason_to_warn(caplog):
    for rows in ([], [{"step": 1}], [{"kl": 0.0}, {"kl": 0.1}], [{"loss": 0.0}]):
        check_learnt(rows, ("kl", "contrastive"))
    assert caplog.messages == []
    check_learnt([{"step": 2, "kl": 0.0, "flops": 3.0}], ("kl", "contrastive"))
    assert len(caplog.messages) == 1


# ---- NaN --------------------------------------------------------------------------------------------------


def test_a_rate_that_is_too_high_stops_at_the_first_nan(recipe, tmp_path):
    wild = recipe.override({"train.lr": 1e9, "train.warmup_steps": 0, "train.warmup_share": 0.0})
    wild = wild.override({"train.log_steps": 9, "train.save_steps": 9})
    with pytest.raises(TrainingError, match=r"^step [1-4]: .*lower train.lr \(now 1e\+09; a tenth") as error:
        train(wild, tmp_path / "run")
    assert "no model was written" in str(error.value)
    assert not (tmp_path / "run").exists()  # no step to go on from, and the next command may have the name


@pytest.mark.parametrize("at", [1, 3, 8])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_break_in_a_step(at, value, recipe, tmp_path, monkeypatch):
    """After the last step too, when no further loss would show it; checkpoints from before are whole."""
    original = Watch.on_step_end

    def breaking(self, args, state, control, **kwargs):
        if state.global_step == at:
            with torch.no_grad():
                next(self.trainer.student.parameters()).view(-1)[7] = value
        return original(self, args, state, control, **kwargs)

    monkeypatch.setattr(Watch, "on_step_end", breaking)
    step = min(at + 1, 8)
    with pytest.raises(
        TrainingError, match=rf"^step ({at}|{step}): .*the weights are no longer finite \(doc"
    ):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
    kept = last_checkpoint(tmp_path / "run")
    assert (kept.name if kept else None) == {1: None, 3: "checkpoint-2", 8: "checkpoint-6"}[at]


def test_best_is_no_model_of_nan(recipe, tmp_path, monkeypatch):
    recipe = recipe.override({"data.held_out": 12, "probe.every": 1, "probe.keep_best": True})
    monkeypatch.setattr(run, "last_checkpoint", lambda *a, **k: None)
    original = SparseTrainer.after_step

    def breaking(self):
        original(self)
        with torch.no_grad():
            next(self.student.parameters()).fill_(torch.nan)

    monkeypatch.setattr(SparseTrainer, "after_step", breaking)
    with pytest.raises(TrainingError, match=r"^step 1: the weights are no longer finite"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "best").exists() and not (tmp_path / "run" / "model").exists()


def vectors(value=1.0):
    rows = torch.full((2, 1, 3), value)
    return Vectors(torch.ones(2, 3), rows, torch.ones(2, 1, dtype=torch.bool), torch.zeros(2, 2) > 0, True)


def test_the_cause_is_told_from_what_is_not_finite():
    nan = torch.tensor(torch.nan)
    model = torch.nn.Linear(2, 2)
    recipe = Recipe().override({"train.max_grad_norm": 0.0})
    check_loss(torch.tensor(1.0), {"kl": nan}, vectors(), model, recipe, 3)  # a part with weight 0
    with pytest.raises(
        TrainingError, match=r"^step 3: the loss is nan: the weights and vectors .* kl is not"
    ):
        check_loss(nan, {"contrastive": torch.tensor(1.0), "kl": nan}, vectors(), model, recipe, 3)
    with pytest.raises(
        TrainingError, match=r"the weights are finite and the vectors are not; lower train.lr"
    ):
        check_loss(nan, {}, vectors(float("inf")), model, recipe, 3)
    check_weights(model, recipe, 3)
    torch.nn.init.constant_(model.bias, torch.nan)
    with pytest.raises(TrainingError, match=r"no longer finite \(bias\).* set train.max_grad_norm = 1 or"):
        check_loss(nan, {}, vectors(), model, recipe, 3)
    half = recipe.override({"train.precision": "fp16"})
    with pytest.raises(TrainingError, match=r"or float16 overflowed \(try train.precision = bf16\)"):
        check_weights(model, half, 3)


# ---- disk and memory --------------------------------------------------------------------------------------

ERRORS = {
    "os": OSError(errno.ENOSPC, "No space left on device", "/x/log.jsonl"),
    "safetensors": SafetensorError(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    ),
    "torch": RuntimeError("[enforce fail at inline_container.cc:664] . failed writing file"),
    "torch, cut short": RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 48"),
    "quota": OSError(errno.EDQUOT, "Disk quota exceeded", "/x/optimizer.pt"),
    "read-only": OSError(errno.EROFS, "Read-only file system", "/x"),
    "ours": StorageError(errno.ENOSPC, "cannot write /x/y: No space left on device"),
}


@pytest.mark.parametrize("kind", sorted(ERRORS))
def test_a_full_disk_is_one_line_with_a_way_on(kind):
    with pytest.raises(StorageError) as error, told(Path("runs/a")):
        raise ERRORS[kind]
    line = error.value.strerror
    assert line.startswith("cannot write ") and "\n" not in line
    assert any(
        said in line for said in ("No space left", "quota", "Read-only", "the disk is full or refuses (")
    )
    assert line.endswith("; the run in runs/a can be resumed from its last checkpoint")


def test_memory_beside_a_step_and_other_errors():
    with (
        pytest.raises(TrainingError, match=r"out of memory beside a step .* smaller train.batch_size"),
        told(Path("r")),
    ):
        raise MemoryError
    for other in (RuntimeError("shapes do not match"), KeyError("x"), InvalidInputError("y")):
        with pytest.raises(type(other)) as error, told(Path("r")):
            raise other
        assert error.value is other


FULL = """
import resource, signal, sys
import torch
torch.set_num_threads(1)
from splade_engine.training import load_recipe, train
import splade_engine.training.run.curves as curves
curves.draw_curves = lambda *args: None
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
from splade_engine.errors import StorageError
try:
    train(load_recipe(sys.argv[1]), sys.argv[2])
except StorageError as error:
    print(error.strerror)
    sys.exit(2)
"""


@pytest.mark.parametrize("limit", [300, 20_000, 120_000])
def test_files_that_cannot_grow(limit, recipe, tmp_path):
    """The system refuses in the log, the weights, or the optimiser's state: one line, then it resumes."""
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    call = [sys.executable, "-c", FULL, str(tmp_path / "recipe.toml"), str(tmp_path / "run"), str(limit)]
    full = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    assert full.returncode == 2, full.stderr
    assert full.stdout.startswith("cannot write ") and full.stdout.count("\n") == 1
    assert not (tmp_path / "run" / "model").exists()
    begun = (tmp_path / "run" / "recipe.toml").is_file()
    assert train(recipe, tmp_path / "run", resume=begun).steps == 8


def test_a_run_may_not_be_written_there(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *args, **kwargs: False)  # tests run as root
    with pytest.raises(StorageError, match=r"cannot write .*run: Permission denied"):
        train(recipe, tmp_path / "run")


def test_a_name_that_is_not_utf8_cannot_be_in_a_recipe(recipe, tmp_path):
    odd = tmp_path / "caf\udce9.jsonl"
    odd.write_bytes(Path(recipe.data.sources[0].path).read_bytes())
    source = replace(recipe.data.sources[0], path=str(odd))
    odd_recipe = replace(recipe, data=replace(recipe.data, sources=(source,)))
    with pytest.raises(InvalidInputError, match=r"a name that is not UTF-8 \('.*caf\\udce9.*rename the file"):
        train(odd_recipe, tmp_path / "run")
