"""The demo: its corpus, its answers, and what it does when it is run again."""

from __future__ import annotations

import re
import sys
import sysconfig

import numpy as np
import pytest

from splade_engine.cli.demo import QUERIES
from splade_engine.cli.docstrings import read_docstrings
from splade_engine.cli.paraphrases import ARTICLES, QUESTIONS
from splade_engine.collections import Document
from splade_engine.errors import MissingExtraError
from splade_engine.index import SparseIndex

ENTRIES = [
    Document("shutil.rmtree", "Delete a large directory tree in the sea.", "shutil.rmtree"),
    Document("random.sample", "A small moon and a large moon.", "random.sample"),
    Document("subprocess.run", "The ship and the wind.", "subprocess.run"),
]


@pytest.fixture(scope="module")
def docstrings():
    sysconfig.get_path("stdlib")  # imports its own data module the first time
    modules = set(sys.modules)
    entries = {document.id: document for document in read_docstrings()}
    assert set(sys.modules) == modules, "parsed, not imported"
    return entries


def test_the_corpus_is_large_and_clean(docstrings):
    assert len(docstrings) >= 2000
    assert not [i for i in docstrings if i.startswith(("test.", "idlelib.", "_")) or "._" in i]
    assert min(len(d.text) for d in docstrings.values()) >= 30


@pytest.mark.parametrize(
    ("name", "start", "kind"),
    [
        ("json.dumps", "Serialize ``obj`` to a JSON formatted ``str``.", "function"),
        ("shutil.rmtree", "Recursively delete a directory tree.", "function"),
        ("pathlib.Path.mkdir", "Create a new directory", "function"),
        ("collections.OrderedDict", "Dictionary that remembers insertion order", "class"),
        ("str.split", "Return a list of the substrings", "function"),
        ("decimal.Decimal.quantize", "Quantize self", "function"),
        ("heapq", "Heap queue algorithm", "module"),
    ],
)
def test_entries_are_where_one_expects_them(docstrings, name, start, kind):
    document = docstrings[name]
    assert document.text.startswith(start)
    assert document.metadata["kind"] == kind


@pytest.fixture
def demo(cli, monkeypatch, tmp_path):
    monkeypatch.setattr("splade_engine.cli.docstrings.read_docstrings", lambda: iter(ENTRIES))
    monkeypatch.chdir(tmp_path)
    return lambda *args, code=0: cli("demo", *args, code=code)


def test_the_demo_answers_and_says_what_next(demo, tmp_path):
    result = demo()
    assert "Encoding 3 entries with fake ..." in result.stderr
    assert "splade-demo: 3 documents" in result.stderr
    for query in QUERIES:
        assert query in result.stdout
    assert re.search(r"term +query +document +share", result.stdout)
    assert "24 questions in everyday words, 16 answers" in result.stdout
    assert re.search(r"BM25 +2 of 24 right with the first hit", result.stdout)
    assert re.search(r"my washing machine stopped working after a year +\S+ +warranty\b", result.stdout)
    last = result.stdout.splitlines()[-1]
    assert last.startswith("  splade-engine search splade-demo ")
    assert [f.name for f in tmp_path.iterdir()] == ["splade-demo"]


def test_a_dense_model_stands_beside_them_where_there_is_one(demo, monkeypatch):
    def missing(**_):
        raise MissingExtraError("no dense model")

    class Dense:
        """Finds the first article for every question: right for two of them."""

        def encode(self, texts, *, query=False):
            return (
                np.eye(len(texts), 16, dtype=np.float32) if not query else np.eye(1, 16).repeat(len(texts), 0)
            )

    monkeypatch.setattr("splade_engine.encoder.dense.load_dense", missing)
    assert "dense" not in demo().stdout
    monkeypatch.setattr("splade_engine.encoder.dense.load_dense", lambda **_: Dense())
    assert re.search(r"dense +2 of 24 right with the first hit", demo().stdout)


def test_a_second_run_uses_the_index_of_the_first(demo, encoder):
    first = demo()
    # the sentences of the help desk are encoded again, and questions as well that nothing answers
    of_first, encoder.encoded = encoder.encoded, 0
    second = demo()
    assert encoder.encoded == of_first - 3 >= len(ARTICLES)
    assert "indexed by an earlier run" in second.stderr

    def answers(result):
        return [line for line in result.stdout.splitlines() if " ms)" not in line]

    assert answers(second) == answers(first)
    encoder.encoded = 0
    demo("--overwrite")
    assert encoder.encoded == of_first


def test_every_question_has_an_answer_and_every_answer_a_question():
    assert (len(ARTICLES), len(QUESTIONS)) == (16, 24)
    assert {answer for _, answer in QUESTIONS} == set(ARTICLES)
    assert len({question for question, _ in QUESTIONS}) == 24


def test_something_else_in_the_folder_is_left_alone(demo, cli, tmp_path, corpus_file):
    cli("index", corpus_file, "-o", "mine")
    assert "holds an index of other documents" in demo("-o", "mine", code=2).stderr
    assert len(SparseIndex.open(tmp_path / "mine")) == 4
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    assert "holds no index" in demo("-o", "letters", code=2).stderr
    assert (tmp_path / "letters" / "a.txt").read_text() == "dear"


def test_an_interrupted_demo_goes_on(demo, encoder):
    encoder.fail_after = 1
    demo(code=130)
    encoder.fail_after = None
    assert "splade-demo: 3 documents" in demo().stderr
