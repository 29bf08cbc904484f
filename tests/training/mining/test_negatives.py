"""Mining: hard negatives from our index and from faiss.

False negatives are filtered, a killed run is resumed; the commands.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from splade_engine.cli import app
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training.mining import negatives
from splade_engine.training.mining.config import MiningConfig
from splade_engine.training.mining.negatives import false_negative_limit, mine
from splade_engine.training.mining.retrievers import Ensemble
from tests.training import made


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    rows = [{"query": r["query"], "positive": r["positive"]} for r in made.synthetic_rows(36)]
    return made.write_jsonl(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pairs):
    """The same as a BEIR folder."""
    out = tmp_path_factory.mktemp("beir")
    (out / "qrels").mkdir()
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    made.write_jsonl(
        out / "queries.jsonl", [{"_id": f"q{i}", "text": r["query"]} for i, r in enumerate(rows)]
    )
    made.write_jsonl(
        out / "corpus.jsonl", [{"_id": f"d{i}", "text": r["positive"]} for i, r in enumerate(rows)]
    )
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(len(rows)))
    (out / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return out


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_bm25_finds_what_bm25_would(tmp_path, pairs):
    """The hits are the documents that BM25's own scores put first, computed over all pairs."""
    from splade_engine.training.teachers.lexical import LexicalTeacher

    mine(pairs, tmp_path / "out.jsonl", MiningConfig(retriever="bm25", negatives=5, depth=5), device="cpu")
    rows = read(tmp_path / "out.jsonl")
    documents = [json.loads(line)["positive"] for line in pairs.read_text().splitlines()]
    scores = LexicalTeacher(documents)([r["query"] for r in rows], documents)
    assert len(rows) > 20
    for row, table in zip(rows, scores.tolist(), strict=True):
        of = dict(zip(documents, table, strict=True))
        others = sorted((v for text, v in of.items() if text != row["positive"] and v > 0), reverse=True)
        # float16 weights in the index: equal to three digits
        assert [of[text] for text in row["negatives"]] == pytest.approx(
            others[: len(row["negatives"])], rel=2e-3
        )
        assert len(row["negatives"]) == min(5, len(others))


def test_pairs_that_got_no_negative_are_counted(tmp_path, caplog):
    texts = {"moon sea": "moon tide sea", "sail": "ship sail sea", "bread": "bread dough oven"}
    rows = [{"query": query, "positive": text} for query, text in texts.items()]
    file = made.write_jsonl(tmp_path / "pairs.jsonl", [*rows, {"query": "moon sea", "positive": "sea bird"}])
    assert mine(file, tmp_path / "out.jsonl", MiningConfig("bm25", negatives=2), device="cpu") == 1
    assert [row["positive"] for row in read(tmp_path / "out.jsonl")] == ["moon tide sea", "sea bird"]
    assert "out.jsonl: 2 of 4 pairs of a query and its answer got no negative, and are not in" in caplog.text


class Listed:
    def __init__(self, *rows):
        self.rows = rows

    def search(self, queries, k):
        return np.array([row[:k] for row in self.rows], np.int64)


def test_several_retrievers_take_turns(tmp_path, pairs, bert_folder):
    one, two = Listed([4, 7, 1, -1], [3, -1, -1, -1]), Listed([7, 5, 4, 2], [-1, -1, -1, -1])
    found = Ensemble([one, two]).search(["a", "b"], 4)
    assert found.tolist() == [[4, 7, 5, 1, 2, -1, -1, -1], [3, *[-1] * 7]]
    config = MiningConfig(retriever=("bm25", f"sparse:{bert_folder}", f"dense:{bert_folder}"), negatives=9)
    mine(pairs, tmp_path / "all.jsonl", config, device="cpu")
    rows = read(tmp_path / "all.jsonl")
    assert len(rows) == 36 and all(len(set(row["negatives"])) == 9 for row in rows)
    again = MiningConfig(retriever=("bm25", "sparse:default"), negatives=9)
    assert again.retrievers == ("bm25", "sparse:default")


class Length:
    """A cross-encoder that scores by the query's length minus the document's."""

    def predict(self, pairs, **options):
        assert type(options["activation_fn"]).__name__ == "Identity"
        return np.array([len(q) - len(d) / 10 for q, d in pairs], np.float32)


@pytest.fixture
def cross(monkeypatch, tmp_path):
    import sentence_transformers

    (tmp_path / "cross").mkdir()
    monkeypatch.setattr(sentence_transformers, "CrossEncoder", lambda *args, **options: Length())
    return f"cross:{tmp_path / 'cross'}"


def test_a_cross_encoder_scores_given_triples(tmp_path, rows_file, cross):
    config = MiningConfig(retriever="given", teacher=cross, negatives=2)
    mine(rows_file, tmp_path / "scored.jsonl", config, device="cpu")
    given = {r["query"]: r["negatives"] for r in read(rows_file)}
    rows = read(tmp_path / "scored.jsonl")
    assert len(rows) > 100
    for row in rows:
        assert set(given[row["query"]]) >= set(row["negatives"]) or len(row["negatives"]) == 2
        texts = [row["positive"], *row["negatives"]]
        assert row["scores"] == pytest.approx([len(row["query"]) - len(t) / 10 for t in texts])
    plain = made.write_jsonl(tmp_path / "pairs.jsonl", [{"query": "a", "positive": "b"}])
    with pytest.raises(DatasetError, match="retriever given: no row has negatives"):
        mine(plain, tmp_path / "none.jsonl", config, device="cpu")


def test_a_cross_encoder_filters_and_teaches(tmp_path, pairs, rows_file, bert_folder, cross, no_curves):
    from splade_engine.training.run.run import train

    config = MiningConfig(retriever="bm25", teacher=cross, negatives=3, relative_margin=0.0)
    mine(pairs, tmp_path / "mined.jsonl", config, device="cpu")
    for row in read(tmp_path / "mined.jsonl"):
        assert all(len(text) >= len(row["positive"]) for text in row["negatives"])
    recipe = made.quick_recipe("splade-v2-distil", bert_folder, rows_file, train__steps=2, train__log_steps=1)
    recipe = recipe.override({"loss.teachers": [cross]})
    (row, *_) = train(recipe, tmp_path / "run").rows
    assert row["margin_mse"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher": "cross:{empty}"}, "no CrossEncoder"),
        ({"teacher": "sparse:{empty}"}, "config.json: no such file"),
        ({"retriever": "sparse:{empty}"}, "config.json: no such file"),
        ({"device": "nan"}, "device 'nan': expected auto"),
        ({"device": ""}, "device '': expected auto"),
    ],
)
def test_what_is_refused_leaves_nothing(tmp_path, pairs, options, message):
    empty, out = tmp_path / "empty", tmp_path / "out.jsonl"
    empty.mkdir()
    given = {
        key: value.format(empty=empty)
        for key, value in ({"retriever": "bm25", "device": "cpu"} | options).items()
    }
    device = given.pop("device")
    config = MiningConfig(**given)
    with pytest.raises(InvalidInputError, match=message):
        mine(pairs, out, config, device=device)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]
    assert mine(pairs, out, MiningConfig(retriever="bm25"), device="cpu") > 20


def test_a_teacher_that_does_not_load_is_told_before_texts_are_encoded(tmp_path, pairs, bert_folder):
    (tmp_path / "empty").mkdir()
    config = MiningConfig(retriever=f"dense:{bert_folder}", teacher=f"cross:{tmp_path / 'empty'}")
    encoded = []
    with pytest.raises(InvalidInputError, match="no CrossEncoder"):
        mine(pairs, tmp_path / "out.jsonl", config, device="cpu", progress=lambda *n: encoded.append(n))
    assert not encoded


@pytest.mark.parametrize("teacher", ["x", "bm25:x", "cross", "cross:", "given"])
def test_a_teacher_of_no_kind_is_named(teacher):
    with pytest.raises(InvalidInputError, match=rf"^teacher '{teacher}': expected cross:MODEL, dense:MODEL"):
        MiningConfig(teacher=teacher)


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_negatives_rank_high_and_are_not_the_answer(kind, tmp_path, pairs, bert_folder):
    config = MiningConfig(retriever=f"{kind}:{bert_folder}", negatives=4, depth=10)
    calls = []
    found = mine(pairs, tmp_path / "out.jsonl", config, device="cpu", progress=lambda *n: calls.append(n))
    assert calls[0] == (0, 36) and calls[-2:] == [(0, 36), (36, 36)]  # encoding begins, all queries are mined
    assert calls.count((36, 36)) >= 2
    rows = read(tmp_path / "out.jsonl")
    assert found == len(rows) > 20 and not (tmp_path / "out.jsonl.mining").exists()
    for row in rows:
        assert row["positive"] not in row["negatives"] and len(row["negatives"]) <= 4
        assert len(row["negatives"]) == len(row["negative_ids"]) == len(set(row["negative_ids"]))


def test_teacher_filters_and_its_scores_train(tmp_path, folder, bert_folder, no_curves):
    from splade_engine.training.run.run import train

    sparse = f"sparse:{bert_folder}"
    config = MiningConfig(
        retriever=sparse, teacher="bm25", negatives=3, depth=20, texts=False, relative_margin=0.2
    )
    mine(folder, tmp_path / "mined.jsonl", config, device="cpu")
    rows = read(tmp_path / "mined.jsonl")
    assert rows and all("query" not in row for row in rows)
    for row in rows:
        positive, *others = row["scores"]
        assert len(others) == len(row["negative_ids"]) and all(s <= positive * 0.8 for s in others)
    sources = [{"path": str(folder), "negatives": str(tmp_path / "mined.jsonl")}]
    recipe = made.quick_recipe("splade-v2-distil", bert_folder, folder, train__steps=3).override(
        {"data.sources": sources}
    )
    recipe = recipe.override({"train.log_steps": 1})
    assert train(recipe, tmp_path / "run").rows[-1]["margin_mse"] > 0


def test_limit_is_below_the_positive_whatever_its_sign():
    config = MiningConfig(relative_margin=0.05)
    assert false_negative_limit(10.0, config) == 9.5
    assert false_negative_limit(-10.0, config) == -10.5
    assert false_negative_limit(10.0, MiningConfig(relative_margin=0.05, absolute_margin=2.0)) == 8.0


def test_resumes_to_the_same_file(tmp_path, pairs, bert_folder, monkeypatch):
    monkeypatch.setattr(negatives, "CHUNK", 5)
    config = MiningConfig(retriever=f"sparse:{bert_folder}", negatives=2, depth=5, sampling="random")
    found = mine(pairs, tmp_path / "whole.jsonl", config, device="cpu")
    original, calls = negatives.mined_rows, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 13:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(negatives, "mined_rows", interrupted)
    output = tmp_path / "parts.jsonl"
    with pytest.raises(KeyboardInterrupt):
        mine(pairs, output, config, device="cpu")
    with output.open("a") as file:
        file.write('{"n": 10, "ro')  # a line that was being written
    with pytest.raises(InvalidInputError, match="begun with negatives = 2, now 3"):
        mine(pairs, output, MiningConfig(retriever=config.retriever, negatives=3, depth=5, sampling="random"))
    calls.clear()
    monkeypatch.setattr(negatives, "mined_rows", lambda *a: calls.append(1) or original(*a))
    assert mine(pairs, output, config, device="cpu") == found > 30  # those of the first call included
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len(calls) == 36 - 10  # two chunks were done
    with pytest.raises(InvalidInputError, match="exists already"):
        mine(pairs, output, config, device="cpu")


def test_bad_settings_and_nothing_found(tmp_path, pairs, bert_folder):
    for bad, message in (
        ({"retriever": "bm26"}, "expected bm25, sparse:MODEL, dense:MODEL or given"),
        ({"retriever": ()}, "retriever '': expected bm25"),
        ({"retriever": ("bm25", "bm25")}, "one of them is there twice"),
        ({"retriever": "given"}, "goes with a teacher that scores them and with no other retriever"),
        ({"retriever": ("given", "bm25"), "teacher": "bm25"}, "with no other retriever"),
        ({"negatives": 0}, "negatives and depth must be at least 1"),
        ({"relative_margin": 2.0}, "relative_margin lies between 0 and 1"),
        ({"sampling": "best"}, "'best' is not one of top, random"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            MiningConfig(**bad)
    config = MiningConfig(
        retriever=f"sparse:{bert_folder}", teacher="bm25", relative_margin=1.0, absolute_margin=1e9
    )
    with pytest.raises(DatasetError, match="no query kept a negative"):
        mine(pairs, tmp_path / "out.jsonl", config, device="cpu")


# ---- the commands --------------------------------------------------------------------------------


def test_train_and_mine_from_the_command_line(tmp_path, pairs, bert_folder, monkeypatch, no_curves):
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    mined = run(
        app,
        [
            "mine",
            str(pairs),
            "-o",
            "mined.jsonl",
            "--retriever",
            f"sparse:{bert_folder}",
            "--teacher",
            "bm25",
            "--negatives",
            "2",
            "--device",
            "cpu",
        ],
    )
    assert mined.exit_code == 0, mined.output
    options = ["train", "-r", "l0", "-d", "mined.jsonl=2", "-m", str(bert_folder), "--device", "cpu"]
    options += ["--steps", "3", "--batch-size", "4", "--max-length", "32", "--lambda", "0.5"]
    options += ["--document-terms", "200"]
    options += ["--set", "data.held_out=0"]
    shown = run(app, [*options, "-o", "run", "--show"])
    assert 'path = "mined.jsonl"' in shown.stdout and "weight = 2.0" in shown.stdout
    assert "document_terms = 200.0" in shown.stdout
    assert "document_lambda = 0.5" in shown.stdout and not Path("run").exists()
    trained = run(app, [*options, "-o", "run"])
    assert trained.exit_code == 0, trained.output
    assert trained.stdout.strip() == "run/model" and Path("run/model/query_weights.safetensors").is_file()
    again = run(app, [*options, "-o", "run"])
    assert again.exit_code == 2 and "run: not empty" in again.output
    resumed = run(app, ["train", "-o", "run", "--resume"])
    assert resumed.exit_code == 2 and "this run is finished" in resumed.output
    changed = run(app, ["train", "-o", "run", "--resume", "--steps", "9"])
    assert changed.exit_code == 2 and "nothing can be changed" in changed.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "empty.jsonl"], "empty.jsonl: the file is empty"),
        (["-d", "label.jsonl"], "label.jsonl:2: label 'x' is not a number"),
        (["-d", "good.jsonl", "-m", "weightless"], "weightless: no model.safetensors"),
        (["-d", "good.jsonl", "-r", "nothing"], "recipe nothing: not a file, and not one of"),
        (["-d", "good.jsonl", "--set", "train.speed=2"], "train.speed: no such field"),
        ([], "no training data"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, bert_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = {"query": "bara", "positive": "bara"}
    made.write_jsonl(tmp_path / "empty.jsonl", [])
    made.write_jsonl(tmp_path / "good.jsonl", [good] * 8)
    made.write_jsonl(tmp_path / "label.jsonl", [good, {**good, "label": "x"}])
    (tmp_path / "weightless").mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "weightless" / name).write_bytes((bert_folder / name).read_bytes())
    defaults = [("-r", "splade-v2-max"), ("-m", str(bert_folder))]
    options = [word for pair in defaults if pair[0] not in arguments for word in pair]
    result = CliRunner().invoke(
        app,
        ["train", "-o", "run", "--max-length", "32", "--set", "model.query_length=16", *options, *arguments],
    )
    assert result.exit_code == 2
    (line,) = [line for line in result.output.splitlines() if line.startswith("splade-engine: ")]
    assert message in line


def test_a_run_without_a_recipe_lists_them(tmp_path):
    result = CliRunner().invoke(app, ["train", "-o", str(tmp_path / "run"), "-d", "good.jsonl"])
    assert result.exit_code == 2
    assert (
        "which recipe? -r with one of ance, csr, deepimpact, default, efficient-splade, ensemble, "
        in result.output
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("where", ["build_student", "last_checkpoint", "save_student"])
def test_ctrl_c_says_how_the_run_goes_on(where, tmp_path, pairs, bert_folder, monkeypatch, no_curves):
    """Before anything is written, before the first step, and after the last one."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    options = ["-r", "l0", "-d", str(pairs), "-m", str(bert_folder), "--device", "cpu", "--steps", "2"]
    options += ["--set", "loss.kl=0", "--set", "loss.contrastive=1", "--set", "loss.candidates=all"]
    options += ["--batch-size", "4", "--max-length", "32", "--set", "data.held_out=0"]

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"splade_engine.training.run.run.{where}", interrupted)
        resume = ["--resume"] if where == "last_checkpoint" else []
        if resume:
            patch.setattr("splade_engine.training.run.run.Watch", interrupted)
            CliRunner().invoke(app, ["train", "-o", "my run", *options])
        result = CliRunner().invoke(app, ["train", "-o", "my run", *(resume or options)])
    assert result.exit_code == 130 and "Traceback" not in result.output
    line = result.output.splitlines()[-1]
    if where == "build_student":
        assert line == "splade-engine: interrupted; nothing was trained yet"
        assert CliRunner().invoke(app, ["train", "-o", "my run", *options]).exit_code == 0
    else:
        way = "splade-engine train -o 'my run' --resume "
        way += "goes on after step 2" if where == "save_student" else "begins again, there is no checkpoint"
        assert line == f"splade-engine: interrupted; {way}"
        resumed = CliRunner().invoke(app, ["train", "-o", "my run", "--resume"])
        assert resumed.exit_code == 0 and resumed.stdout == "my run/model\n", resumed.output
