"""Names that hold escape sequences, in every place where a command shows a name.

What a terminal would receive is looked at, for commands that succeed and for those that fail.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from splade_engine import SparseEncoder
from splade_engine.cli import app
from splade_engine.cli.commands import COMMANDS
from splade_engine.errors import InvalidInputError

# clear the screen, set the window's title, overwrite the line, C1's CSI, turn the direction, begin a line
EVIL = "x\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202egnp\u2066.\u2028\nsplade-engine: all is well\x7f\u200f"
BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
OUR_STYLES = re.compile(r"\x1b\[[0-9;]*m")


def unsafe(text):
    """The characters of what was printed that a terminal would act on."""
    return {
        c for c in text if c in BIDI or (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\n")
    }


@pytest.fixture
def shown(encoder, monkeypatch, tmp_path):
    """Run a command as on a terminal; what it printed is checked and returned."""
    monkeypatch.chdir(tmp_path)

    def run(*args, code=None, lines=False):
        result = CliRunner().invoke(app, [str(a) for a in args], color=True)
        assert isinstance(result.exception, SystemExit | None), result.exception
        text = result.stdout + result.stderr
        assert not unsafe(text), (args, text)
        assert "internal error" not in text
        # `get` shows a text as it is, with its lines
        assert "\nsplade-engine: all is well" not in (result.stderr if lines else text)
        assert code is None or result.exit_code == code, text
        return text

    return run


@pytest.fixture
def evil_corpus(tmp_path):
    records = [
        {"_id": f"{EVIL}{i}", "title": EVIL, "text": f"moon {EVIL} sea", f"column {EVIL}": EVIL}
        for i in range(3)
    ]
    folder = tmp_path / f"folder {EVIL}"
    folder.mkdir()
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def evil_index(shown, evil_corpus, encoder, tmp_path):
    encoder.name = EVIL
    encoder.vocabulary[1:3] = [f"moon{EVIL}", f"sea{EVIL}"]
    shown("index", evil_corpus, "-o", tmp_path / f"index {EVIL}", code=0)
    return tmp_path / f"index {EVIL}"


@pytest.fixture
def evil_collection(evil_corpus):
    folder = evil_corpus.parent
    (folder / "queries.jsonl").write_text(json.dumps({"_id": EVIL, "text": "moon"}) + "\n")
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    return folder


def test_what_an_index_holds(shown, evil_index, tmp_path):
    for options in ((), ("--json",)):
        assert "owned" in shown("info", evil_index, *options, code=0)
        assert "owned" in shown("search", evil_index, "moon", *options, code=0)
        shown("search", evil_index, "moon tide", "--explain", *options, code=0)
        shown("check", evil_index, *options, code=0)
        shown("tune", evil_index, *options, code=0)
        shown("compact", evil_index, *options, code=0)
        shown("export", evil_index, tmp_path / f"{EVIL}{len(options)}.arrow", *options, code=0)
        shown("export", evil_index, tmp_path / f"{EVIL}{len(options)}.jsonl", *options, code=0)
        shown("delete", evil_index, f"{EVIL}{len(options)}", *options, code=0)
    shown("search", evil_index, "moon", "--full", code=0)
    shown("search", evil_index, "moon", "--where", f"nothing{EVIL} = 1", code=2)
    shown("delete", evil_index, EVIL, code=2)
    shown("search", evil_index, EVIL, code=2)
    shown("search", evil_index, "moon", "-e", "other", code=2)


def test_adding_and_encoding(shown, evil_index, evil_corpus, tmp_path):
    shown("add", evil_index, evil_corpus, code=2)
    shown("add", evil_index, evil_corpus, "--replace", code=0)
    shown("encode", evil_corpus, "-o", tmp_path / f"{EVIL}.arrow", code=0)
    shown("encode", evil_corpus, "-o", tmp_path / f"{EVIL}.arrow", code=2)
    (tmp_path / f"{EVIL}.tsv").write_text("q\tmoon\n")
    shown("bench", evil_index, tmp_path / f"{EVIL}.tsv", code=0)


@pytest.mark.parametrize(
    "content",
    [
        b"not JSON " + EVIL.encode(),
        json.dumps({"_id": EVIL, EVIL: 1}).encode(),
        json.dumps({"_id": EVIL, "text": [EVIL]}).encode(),
        json.dumps({"_id": [EVIL], "text": "x"}).encode(),
        (json.dumps({"_id": EVIL, "text": "x"}) + "\n").encode() * 2,
        json.dumps({"_id": EVIL, "text": "", "title": ""}).encode(),
        json.dumps({"_id": "a", "text": "x", EVIL: 1}).encode()
        + b"\n"
        + json.dumps({"_id": "b", "text": "y", EVIL: "z"}).encode(),
        b'{"_id": "a", "text": "\xff' + EVIL.encode(),
        json.dumps({"_id": "a\ud800", "text": EVIL}).encode(),
    ],
)
def test_corpora_that_are_refused(shown, content, tmp_path):
    path = tmp_path / f"corpus {EVIL}.jsonl"
    path.write_bytes(content)
    shown("index", path, "-o", tmp_path / "ix")
    shown("encode", path, "-o", tmp_path / "v.arrow")


def test_evaluation(shown, evil_collection, tmp_path, monkeypatch):
    monkeypatch.setenv("SPLADE_ENGINE_HOME", str(tmp_path / "home"))
    shown("eval", evil_collection, "-s", "bm25", "--no-cache")
    (evil_collection / "qrels" / "test.tsv").write_text(
        f"query-id\tcorpus-id\tscore\n{EVIL[:8]}\td\tmany{EVIL[:8]}\n"
    )
    shown("eval", evil_collection, "-s", "bm25", "--no-cache")
    for evil in ("-s", "-m", "--baseline", "--split", "--dense-model", "-e", "--data", "--distractors"):
        shown("eval", evil_collection, evil, EVIL, "--no-cache")
    good = tmp_path / "good"
    (good / "qrels").mkdir(parents=True)
    (good / "corpus.jsonl").write_text('{"_id": "d1", "text": "moon"}\n{"_id": "d2", "text": "sea"}\n')
    (good / "queries.jsonl").write_text('{"_id": "q1", "text": "moon"}\n')
    (good / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    evil = tmp_path / f"good {EVIL}"
    good.rename(evil)
    shown(
        "eval",
        evil,
        "-s",
        "bm25",
        "--no-cache",
        "-o",
        tmp_path / f"results {EVIL}",
        "--run",
        tmp_path / EVIL,
        code=0,
    )
    shown("compare", tmp_path / f"results {EVIL}", "-o", tmp_path / f"{EVIL}.html", "--title", EVIL, code=0)
    shown("compare", tmp_path / EVIL, "--dataset", evil, "--baseline", EVIL)
    shown("compare", tmp_path / f"results {EVIL}", "--markdown", tmp_path / f"{EVIL}.md", code=0)
    shown("eval", "--from", tmp_path / f"results {EVIL}", "--no-cache", code=0)
    shown("eval", evil, "-s", "bm25", "--no-cache", "--json", code=0)


def test_training(shown, tmp_path):
    (tmp_path / f"{EVIL}.jsonl").write_text(json.dumps({EVIL: "moon"}) + "\n")
    (tmp_path / f"{EVIL}.toml").write_text(f'name = "{EVIL[:1]}"\n"\\u001b[2J" = 1\n')
    shown("train", "-o", "run", "-r", EVIL, "-d", "x", code=2)
    shown("train", "-o", "run", "-r", tmp_path / f"{EVIL}.toml", "-d", "x", code=2)
    shown("train", "-o", "run", "-r", "splade", "-d", EVIL, code=2)
    shown("train", "-o", "run", "-r", "splade", "-d", tmp_path / f"{EVIL}.jsonl", code=2)
    shown("train", "-o", "run", "-r", "splade", "-d", "x", "--set", EVIL, code=2)
    shown("train", "-o", "run", "-r", "splade", "-d", "x", "--set", f"train.lr={EVIL}", code=2)
    shown("train", "-o", "run", "-r", "splade", "--set", f"train.{EVIL}=1", "-d", "x", code=2)
    shown("train", "-o", "run", "-r", "splade", "-d", "x", "-m", EVIL, "--show", code=0)
    shown("train", "-o", EVIL, "--resume", code=2)
    shown("mine", tmp_path / f"{EVIL}.jsonl", "-o", tmp_path / f"mined {EVIL}", code=2)
    shown("mine", EVIL, "-o", "mined.jsonl", "--retriever", EVIL, code=2)
    shown("mine", EVIL, "-o", "mined.jsonl", code=2)


@pytest.mark.parametrize("command", [command.name for command in COMMANDS if command.name != "demo"])
def test_arguments(shown, command):
    """Whatever the commands make of it: nothing of the name reaches the terminal as it is."""
    shown(command, EVIL)
    shown(command, EVIL, EVIL, "-o", EVIL)
    shown(command, f"--{EVIL}", EVIL)
    shown(EVIL, command)


def test_a_name_that_is_not_utf8(shown, corpus_file, tmp_path):
    name = os.fsdecode(b"caf\xe9")
    folder = tmp_path / name
    folder.mkdir()
    (folder / "c.jsonl").write_bytes(corpus_file.read_bytes())
    assert "caf\ufffd" in shown("index", folder / "c.jsonl", "-o", folder / "ix", code=0)
    assert json.loads(shown("-q", "check", folder / "ix", "--json", code=0))["ok"] is True
    assert "caf\ufffd" in shown("info", folder / "ix", code=0)
    assert "caf\ufffd" in shown("index", tmp_path / name / "none.jsonl", "-o", tmp_path / "iy", code=2)
    shown("add", folder / "ix", folder / "c.jsonl", "--replace", code=0)
    shown("search", folder / "ix", "moon", code=0)
    shown("search", folder / "ix", name)
    shown("delete", folder / "ix", name, code=2)
    shown("export", folder / "ix", folder / f"{name}.arrow", code=0)
    shown("encode", folder / "c.jsonl", "-o", folder / f"{name}2.arrow", code=0)


def test_no_model_is_written_where_none_could_be_loaded(shown, corpus_file, tmp_path):
    """The libraries that read weights take names in UTF-8 alone."""
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "pairs.jsonl").write_text('{"query": "a", "positive": "b"}\n')
    said = "a name that is not UTF-8, from which no model is loaded"
    assert said in shown("adapt", corpus_file, "-o", name, code=2)
    assert said in shown("train", "-r", "splade", "-d", "pairs.jsonl", "-o", f"{name}/run", code=2)
    for write in (SparseEncoder.save, SparseEncoder.export_onnx, SparseEncoder.save_with_phrases):
        with pytest.raises(InvalidInputError, match=said):
            write(SimpleNamespace(checkpoint=None, query_table=None), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_every_way_to_ask(shown, evil_index, tmp_path):
    column = f"column {EVIL}"
    for form in ("text", "table", "json", "jsonl"):
        assert "owned" in shown("search", evil_index, "moon", "--format", form, "--facet", column, code=0)
    shown("search", evil_index, "moon", "--sort", column, "--group-by", column, "--total", code=0)
    shown("search", evil_index, f'"{EVIL}" -{EVIL}moon', "--hybrid", "sum", "--explain", code=0)
    shown("search", evil_index, f"moon -{EVIL}zzz +{EVIL}yyy", code=0)
    for option in (
        "--sort",
        "--group-by",
        "--facet",
        "--must",
        "--hybrid",
        "--rerank",
        "--format",
        "--where",
    ):
        shown("search", evil_index, "moon", option, f"no {EVIL}")
    for ids in ([f"{EVIL}1"], [EVIL]):
        shown("get", evil_index, *ids, lines=True)
        shown("get", evil_index, *ids, "--json")
        shown("delete", evil_index, *ids, "--dry-run")
    queries = tmp_path / f"queries {EVIL}.jsonl"
    queries.write_text(
        json.dumps({"_id": EVIL, "text": f"moon {EVIL}"}) + "\n" + '{"_id": "b", "text": "sea"}\n'
    )
    for form in ("text", "table", "json"):
        shown("search", evil_index, "--queries", queries, "--format", form, code=0)
    shown("search", evil_index, "--queries", queries, "--run", tmp_path / f"{EVIL}.run", code=0)
    shown("search", evil_index, "--queries", queries, "--run", queries, code=2)


def test_several_indexes_and_other_systems(shown, evil_index, evil_corpus, tmp_path):
    shown("collect", evil_index, "-o", tmp_path / f"all {EVIL}", code=0)
    shown("info", tmp_path / f"all {EVIL}", code=0)
    shown("merge", evil_index, "-o", tmp_path / f"merged {EVIL}", code=0)
    shown("merge", evil_index, tmp_path / f"merged {EVIL}", "-o", tmp_path / "m", code=2)
    shown("collect", evil_index, evil_index, "-o", tmp_path / "c", code=2)
    for target in ("qdrant", "elasticsearch", "lsr-benchmark", EVIL):
        shown("export", evil_index, "--to", target, "-o", tmp_path / f"out {EVIL}", "--overwrite")
    shown("export", evil_index, tmp_path / f"{EVIL}.csr", code=0)
    for name in (f"{EVIL}.csr", f"{EVIL}.nothing", f"index {EVIL}"):
        shown("import", tmp_path / name, "-o", tmp_path / f"in {EVIL}")
    shown("import", tmp_path / f"{EVIL}.csr", "-o", tmp_path / "in2", "--from", EVIL, code=2)


def test_keeping_up_with_a_folder(shown, tmp_path):
    notes = tmp_path / f"notes {EVIL}".replace("\n", "")
    notes.mkdir()
    name = EVIL.replace("/", "").replace("\n", "")
    (notes / f"{name}.md").write_text(f"# {EVIL}\n\nmoon")
    (notes / f"{name}.html").write_text(f"<title>{EVIL}</title><p>sea")
    (notes / f"bad {name}.txt").write_bytes(b"caf\xe9")
    (notes / f"bad {name}.ipynb").write_text(json.dumps({"cells": EVIL}))
    (notes / f"other.{name}").write_text("x")
    folder = tmp_path / "notes-index"
    for options in ((), ("--json",), ("--dry-run",), ("--name", EVIL), ("--encoding", EVIL), ("--prune",)):
        shown("sync", notes, folder, *options)
    shown("search", folder, "moon", "--explain", code=0)
    (notes / f"{name}.md").unlink()
    shown("sync", notes, folder, "--prune", code=0)
