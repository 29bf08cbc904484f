"""Resuming: damaged and foreign checkpoints, changed data, what a kill at the very end leaves."""

from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file
from typer.testing import CliRunner

from splade_engine.cli import app
from splade_engine.errors import InvalidInputError, TrainingError
from splade_engine.locks import take_lock
from splade_engine.training.run import run
from splade_engine.training.run.checkpoints import COMPLETE, last_checkpoint, mark_complete
from splade_engine.training.run.folder import CACHE, LOCK
from splade_engine.training.run.inputs import RUN
from splade_engine.training.run.monitor import RunLog
from splade_engine.training.run.paths import with_absolute_paths
from splade_engine.training.run.run import train
from splade_engine.training.run.trainer import SparseTrainer
from splade_engine.training.run.watch import Watch
from tests.training import made

SMALL = {"train__steps": 12, "train__save_steps": 4, "train__log_steps": 3, "train__batch_size": 4}
PROBED = {"data__held_out": 12, "probe__every": 4, "probe__documents": 40}


class Killed(BaseException):
    """Ends a run as a kill does: nothing after it is done."""


def killed_at(monkeypatch, recipe, folder, step):
    """A run in `folder` that ends after `step`."""
    original = Watch.on_step_end

    def deadly(self, args, state, control, **kwargs):
        original(self, args, state, control, **kwargs)
        if state.global_step == step:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Watch, "on_step_end", deadly)
        train(recipe, folder)
    return folder


@pytest.fixture(scope="module")
def template(bert_folder, rows_file, tmp_path_factory):
    """A run of 12 steps that was killed after step 10: checkpoints 4 and 8 are whole."""
    torch.set_num_threads(1)
    recipe = made.quick_recipe("splade-v2-max", bert_folder, rows_file, **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        return recipe, killed_at(patch, recipe, tmp_path_factory.mktemp("runs") / "cut", 10)


@pytest.fixture
def recipe(template, no_curves):
    return template[0]


@pytest.fixture
def cut(template, tmp_path):
    folder = shutil.copytree(template[1], tmp_path / "cut")
    assert last_checkpoint(folder).name == "checkpoint-8"
    return folder


@pytest.fixture(scope="module")
def straight(template, tmp_path_factory):
    """The same run without an interruption."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("splade_engine.training.run.curves.draw_curves", lambda *args: None)
        return train(template[0], tmp_path_factory.mktemp("runs") / "straight").model.parent


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def log_of(folder):
    """The rows of a log, without its times."""
    rows = RunLog(folder / "log.jsonl").rows()
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


# ---- checkpoints ---------------------------------------------------------------------------------------

DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "one bit": lambda path: path.write_bytes(
        path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]),
    ),
}
FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")
FILES = (*FILES, "splade_state.json", "splade_state.safetensors", "log.jsonl", COMPLETE)


def test_every_file_of_a_checkpoint_is_in_the_list(cut):
    assert {path.name for path in (cut / "checkpoints" / "checkpoint-8").iterdir()} == set(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_damage_of_any_file_is_seen(name, damage, cut):
    DAMAGES[damage](cut / "checkpoints" / "checkpoint-8" / name)
    said = []
    assert last_checkpoint(cut, said.append).name == "checkpoint-4"
    if (name, damage) == (COMPLETE, "gone"):
        assert said == []  # as a kill while writing leaves it
    else:
        assert len(said) == 1 and "checkpoint-8: passed over, " in said[0]
        assert (COMPLETE if name == COMPLETE else name) in said[0]


HUGE = '{"files": {"a": {"bytes": 1e999, "digest": ""}}, "run": ""}'


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"files": 3, "run": ""}', '{"run": "x"}', "[" * 9999, "\udcff", HUGE]
)
def test_a_nonsense_mark_is_damage(text, cut):
    file = cut / "checkpoints" / "checkpoint-8" / COMPLETE
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    said = []
    assert last_checkpoint(cut, said.append).name == "checkpoint-4" and len(said) == 1


def test_names_that_are_no_checkpoints_are_left_alone(cut):
    for name in ("checkpoint-last", "checkpoint-", "checkpoint-²", "checkpoint--1"):
        (cut / "checkpoints" / name).mkdir()
    assert last_checkpoint(cut).name == "checkpoint-8"


def test_the_run_goes_on_from_the_checkpoint_before(cut, recipe, straight, caplog):
    DAMAGES["one bit"](cut / "checkpoints" / "checkpoint-8" / "optimizer.pt")
    resumed = train(recipe, cut, resume=True)
    assert "checkpoint-8: passed over, optimizer.pt is damaged" in caplog.text
    assert same(weights(cut), weights(straight))
    assert log_of(cut) == log_of(straight)  # that checkpoint lies between two lines
    assert [row["step"] for row in resumed.rows] == [3, 6, 9, 12]


def test_without_any_whole_checkpoint_it_begins_again_and_says_so(cut, recipe, straight, caplog):
    for step in (4, 8):
        DAMAGES["empty"](cut / "checkpoints" / f"checkpoint-{step}" / "model.safetensors")
    assert train(recipe, cut, resume=True).steps == 12
    assert "no checkpoint is whole, so the run starts with its first step again" in caplog.text
    assert same(weights(cut), weights(straight))


def test_another_runs_checkpoint_is_not_taken(cut, recipe, straight, tmp_path, monkeypatch, caplog):
    other = killed_at(monkeypatch, recipe.override({"train.seed": 7}), tmp_path / "other", 10)
    shutil.copytree(other / "checkpoints" / "checkpoint-8", cut / "checkpoints" / "checkpoint-11")
    train(recipe, cut, resume=True)
    assert "checkpoint-11: passed over, it belongs to another run" in caplog.text
    assert same(weights(cut), weights(straight))


@pytest.mark.parametrize("how", ["shape", "missing", "optimizer", "nonsense state"])
def test_a_checkpoint_that_does_not_fit_is_one_line(how, cut, recipe):
    """Complete by its mark, and yet another model's: written by another version, or marked by hand."""
    checkpoint = cut / "checkpoints" / "checkpoint-8"
    tensors = load_tensors(checkpoint / "model.safetensors")
    name = max(tensors, key=lambda k: tensors[k].numel())
    if how == "shape":
        tensors[name] = tensors[name][:3].contiguous()
    elif how == "missing":
        del tensors[name]
    save_file(tensors, checkpoint / "model.safetensors")
    if how == "optimizer":
        torch.save({"state": {}, "param_groups": []}, checkpoint / "optimizer.pt")
    if how == "nonsense state":
        (checkpoint / "splade_state.json").write_text('{"data": []}')
    mark_complete(checkpoint)
    with pytest.raises(
        TrainingError, match=r"checkpoint-8: does not fit this run .* remove this folder, and"
    ):
        train(recipe, cut, resume=True)


# ---- what it was made from -----------------------------------------------------------------------------


def rewritten(path, change):
    rows = path.read_text().splitlines()
    path.write_text("\n".join(change(rows)) + "\n")


CHANGES = {
    "reordered": lambda rows: rows[::-1],
    "one word": lambda rows: [rows[0].replace("bara", "bolu", 1).replace("dara", "bolu", 1) + " ", *rows[1:]],
    "a row more": lambda rows: [*rows, rows[0]],
    "a row less": lambda rows: rows[:-1],
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_changed_data_is_refused(change, tmp_path, bert_folder, rows, no_curves, monkeypatch):
    data = made.write_jsonl(tmp_path / "rows.jsonl", rows)
    recipe = made.quick_recipe("splade-v2-max", bert_folder, data, **SMALL)
    folder = killed_at(monkeypatch, recipe, tmp_path / "run", 5)
    before = data.read_bytes()
    rewritten(data, CHANGES[change])
    assert data.read_bytes() != before
    with pytest.raises(InvalidInputError, match=r"rows.jsonl: changed since the run in .* began"):
        train(recipe, folder, resume=True)
    data.write_bytes(before)
    assert train(recipe, folder, resume=True).steps == 12


def test_data_that_lies_elsewhere_is_read_there(
    tmp_path, bert_folder, rows, straight, no_curves, monkeypatch, caplog
):
    """A run that was copied to another machine could not go on: its recipe holds absolute paths."""
    here, there = tmp_path / "a=1" / "here", tmp_path / "there"
    here.mkdir(parents=True)
    data = made.write_jsonl(here / "rows.jsonl", rows)
    base = shutil.copytree(bert_folder, here / "base")
    recipe = made.quick_recipe("splade-v2-max", base, data, **SMALL)
    folder = killed_at(monkeypatch, recipe, tmp_path / "run", 10)
    here.rename(there)
    with pytest.raises(InvalidInputError, match=r"rows.jsonl: is not there any more; .* --resume --moved "):
        train(recipe, folder, resume=True)
    for moved, message in (
        ({here: tmp_path / "nowhere"}, "nowhere: no such file or folder"),
        ({tmp_path / "elsewhere": there, here: there}, "moved: the run reads nothing at .*elsewhere"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            train(recipe, folder, resume=True, moved=moved)
    with pytest.raises(InvalidInputError, match="moved: is for a run that is resumed"):
        train(recipe, tmp_path / "new", moved={here: there})
    before = (there / "rows.jsonl").read_bytes()
    rewritten(there / "rows.jsonl", CHANGES["reordered"])
    with pytest.raises(InvalidInputError, match=r"there/rows.jsonl: changed since the run in .* began"):
        train(recipe, folder, resume=True, moved={here: there})
    (there / "rows.jsonl").write_bytes(before)
    caplog.clear()
    arguments = ["train", "-o", str(folder), "--resume", "--moved", f"{here}={there}"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert f"goes on with what lies elsewhere now, if its content is the same: {there} (was" in caplog.text
    assert same(weights(folder), weights(straight))


def test_a_teacher_is_found_from_another_folder(tmp_path, bert_folder, monkeypatch):
    """Paths of data and base were made absolute, those of teachers were not."""
    shutil.copytree(bert_folder, tmp_path / "teacher")
    monkeypatch.chdir(tmp_path)
    recipe = made.quick_recipe("splade-v2-max", bert_folder, "rows.jsonl")
    teachers = ["bm25", "dense:teacher", "cross:some/name"]
    recipe = recipe.override({"loss.teachers": teachers, "loss.kl": 1.0, "loss.kl_candidates": "all"})
    found = with_absolute_paths(recipe).loss.teachers
    assert found == ("bm25", f"dense:{tmp_path / 'teacher'}", "cross:some/name")


def test_changed_models_teachers_tables_and_recipes_are_refused(
    tmp_path, bert_folder, rows_file, no_curves, monkeypatch
):
    base, teacher = (shutil.copytree(bert_folder, tmp_path / name) for name in ("base", "teacher"))
    idf = tmp_path / "idf.json"
    idf.write_text(json.dumps(dict.fromkeys(made.WORDS, 1.5)))
    over = {"loss__teachers": [f"dense:{teacher}"], "loss__kl_candidates": "all", "model__idf": str(idf)}
    recipe = made.quick_recipe("idf-aware", base, rows_file, **(SMALL | over))
    folder = killed_at(monkeypatch, recipe, tmp_path / "run", 5)
    for path in (base / "tokenizer.json", teacher / "config.json", idf, folder / "recipe.toml"):
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        name = path.name if path.parent in (tmp_path, folder) else path.parent.name
        with pytest.raises(InvalidInputError, match=rf"{name}: changed since the run in"):
            train(recipe, folder, resume=True)
        path.write_bytes(before)
    (base / "README.md").write_text("a card changes nothing")
    assert train(recipe, folder, resume=True).steps == 12


def test_a_beir_folder_is_watched_file_by_file(tmp_path, bert_folder, no_curves, monkeypatch):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    rows = made.synthetic_rows(30)
    for name, letter, field in (("corpus.jsonl", "d", "positive"), ("queries.jsonl", "q", "query")):
        texts = [{"_id": f"{letter}{i}", "text": row[field]} for i, row in enumerate(rows)]
        made.write_jsonl(folder / name, texts)
    pairs = "".join(f"q{i}\td{i}\t1\n" for i in range(30))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + pairs)
    recipe = made.quick_recipe("splade-v2-max", bert_folder, folder, data__negatives=0, **SMALL)
    recipe = recipe.override({"loss.candidates": "all"})
    cut = killed_at(monkeypatch, recipe, tmp_path / "run", 5)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv"):
        before = (folder / name).read_bytes()
        rewritten(folder / name, lambda rows: [rows[0], *rows[:0:-1]])
        with pytest.raises(InvalidInputError, match=rf"{name}: changed since"):
            train(recipe, cut, resume=True)
        (folder / name).write_bytes(before)


def test_a_run_without_its_record_goes_on_with_a_warning(cut, recipe, caplog):
    (cut / RUN).unlink()
    for step in (4, 8):
        mark_complete(cut / "checkpoints" / f"checkpoint-{step}")
    assert train(recipe, cut, resume=True).steps == 12
    assert "no run.json, so it cannot be checked whether the data is as it was" in caplog.text


def test_another_number_of_processes_is_refused(cut, recipe, monkeypatch):
    """They divide the examples among them: some would be seen twice and others never."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = r"cut: 1 when the run began, now 2: the number of processes .* among which the examples are"
    with pytest.raises(InvalidInputError, match=said):
        train(recipe, cut, resume=True)


def test_other_versions_are_told(cut, recipe, monkeypatch, caplog):
    monkeypatch.setattr("splade_engine.training.run.inputs.__version__", "99.0")
    assert train(recipe, cut, resume=True).steps == 12
    assert re.search(
        r"cut: begun with other versions \(splade-engine '[\d.a-z]+', now 99.0\); the", caplog.text
    )


@pytest.mark.parametrize("text", ["", "{", "[]", '{"inputs": 3}', "[" * 9999])
def test_a_damaged_record_is_one_line(text, cut, recipe):
    (cut / RUN).write_text(text)
    with pytest.raises(InvalidInputError, match=r"run.json: damaged \(.+\); .* restore it to resume, or"):
        train(recipe, cut, resume=True)


@pytest.mark.parametrize("part", [0, 0.1, 0.5, "whole lines"])
@pytest.mark.parametrize("record", [True, False])
def test_a_recipe_that_was_cut_short_is_called_so(part, record, cut, recipe):
    """Half of it may still be TOML; what it lacks is not the reason."""
    file = cut / "recipe.toml"
    text = file.read_text()
    file.write_text(text[: text.index("[loss]")] if part == "whole lines" else text[: int(part * len(text))])
    if not record:
        (cut / RUN).unlink()
    with pytest.raises(InvalidInputError, match=r"recipe.toml: (changed since .*, or )?damaged"):
        train(recipe, cut, resume=True)


# ---- the log -------------------------------------------------------------------------------------------


def test_lines_that_a_run_cannot_have_written_end_the_log(tmp_path):
    good = {"step": 3, "loss": 0.5}
    for bad in ("[]", "3", "null", '"x"', "{}", '{"step": "4"}', '{"step": true}', '{"step": 4, "loss": []}'):
        made.write_jsonl(tmp_path / "log.jsonl", [good, bad, good])
        assert RunLog(tmp_path / "log.jsonl").rows() == [good]
    for bad in (b"[" * 99_999, b"\xff\xfe", b"\0\0", b'{"step": 4, "lo'):
        (tmp_path / "log.jsonl").write_bytes(json.dumps(good).encode() + b"\n" + bad)
        assert RunLog(tmp_path / "log.jsonl").rows() == [good]


def test_a_log_that_lost_lines_is_restored_and_told(cut, recipe, straight, caplog):
    log = cut / "log.jsonl"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 4])
    train(recipe, cut, resume=True)
    assert (
        "log.jsonl: damaged or changed since the run wrote it (0 of its 2 lines up to step 8" in caplog.text
    )
    assert log_of(cut) == log_of(straight)


def test_a_log_that_is_whole_is_taken_without_a_word(cut, tmp_path, caplog):
    log, checkpoint = RunLog(cut / "log.jsonl"), cut / "checkpoints" / "checkpoint-8"
    before = log.rows()
    log.append({"step": 8, "ndcg@10": 0.5})  # measured after the checkpoint was written
    log.cut(8, checkpoint)
    assert log.rows() == [*(row for row in before if row["step"] <= 8), {"step": 8, "ndcg@10": 0.5}]
    assert not caplog.text
    log.path.unlink()
    (checkpoint / "log.jsonl").unlink()  # of an earlier release
    log.cut(8, checkpoint)
    assert not log.path.exists()


def test_a_finished_run_says_that_its_log_lost_lines(recipe, tmp_path, monkeypatch, caplog):
    def deadly(*args):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("splade_engine.training.run.curves.draw_curves", deadly)
        train(recipe, tmp_path / "run")
    log = tmp_path / "run" / "log.jsonl"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    assert train(recipe, tmp_path / "run", resume=True).steps == 12
    assert "log.jsonl: damaged, its lines up to step 12 are no longer whole" in caplog.text


# ---- the very end --------------------------------------------------------------------------------------


def test_killed_while_drawing_the_curves(recipe, tmp_path, monkeypatch):
    drawn = []

    def killed(rows, path, title):
        path.write_bytes(b"\x89PN")
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("splade_engine.training.run.curves.draw_curves", killed)
        train(recipe, tmp_path / "run")
    monkeypatch.setattr(
        "splade_engine.training.run.curves.draw_curves", lambda rows, path, title: drawn.append((rows, path))
    )
    before = (tmp_path / "run" / "model" / "model.safetensors").stat().st_mtime_ns
    result = train(recipe, tmp_path / "run", resume=True)
    assert drawn == [(result.rows, tmp_path / "run" / "curves.png")]
    assert result.steps == 12 and [row["step"] for row in result.rows if "loss" in row][-1] == 12
    assert result.model.is_dir() and not (tmp_path / "run" / CACHE).exists()
    assert (result.model / "model.safetensors").stat().st_mtime_ns == before  # nothing was trained again
    with pytest.raises(InvalidInputError, match="this run is finished"):
        train(recipe, tmp_path / "run", resume=True)


@pytest.mark.parametrize("where", ["save_student", "last measure", "before the model"])
@pytest.mark.parametrize("every", [0, 4])
def test_no_line_of_the_log_twice(where, every, recipe, tmp_path, monkeypatch):
    recipe = recipe.override({k.replace("__", "."): v for k, v in PROBED.items()} | {"probe.every": every})
    straight = train(recipe, tmp_path / "straight")

    def deadly(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        if where == "save_student":
            patch.setattr(run, "save_student", deadly)
        elif where == "before the model":
            patch.setattr(run, "check_weights", deadly)
        else:
            original = Watch._write

            def measured(self, row):
                original(self, row)
                if "ndcg@10" in row and row["step"] == 12:
                    raise Killed

            patch.setattr(Watch, "_write", measured)
        train(recipe, tmp_path / "cut")
    resumed = train(recipe, tmp_path / "cut", resume=True)

    def lines(rows):
        return [{k: v for k, v in row.items() if k != "seconds_per_step"} for row in rows]

    assert lines(resumed.rows) == lines(straight.rows)
    assert resumed.ndcg == straight.ndcg
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "straight"))


def test_two_processes_in_one_folder(cut, recipe):
    with (
        take_lock(cut / LOCK),
        pytest.raises(TrainingError, match=f"process {os.getpid()} is training in it"),
    ):
        train(recipe, cut, resume=True)
    assert train(recipe, cut, resume=True).steps == 12


def test_what_a_killed_start_leaves_is_no_run(recipe, tmp_path, monkeypatch):
    def deadly(*args):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        # between run.json and recipe.toml
        patch.setattr("splade_engine.training.run.folder.atomic_file", deadly)
        train(recipe, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {CACHE, RUN, LOCK}
    with pytest.raises(InvalidInputError, match=r"no recipe.toml, so no run to resume"):
        train(recipe, tmp_path / "run", resume=True)
    assert train(recipe, tmp_path / "run").steps == 12


def test_a_start_that_is_refused_leaves_nothing(recipe, tmp_path, rows_file, monkeypatch):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.bin").write_bytes(b"\0")
    no_text = {"data.sources": [{"path": str(tmp_path / "notes"), "kind": "ict"}]}
    apart = {"loss.teachers": ["bm25"], "loss.embed": 1.0}
    for bad, why in ((no_text, "nor a folder of files with text"), (apart, "loss.embed is of a dense head")):
        with pytest.raises(InvalidInputError, match=why):
            train(recipe.override(bad), tmp_path / "run")
        assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()  # made by the user, and stays
    with pytest.raises(InvalidInputError, match=why):
        train(recipe.override(bad), tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []

    def refused(*args):
        raise InvalidInputError("row 100")

    with monkeypatch.context() as patch, pytest.raises(InvalidInputError, match="row 100"):
        patch.setattr(run, "check_weights", refused)
        train(recipe, tmp_path / "run")
    assert last_checkpoint(tmp_path / "run").name == "checkpoint-12"  # steps are never thrown away


def test_the_last_checkpoint_is_enough_to_finish(recipe, tmp_path, monkeypatch):
    """All steps are done; none is done again."""

    def deadly(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(run, "check_weights", deadly)
        train(recipe, tmp_path / "run")
    assert last_checkpoint(tmp_path / "run").name == "checkpoint-12"
    monkeypatch.setattr(SparseTrainer, "training_step", deadly)
    assert train(recipe, tmp_path / "run", resume=True).steps == 12
    rows = RunLog(tmp_path / "run" / "log.jsonl").rows()
    assert [row["step"] for row in rows if "loss" in row] == [3, 6, 9, 12]
