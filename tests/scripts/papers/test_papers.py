"""The experiments of the papers: every file can be run, and the page is made from what is kept."""

from __future__ import annotations

import json

import pytest

from scripts.papers import experiment as files
from scripts.papers.experiment import Places, load, names, read_result
from scripts.papers.kinds import KINDS, rows_of, train
from scripts.papers.table import page
from splade_engine.errors import InvalidInputError
from splade_engine.eval.systems.base import parse_system
from splade_engine.training import MiningConfig, load_recipe
from tests.training import made

PAGE = files.FOLDER.parent / "docs" / "papers.md"
PLACES = Places(data=files.FOLDER, splade="a", dense="b", work=files.FOLDER)


@pytest.mark.parametrize("name", names())
def test_each_file_can_be_run(name):
    """Fields, recipes and what is set in them, mining, systems: all that can be said without running it."""
    each = load(name)
    assert each.kind in KINDS and each.claim and each.differs and each.runs
    assert len({run["name"] for run in each.runs}) == len(each.runs)
    for run in each.runs:
        if each.kind == "search":
            parse_system(PLACES.filled(run["system"]))
        if each.kind == "train" and run["recipe"] != "start":
            values = train.COMMON | each.settings.get("set", {}) | run.get("set", {})
            load_recipe(run["recipe"]).override({k: PLACES.filled(v) for k, v in values.items()})
    if "mine" in each.settings:
        MiningConfig(**{k: PLACES.filled(v) for k, v in each.settings["mine"].items()})


def test_the_page_is_made_from_what_is_kept():
    assert PAGE.read_text(encoding="utf-8") == page()
    for name in names():
        result = read_result(name)
        if result is not None:
            assert [row["name"] for row in result["runs"]] == [run["name"] for run in load(name).runs], name
            assert load(name).reading, f"{name}: somebody has to read the numbers"


def test_bad_files_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    with pytest.raises(InvalidInputError, match="experiment nothing: not one of"):
        load("nothing")
    for text, says in (
        ("paper = 1 2", r"bad.toml: not TOML"),
        ('claim = "x"', r"bad.toml: the field \w+ is missing"),
        ('paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nspeed = 1\nruns = []', "no such field speed"),
        ('paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nruns = [{}]', "each of its runs needs a name"),
    ):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(InvalidInputError, match=says):
            load("bad")
    (tmp_path / "bad.toml").write_text('paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nruns = []')
    with pytest.raises(InvalidInputError, match="kind 'd' is not one of train"):
        rows_of(load("bad"), PLACES)


def test_training_experiments_run(tmp_path, bert_folder, no_curves, monkeypatch):
    """A small one from pairs to numbers: a start, a run, and a run that is refused."""
    rows = made.synthetic_rows(60)
    data = tmp_path / "data" / "train" / "made"
    (data / "qrels").mkdir(parents=True)
    made.write_jsonl(
        data / "corpus.jsonl", [{"_id": f"d{i}", "text": r["positive"]} for i, r in enumerate(rows)]
    )
    made.write_jsonl(
        data / "queries.jsonl", [{"_id": f"q{i}", "text": r["query"]} for i, r in enumerate(rows)]
    )
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(len(rows)))
    (data / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    small = {"train.steps": 2, "train.batch_size": 8, "train.log_steps": 1, "data.held_out": 12}
    small |= {"model.document_length": 32, "model.query_length": 16, "probe.documents": 40}
    runs = (
        {"name": "start", "recipe": "start"},
        {"name": "run", "recipe": "splade-v2-max", "set": {"data.negatives": 1}},
        {"name": "refused", "recipe": "l0", "set": {"loss.kl_candidates": "all"}},
    )
    settings = {
        "data": "train/made",
        "pairs": 50,
        "mine": {"retriever": "bm25", "negatives": 2},
        "set": small,
    }
    each = files.Experiment("made", "p", "c", "d", "train", settings=settings, runs=runs)
    places = Places(tmp_path / "data", str(bert_folder), "", tmp_path / "work")
    start, run, refused = rows_of(each, places)
    assert 0 <= start["nDCG@10"] <= 1 and start["terms a document"] > 0 and run["FLOPS"] > 0
    assert "loss.kl need teacher scores" in refused["error"]
    monkeypatch.setattr(files, "RESULTS", tmp_path / "results")
    files.write_result(each, [start, run, refused], 1.0)
    kept = json.loads((tmp_path / "results" / "made.json").read_text())
    assert [row["name"] for row in kept["runs"]] == ["start", "run", "refused"] and kept["machine"]
