from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace as Invented

import pytest
from typer.testing import CliRunner, Result

from splade_engine.cli import app
from splade_engine.eval.run.runs import read_run


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch, invented: Invented, tmp_path: Path) -> None:
    """The word encoder in the place of the bundled one, and a cache of its own."""
    monkeypatch.setattr(
        "splade_engine.eval.systems.sparse_collection.load_encoder",
        lambda source, length: invented.WordEncoder(),
    )
    monkeypatch.setenv("SPLADE_ENGINE_HOME", str(tmp_path / "home"))


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_one_collection(collection: Path):
    found = _call("eval", collection)
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].startswith("invented: 8 documents, 5 judged queries (test), 1 more without judgments")
    assert lines[2].split() == ["sparse", "bm25"]
    rows = [line.split("  ")[0].strip() for line in lines]
    for row in ("nDCG@10", "RR@10", "R@100", "terms / document", "terms / query", "FLOPS", "latency p50, ms"):
        assert row in rows
    for row in ("latency p99, ms", "index size, MB", "encode documents, s", "build index, s"):
        assert row in rows


def test_json_run_and_exact(collection: Path, tmp_path: Path):
    found = _call(
        "eval", collection, "--exact", "--json", "--run", tmp_path / "x.run", "-k", 20, "-m", "MRR@5"
    )
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    assert record["skipped"] == {}
    ours = record["results"][0]
    assert (ours["system"], ours["mode"], ours["k"]) == ("sparse-exact", "exact", 20)
    assert list(ours["effectiveness"]["mean"]) == ["RR@5"]
    run = read_run(tmp_path / "x.run")
    assert run.name == "sparse-exact"
    assert run["q1"].ids[0] == "tea"


def test_systems_baseline_and_output(collection: Path, tmp_path: Path):
    out = tmp_path / "out"
    command = (
        "eval",
        collection,
        "-s",
        "bm25",
        "-s",
        "mine: rrf(bm25, sparse)",
        "--baseline",
        "bm25",
        "-o",
        out,
    )
    found = _call(*command)
    assert found.exit_code == 0, found.output
    assert "| mine |" in found.stdout
    assert f"results are in {out}" in found.stderr
    assert _call(*command).exit_code == 0
    again = _call("eval", "--from", out)
    assert again.exit_code == 0, again.output
    assert again.stdout.splitlines()[-1] == "all numbers agree"
    page = _call(
        "compare",
        out,
        "-o",
        tmp_path / "p.html",
        "--latex",
        tmp_path / "t.tex",
        "--markdown",
        tmp_path / "t.md",
    )
    assert page.exit_code == 0, page.output
    assert (tmp_path / "p.html").read_text().startswith("<!doctype html>")
    assert "\\toprule" in (tmp_path / "t.tex").read_text()
    written, shown = (tmp_path / "t.md").read_text(), page.stdout.strip().splitlines()
    assert all(line in written.splitlines() for line in shown)
    assert "| nDCG@10 | invented |" in shown
    assert "| RR@10 | invented |" in written
    assert "| RR@10 | invented |" not in shown  # the first measure's table alone
    asked = _call(
        "compare", out, "-o", tmp_path / "p.html", "-m", "RR@10 P@1", "--markdown", tmp_path / "t.md"
    )
    assert "| RR@10 | invented |" in asked.stdout and "nDCG@10" not in asked.stdout
    tables = [line for line in (tmp_path / "t.md").read_text().splitlines() if line.endswith("| invented |")]
    assert [line.split()[1] for line in tables[:3]] == ["RR@10", "P@1", "nDCG@10"]


def test_numbers_that_no_longer_agree_are_a_failure(collection: Path, tmp_path: Path):
    assert _call("eval", collection, "-s", "bm25", "-o", tmp_path / "out").exit_code == 0
    with (collection / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "x", "text": "bread baked bread"}\n')
    found = _call("eval", "--from", tmp_path / "out", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["agrees"] is False


def test_runs_of_one_collection_are_compared(collection: Path, tmp_path: Path):
    for name, system in (("a", "bm25"), ("b", "sparse")):
        _call("eval", collection, "-s", system, "--run", tmp_path / f"{name}.run")
    found = _call(
        "compare", tmp_path / "a.run", tmp_path / "b.run", "--dataset", collection, "-o", tmp_path / "p.html"
    )
    assert found.exit_code == 0, found.output
    assert "| nDCG@10 | invented |" in found.stdout


def test_what_is_skipped_is_said_and_the_exit_code_is_1(collection: Path, tmp_path: Path):
    found = _call("eval", collection, tmp_path / "missing", "-s", "bm25")
    assert found.exit_code == 1
    assert "nDCG@10" in found.stdout
    assert f"{tmp_path}/missing: skipped: unknown dataset" in found.stderr


def test_a_folder_of_collections_and_distractors(invented: Invented, tmp_path: Path):
    for name in ("a", "b"):
        invented.write(tmp_path / "all" / name)
    (tmp_path / "more.jsonl").write_text('{"id": "1", "text": "tea"}\n{"id": "2", "text": "owl"}\n')
    found = _call(
        "eval", tmp_path / "all", "-s", "bm25", "--distractors", tmp_path / "more.jsonl", "--n-distractors", 1
    )
    assert found.exit_code == 0, found.output
    assert "a: 9 documents (1 of them distractors)" in found.stdout
    one = _call("eval", tmp_path / "all", "-s", "bm25", "--distractors", f"b={tmp_path}/more.jsonl")
    assert one.exit_code == 0, one.output
    assert "a: 8 documents," in one.stdout
    assert "b: 10 documents (2 of them distractors)," in one.stdout
    assert "| nDCG@10 | a | b | mean |" in found.stdout


def test_a_measure_that_cannot_be_computed_leaves_no_folder(collection: Path, tmp_path: Path):
    found = _call("eval", collection, "-m", "SDCG@5", "-o", tmp_path / "out")
    assert (found.exit_code, (tmp_path / "out").exists()) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a collection"),
        (["no/such/dataset"], "unknown dataset 'no/such/dataset'"),
        (["{c}", "-s", "bm52"], "'bm52' is not a system"),
        (["{c}", "-m", "nDCG@ten"], "unknown measure 'nDCG@ten'"),
        (["{c}", "-k", "0"], "a whole number from 1 to 2147483647, got '0'"),
        (["{c}", "-k", "5"], "k = 5 is less than nDCG@10 looks at"),
        (["{c}", "--exact", "--accuracy", "0.9"], "--exact and --accuracy exclude each other"),
        (["{c}", "--accuracy", "2"], "a number above 0, at most 1, got '2'"),
        (["{c}", "--split", "dev"], "dev.tsv: no such file; splits: test"),
        (["{c}", "--baseline", "dense"], "baseline 'dense' is not one of"),
        (["{c}", "--n-distractors", "3"], "--n-distractors needs --distractors FILE"),
        (
            ["{c}", "--distractors", "{c}/corpus.jsonl", "--n-distractors", "0"],
            "a whole number from 1 to 2147483647, got '0'",
        ),
        (["{c}", "--distractors", "{c}/corpus.jsonl", "--n-distractors", "9"], "9 distractors are asked for"),
        (["{c}", "--distractors", "{c}/none.jsonl"], "--distractors {c}/none.jsonl: no file"),
        (["{c}", "--distractors", "x={c}/corpus.jsonl"], "or COLLECTION=FILE with one of invented"),
        (["{c}", "--data", "{c}/none"], "none: no such folder"),
        (["{c}", "{c}", "--run", "x.run"], "two collections are named"),
        (["classic", "--run", "{c}/x.run"], "--run FILE is for a single collection"),
        (["{c}", "--from", "{c}"], "--from repeats a result folder"),
        (["--from", "{c}"], "experiment.json: no such file"),
        (["{c}", "-o", "{c}"], "holds other files"),
        (["{c}", "-o", "{c}/x/y", "--run", "{c}/x"], "x: --run writes a file, and --output needs a folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(collection: Path, arguments: list[str], message: str):
    found = _call("eval", *(a.format(c=collection) for a in arguments))
    assert found.exit_code == 2, found.output
    lines = found.stderr.strip().splitlines()
    assert len(lines) == 1
    assert message.replace("{c}", str(collection)) in lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{c}/none"], "no such result folder or run file"),
        (["{c}"], "experiment.json: no such file"),
        (["{c}/x.run"], "a run has no judgments"),
        (["{c}/x.run", "--dataset", "{c}"], "x.run:2: score 'much' is not a number"),
    ],
)
def test_bad_comparisons_are_one_line(collection: Path, arguments: list[str], message: str):
    (collection / "x.run").write_text("q1 Q0 tea 1 2 t\nq1 Q0 owl 2 much t\n")
    if len(arguments) == 1:
        (collection / "x.run").write_text("q1 Q0 tea 1 2 t\n")
    found = _call("compare", *(a.format(c=collection) for a in arguments))
    assert found.exit_code == 2, found.output
    lines = found.stderr.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_own_ids_are_dropped_where_the_option_says_so(invented: Invented, tmp_path: Path):
    documents = {"1": ("", "green tea"), "2": ("", "coffee beans")}
    qrels = {"test": {"1": {"1": 1}, "2": {"2": 1}}}
    folder = invented.write(tmp_path / "quora", documents, {"1": "tea", "2": "coffee"}, qrels)
    plain = _call("eval", folder, "-s", "bm25", "-m", "RR@1")
    assert "own ids dropped" not in plain.output
    dropped = _call("eval", folder, "-s", "bm25", "-m", "RR@1", "--drop-own-id")
    rows = [line.split() for line in dropped.stdout.splitlines() if line.startswith(("RR@1", "own ids"))]
    assert [row[-1] for row in rows] == ["0.0000", "2"]
    (folder / "collection.toml").write_text("drop_own_id = true\n")
    kept = _call("eval", folder, "-s", "bm25", "-m", "RR@1", "--keep-own-id")
    assert "own ids dropped" not in kept.output
