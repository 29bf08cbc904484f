"""The experiments of the papers: every file can be run, and the page is made from what is kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scripts.papers import experiment as files
from scripts.papers import table
from scripts.papers.experiment import Places, load, names, read_result
from scripts.papers.kinds import KINDS, rows_of, train
from scripts.papers.table import page
from splade_engine import __version__
from splade_engine.encoder.settings import EncoderSettings
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
        if each.kind == "train":
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
            assert load(name).holds in files.HOLDS, f"{name}: does the claim hold here?"


def test_every_paper_has_a_row_and_a_section():
    """The summary links to the section, which has claim, command, result, differences and numbers."""
    text = page()
    summary, _, sections = text.partition("## Paper by paper")
    headings = {table._anchor(line[4:]) for line in sections.splitlines() if line.startswith("### ")}
    assert len(headings) == len(names())
    for name in names():
        each = load(name)
        (row,) = (line for line in summary.splitlines() if line.endswith(f"| `{name}` |"))
        assert row.split("](#")[1].partition(")")[0] in headings
        assert f"| {each.holds} |" in row and each.claim in row
        section = sections.split(f"### {table._title(each)}\n")[1].split("\n### ")[0]
        assert f"    python -m scripts.papers --data ../shared/data {name}\n" in section
        found = [
            section.index(part)
            for part in ("**Claim:**", "**Holds here? ", "What differs", "| run |", "Made ")
        ]
        assert found == sorted(found)
    assert max(len(line) for line in text.splitlines() if "|" not in line and "http" not in line) <= 116


def test_an_experiment_that_was_not_run_says_so(monkeypatch):
    monkeypatch.setattr(table, "read_result", lambda name: None)
    text = page()
    assert text.count("| not run yet |") == text.count("It was not run yet.") == len(names())


def test_columns_that_say_nothing_are_left_out():
    rows = [{"name": "a", "x": 1, "dead": 0, "none": None}, {"name": "b|c", "x": 0.25}]
    assert table._numbers({"runs": rows}) == "| run | x |\n|---|---|\n| a | 1 |\n| b\\|c | 0.25 |"


def test_a_result_names_the_code_that_made_it(tmp_path, monkeypatch):
    """Its digest changes with a module that decides the numbers, and with no other."""
    for name in ("splade_engine/training/a.py", "splade_engine/eval/b.py", "scripts/papers/kinds/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    found = {kind: files.code_of(kind, tmp_path) for kind in ("train", "search")}
    (tmp_path / "splade_engine/eval/b.py").write_text("x = 2\n")
    assert files.code_of("train", tmp_path) == found["train"]
    assert files.code_of("search", tmp_path) != found["search"]
    (tmp_path / "scripts/papers/kinds/c.py").write_text("x = 2\n")
    assert files.code_of("train", tmp_path) != found["train"]
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    monkeypatch.setattr(files, "RESULTS", tmp_path / "results")
    text = 'paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "train"\n[[runs]]\nname = "x"\n'
    for name in ("now", "earlier", "old", "unrun"):
        (tmp_path / f"{name}.toml").write_text(text)
    for name in ("now", "earlier", "old"):
        files.write_result(load(name), [{"name": "x"}], 1.0, 0.5)
    for name, change in (("earlier", {"made_with": {"version": "0", "code": "1"}}), ("old", {})):
        result = json.loads((tmp_path / "results" / f"{name}.json").read_text())
        del result["made_with"]
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(result | change))
    assert files.outdated() == ["earlier", "old"]
    assert table._made(read_result("now")).startswith(f"Made with splade-engine {__version__}, code ")
    assert table._made(read_result("old")).startswith("Made before results named their code, on ")


def test_bad_files_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    with pytest.raises(InvalidInputError, match="experiment nothing: not one of"):
        load("nothing")
    for text, says in (
        ("paper = 1 2", r"bad.toml: not TOML"),
        ('claim = "x"', r"bad.toml: the field \w+ is missing"),
        ('paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nspeed = 1\nruns = []', "no such field speed"),
        ('paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nruns = [{}]', "each of its runs needs a name"),
        ('paper = 1\nclaim = "b"\ndiffers = "c"\nkind = "d"\nruns = []', "paper must be a str, got 1"),
        ('paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nruns = 5', "runs must be a list, got 5"),
        ('paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nruns = [5]', "each of its runs needs a name"),
        (
            'paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nruns = [{name = "x"}, {name = "x"}]',
            "two of its runs have one name",
        ),
        (
            'paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nsettings = 1\nruns = [{name = "x"}]',
            "settings must be a dict",
        ),
        (
            'paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nholds = "perhaps"\nruns = [{name = "x"}]',
            "holds must be one of yes, in part, no, not shown",
        ),
        (f"paper = {'[' * 5000}", "nested too deeply|not TOML"),
    ):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(InvalidInputError, match=says):
            load("bad")
    (tmp_path / "bad.toml").write_text(
        'paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "d"\nruns = [{name = "x"}]'
    )
    with pytest.raises(InvalidInputError, match="kind 'd' is not one of train"):
        rows_of(load("bad"), PLACES)


def test_a_result_says_what_it_was_made_from(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    monkeypatch.setattr(files, "RESULTS", tmp_path / "results")
    text = 'paper = "a"\nclaim = "b"\ndiffers = "c"\nkind = "search"\n[[runs]]\nname = "x"\nsystem = "bm25"\n'
    (tmp_path / "one.toml").write_text(text)
    files.write_result(load("one"), [{"name": "x", "ndcg": 0.5}], 1.0, 0.5)
    assert read_result("one")["runs"] == [{"name": "x", "ndcg": 0.5}]
    (tmp_path / "one.toml").write_text(text.replace('claim = "b"', 'claim = "in other words"'))
    assert read_result("one") is not None
    (tmp_path / "one.toml").write_text(text.replace("bm25", "sparse"))
    with pytest.raises(InvalidInputError, match=r"one\.json: the experiment was changed since; run it again"):
        read_result("one")
    for damaged in ("", "[]", "{}", '{"runs": 3}', "[" * 10_000):
        (tmp_path / "results/one.json").write_text(damaged)
        with pytest.raises(InvalidInputError, match=r"one\.json"):
            read_result("one")


def test_training_experiments_run(tmp_path, bert_folder, no_curves, monkeypatch):
    """A small one from pairs to numbers: a run, and a run that is refused."""
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
    run, refused = rows_of(each, places)
    assert 0 <= run["nDCG@10 before"] <= 1 and run["terms before"] > 0 and run["FLOPS"] > 0
    assert "loss.kl need teacher scores" in refused["error"]
    monkeypatch.setattr(files, "RESULTS", tmp_path / "results")
    files.write_result(each, [run, refused], 1.0, 0.5)
    kept = json.loads((tmp_path / "results" / "made.json").read_text())
    assert [row["name"] for row in kept["runs"]] == ["run", "refused"] and kept["machine"]


def test_a_start_that_has_forgotten_its_last_layer(tmp_path, bert_folder):
    """The last layer and the head's transform are drawn anew, always alike; all else is as it was."""
    from safetensors.torch import load_file

    before = load_file(bert_folder / "model.safetensors")
    found = [
        load_file(
            train._forgetful(Places(tmp_path, str(bert_folder), "", tmp_path / name), 1) / "model.safetensors"
        )
        for name in ("a", "b")
    ]
    assert (tmp_path / "a" / "forgotten-1" / "tokenizer.json").is_file()
    last = max(int(name.split(".")[3]) for name in before if ".layer." in name)
    drawn = (f"bert.encoder.layer.{last}.", "cls.predictions.transform.")
    changed = {name for name in before if not before[name].equal(found[0][name])}
    assert changed and all(name.startswith(drawn) for name in changed)
    assert {name for name in before if name.startswith(drawn) and before[name].ndim == 2} <= changed
    assert all(found[0][name].equal(found[1][name]) for name in before)


def test_a_start_whose_last_layer_is_redrawn(tmp_path, bert_folder):
    """Its matrices alone change, by the seed, and are as wide as they were."""
    from safetensors.torch import load_file

    before = load_file(bert_folder / "model.safetensors")
    last = max(int(name.split(".")[3]) for name in before if ".layer." in name)
    drawn = {n for n in before if n.startswith(f"bert.encoder.layer.{last}.") and before[n].ndim == 2}
    found = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        places = Places(tmp_path, str(bert_folder), "", tmp_path / name)
        found[name] = load_file(train._redrawn(places, 1, seed) / "model.safetensors")
        assert {n for n in before if not before[n].equal(found[name][n])} == drawn
        for n in drawn:
            assert float(found[name][n].std()) == pytest.approx(float(before[n].std()), rel=0.2)
    assert all(found["a"][n].equal(found["b"][n]) for n in before)
    assert not any(found["a"][n].equal(found["c"][n]) for n in drawn)


def test_numbers_of_several_seeds_are_means():
    runs = [
        {"nDCG@10": 0.5, "terms a query": 2.0, "lambda": None},
        {"nDCG@10": 0.75, "terms a query": 3.0, "lambda": 1.0},
    ]
    assert train._means(runs[:1]) == runs[0]
    assert train._means(runs) == {
        "nDCG@10": 0.625,
        "nDCG@10 of each seed": "0.500, 0.750",
        "terms a query": 2.5,
        "lambda": None,
    }


def test_names_are_pairs_that_stand_together():
    from scripts.papers.kinds.phrases import _ranks, _together

    texts = ["red fox here", "fox red", "a red old fox", "fox den"]
    assert sorted(_together(texts, 9)) == [(("fox", "red"), 1), (("red", "fox"), 0)]
    scores = np.array([[1.0, 3.0, 2.0], [1.0, 1.0, 0.0]])
    assert _ranks(scores, [2, 0]).tolist() == [2, 2]


def test_pairs_of_the_experiment_are_the_encoder_s(tmp_path):
    """What is added to vectors that are kept is what an encoder with phrase terms makes."""
    import scipy.sparse as sp

    from scripts.papers.kinds.phrases import with_pairs
    from splade_engine import SparseEncoder

    texts = ["A language model reads text.", "Ships sail; the sea is cold.", ""]
    plain = SparseEncoder.load(device="cpu")
    phrased = plain.save_with_phrases(tmp_path / "with", buckets=500, factor=0.5)
    vectors = sp.csr_array(plain.encode_documents(texts).to_scipy())
    found = with_pairs(plain, vectors, texts, EncoderSettings(phrase_buckets=500, phrase_factor=0.5))
    wanted = phrased.encode_documents(texts).to_scipy()
    assert found.nnz > vectors.nnz
    np.testing.assert_allclose(found.toarray(), wanted.toarray(), atol=1e-6)


def test_links_are_titles_that_other_documents_hold(tmp_path):
    rows = [
        {"_id": "a", "title": "Salt marsh", "text": "A salt marsh is wet."},
        {"_id": "b", "title": "Moon", "text": "The moon, a Salt Marsh and the deep blue sea."},
        {"_id": "c", "title": "Deep blue sea", "text": "Nothing of the others."},
    ]
    (tmp_path / "ir" / "made").mkdir(parents=True)
    made.write_jsonl(tmp_path / "ir" / "made" / "corpus.jsonl", rows)
    places = Places(tmp_path, "", "", tmp_path / "work")
    found = [json.loads(line) for line in train._linked(places, "made").read_text().splitlines()]
    assert {row["_id"]: row["links"] for row in found} == {"a": [], "b": ["a", "c"], "c": []}


def test_rows_are_expanded_by_the_same_words(tmp_path):
    moon, sea = "The moon raises the tides.", "Ships sail the sea."
    rows = [
        {"query": "q", "positive": moon, "negatives": [sea], "scores": [2.0, 1.0]},
        {"query": "r", "positive": sea},
    ]
    longer = train._expanded(made.write_jsonl(tmp_path / "rows.jsonl", rows), 4)
    first, second = (json.loads(line) for line in longer.read_text().splitlines())
    assert first["negatives"] == [second["positive"]] and first["scores"] == [2.0, 1.0]
    assert first["positive"].startswith(moon + "\n") and len(first["positive"].split("\n")[1].split()) == 4
